"""Addresses of what a build fetches, read so that two programs cannot understand them differently.

What is not plainly an address is refused: a policy must not see another host than the daemon.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.value import RObject, Value

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9]*)://(?:(?P<user>[\w.~!$&'()*+,;=:%-]*)@)?"
    r"(?P<host>(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?)?"
    r"(?P<path>/[^\s?#\\<>\"^`{|}\x00-\x20\x7f]*)?(?:\?(?P<query>[^\s#\\]*))?"
    r"(?:#(?P<fragment>[^\s\\]*))?",
    re.ASCII,
)
_SCP = re.compile(
    r"(?P<user>[\w.-]+)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^\s?#\\]*)"
    r"(?:\?(?P<query>[^\s#\\]*))?(?:#(?P<fragment>[^\s\\]*))?",
    re.ASCII,
)
_TRANSPORTS = frozenset({"http", "https", "ssh", "git"})
_LONGEST = 16 << 10


class Address(NamedTuple):
    """The parts of an address."""

    scheme: str
    host: str
    """With the port, if one is given."""
    path: str
    query: str
    fragment: str
    plain: str
    """The address without query and fragment."""


def read_url(text: str) -> Address:
    """Take an URL apart.

    Raises:
        PolicyFaultError: It is none.
    """
    found = _URL.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None or not _is_quoted(text):
        raise PolicyFaultError(f"the address {text[:200]!r} is not understood")
    plain = re.split("[?#]", text, maxsplit=1)[0]
    return Address(
        found["scheme"].lower(),
        found["host"] or "",
        unquote(found["path"] or "", errors="replace"),
        found["query"] or "",
        unquote(found["fragment"] or "", errors="replace"),
        plain,
    )


def is_git(text: str) -> bool:
    """Say whether an address says itself how git shall fetch it."""
    scheme, mark, _ = text.partition("://")
    return scheme.lower() in _TRANSPORTS if mark else _SCP.fullmatch(text) is not None


def read_git(text: str) -> Address:
    """Take the address of a git repository apart.

    Raises:
        PolicyFaultError: It is none.
    """
    if "://" in text:
        found = read_url(text)
        if found.scheme not in _TRANSPORTS:
            raise PolicyFaultError(f"the address {text[:200]!r} is none of git")
        return found
    scp = _SCP.fullmatch(text) if len(text) <= _LONGEST else None
    if scp is None:
        raise PolicyFaultError(f"the address {text[:200]!r} is none of git")
    plain = re.split("[?#]", text, maxsplit=1)[0]
    query, fragment = scp["query"] or "", scp["fragment"] or ""
    return Address("ssh", scp["host"], scp["path"], query, fragment, plain)


def query_of(text: str) -> RObject:
    """Give the values of a query, by their names."""
    found: dict[str, list[Value]] = {}
    for part in text.split("&"):
        if part and ";" not in part and _is_quoted(part):
            key, _, value = part.partition("=")
            found.setdefault(_plain(key), []).append(_plain(value))
    return RObject((key, tuple(values)) for key, values in found.items())


def _plain(text: str) -> str:
    return unquote(text.replace("+", " "), errors="replace")


def _is_quoted(text: str) -> bool:
    """Say whether two digits follow each percent sign."""
    return re.search("%(?![0-9A-Fa-f]{2})", text) is None
