"""Image references: the grammar that a tag given with ``-t`` has to follow."""

from __future__ import annotations

import re

from dockyard.errors import InputError

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
    if match is None:
        if re.fullmatch(_REFERENCE, tag.lower()):
            raise InputError(
                f'invalid tag "{tag}": repository name must be lowercase',
            )
        raise InputError(f'invalid tag "{tag}": invalid reference format')
    if len(match["name"]) > 255:
        raise InputError(
            f'invalid tag "{tag}": repository name must not be more than 255 characters'
        )
    if re.fullmatch(_HEX, tag):
        raise InputError(
            f'invalid tag "{tag}": cannot specify 64-byte hexadecimal strings as a repository name'
        )
    return tag
