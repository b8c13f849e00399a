"""A git address with a query, such as ``https://host/x.git?branch=main&subdir=app``, as a source.

Frontends before Dockerfile 1.18 don't understand such addresses, so they are taken apart here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from dockyard.buildkit.address import without_credentials
from dockyard.buildkit.source import OneSource
from dockyard.driver import boolean
from dockyard.errors import InputError

_SCP = r"([a-zA-Z0-9_-]+)@([a-zA-Z0-9.-]+):([^?#]*)(?:\?([^#]*))?(?:#(.*))?"
_LONE = "github.com/"
_FLAGS = frozenset({"submodules", "keep-git-dir", "fetch-by-commit"})
_VALUES = frozenset({"ref", "tag", "branch", "subdir", "checksum", "commit", "mtime"})
_TIMES = frozenset({"checkout", "commit"})


class _Address(NamedTuple):
    remote: str
    """What git is given."""
    place: str
    """Host and path."""
    ssh: bool
    query: str
    fragment: str


def has_query(url: str) -> bool:
    """Say whether a git address has a query."""
    return bool(_parse(url).query)


def git_source(url: str, *, keep_git_dir: bool = False) -> OneSource:
    """Make a source of an address.

    Args:
        url: Of a git repository.
        keep_git_dir: Keep ``.git``, whatever the address says.

    Raises:
        InputError: The address makes no sense; says what of it.
    """
    address = _parse(url)
    try:
        values = _values(address.query)
        ref, folder = _ref(values, address.fragment), _folder(values, address.fragment)
        flags = {name: _flag(name, values) for name in _FLAGS if name in values}
    except ValueError as error:
        raise InputError(f"{without_credentials(url)}: {error}") from error
    settings = {
        "keepgitdir": "true" if keep_git_dir or flags.get("keep-git-dir") else "",
        "fullurl": address.remote,
        "mountsshsock": "default" if address.ssh else "",
        "checksum": values.get("checksum") or values.get("commit", ""),
        "skipsubmodules": "" if flags.get("submodules", True) else "true",
        "mtime": values.get("mtime", ""),
        "fetchbycommit": "true" if flags.get("fetch-by-commit") else "",
    }
    settings = {f"git.{name}": value for name, value in settings.items() if value}
    return OneSource(
        identifier="git://" + address.place + _suffix(ref, folder),
        attributes={
            **settings,
            "git.authtokensecret": "GIT_AUTH_TOKEN",
            "git.authheadersecret": "GIT_AUTH_HEADER",
        },
        capabilities=["source.git", *(f"source.{name}" for name in settings)],
        name=f"git source {without_credentials(url)}",
    )


def _parse(url: str) -> _Address:
    scp = re.fullmatch(_SCP, url) if "://" not in url else None
    if scp is not None:
        user, host, path, query, fragment = (part or "" for part in scp.groups())
        return _Address(f"{user}@{host}:{path}", _place(host, path), True, query, fragment)
    try:
        parts = urlsplit(f"https://{url}" if url.startswith(_LONE) else url)
    except ValueError as error:
        raise InputError(f"{without_credentials(url)}: {error}") from error
    return _Address(
        remote=urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
        place=_place(parts.netloc.rpartition("@")[2], unquote(parts.path)),
        ssh=parts.scheme == "ssh",
        query=parts.query,
        fragment=unquote(parts.fragment),
    )


def _place(host: str, path: str) -> str:
    return host + posixpath.normpath("/" + path.lstrip("/"))


def _values(query: str) -> dict[str, str]:
    """Give what a query says."""
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _FLAGS | _VALUES:
            raise ValueError(f'unexpected query "{name}"')
        if name in values:
            raise ValueError(f'query "{name}" has multiple values')
        if not value and name not in _FLAGS:
            raise ValueError(f'query "{name}" has no value')
        values[name] = value
    if values.get("mtime", "commit") not in _TIMES:
        raise ValueError(
            f'invalid mtime value: "{values["mtime"]}" (must be "checkout" or "commit")'
        )
    return values


def _ref(values: Mapping[str, str], fragment: str) -> str:
    """Give what is to be checked out, which may be said more than once if it is the same."""
    if "tag" in values and "branch" in values:
        raise ValueError("branch conflicts with tag")
    found = fragment.partition(":")[0]
    for name, prefix in (("ref", ""), ("tag", "refs/tags/"), ("branch", "refs/heads/")):
        value = values.get(name, "")
        if not value:
            continue
        value = prefix + value.removeprefix(prefix)
        if found and found != value:
            raise ValueError(f'ref conflicts: "{found}" vs "{value}"')
        found = value
    return found


def _folder(values: Mapping[str, str], fragment: str) -> str:
    folder = fragment.partition(":")[2]
    found = posixpath.normpath("/" + folder.lstrip("/")).strip("/") if folder else ""
    wanted = values.get("subdir", found)
    if found and found != wanted:
        raise ValueError(f'subdir conflicts: "{found}" vs "{wanted}"')
    return wanted


def _flag(name: str, values: Mapping[str, str]) -> bool:
    """Read a switch, which is on when it is only named."""
    value = values[name]
    try:
        return not value or boolean(value)
    except ValueError:
        raise ValueError(f'invalid {name} value: "{value}"') from None


def _suffix(ref: str, folder: str) -> str:
    if not ref and not folder:
        return ""
    return f"#{ref}:{folder}" if folder else f"#{ref}"
