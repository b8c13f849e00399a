"""Image references: the grammar that a tag given with ``-t`` has to follow."""

from __future__ import annotations

import re

from dockyard.errors import InputError
from dockyard.quote import in_line, quoted

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_REFERENCE = (
    r"(?a)"
    rf"(?P<name>(?:(?P<domain>{_DOMAIN})/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?"
    r"(?P<digest>@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"
)
_HEX = r"[a-f0-9]{64}"


def check_tag(tag: str) -> str:
    """Give the tag back when it is an image reference.

    Raises:
        InputError: It is none.
    """
    match = re.fullmatch(_REFERENCE, tag)
    if match is None and not tag:
        raise _no_tag(tag, "repository name must have at least one component")
    if match is None and re.fullmatch(_REFERENCE, tag.lower()):
        raise _no_tag(tag, "repository name must be lowercase")
    if match is None:
        raise _no_tag(tag, "invalid reference format")
    if len(match["name"]) > 255:
        raise _no_tag(tag, "repository name must not be more than 255 characters")
    return tag


def familiar_name(name: str) -> str:
    """Give an image reference in its shortest form: no Docker Hub, no ``library``, no ``latest``.

    Raises:
        InputError: It is none; the message says only why.
    """
    if re.fullmatch(_HEX, name):
        raise InputError(
            f"invalid repository name ({name}), cannot specify 64-byte hexadecimal strings"
        )
    first, slash, rest = name.partition("/")
    has_domain = slash and (
        first == "localhost" or set(first) & set(".:") or first != first.lower()
    )
    domain, path = (first, rest) if has_domain else ("docker.io", name)
    if domain in {"docker.io", "index.docker.io"}:
        domain = "docker.io"
        path = path if "/" in path else f"library/{path}"
    match = re.fullmatch(_REFERENCE, f"{domain}/{path}")
    if match is None or match["domain"] != domain:
        repository = re.split("[:@]", path, maxsplit=1)[0]
        if repository != repository.lower():
            why = f": repository name ({in_line(repository)}) must be lowercase"
            raise InputError(f"invalid reference format{why}")
        raise InputError("invalid reference format")
    if len(match["name"]) > 255:
        raise InputError("repository name must not be more than 255 characters")
    if domain == "docker.io":
        short = path.removeprefix("library/")
        return (path if "/" in short else short).removesuffix(":latest")
    return f"{domain}/{path}".removesuffix(":latest")


def _no_tag(tag: str, why: str) -> InputError:
    return InputError(f"invalid tag {quoted(tag)}: {why}")
