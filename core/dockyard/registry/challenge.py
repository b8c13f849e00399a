"""What a registry wants to see first: its ``WWW-Authenticate`` header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_LONGEST = 8 << 10
_PARAMETER = r"""[\s,]*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))"""


class Challenge(NamedTuple):
    """One way to prove who asks."""

    scheme: str
    """``basic`` or ``bearer``."""
    parameters: Mapping[str, str]

    @property
    def realm(self) -> str:
        return self.parameters.get("realm", "")

    @property
    def service(self) -> str:
        return self.parameters.get("service", "")


def read_challenge(headers: Iterable[str]) -> Challenge | None:
    """Give the best challenge of an answer's headers: a token's before a password's."""
    found = [challenge for header in headers for challenge in _challenges(header[:_LONGEST])]
    known = {challenge.scheme: challenge for challenge in reversed(found)}
    return known.get("bearer") or known.get("basic")


def _challenges(header: str) -> Iterable[Challenge]:
    scheme = re.compile(r"[\s,]*([A-Za-z]+)(?:\s+(?!=)|(?=,)|$)")
    parameter = re.compile(_PARAMETER)
    place = 0
    while begin := scheme.match(header, place):
        place = begin.end()
        parameters = {}
        while each := parameter.match(header, place):
            place = each.end()
            value = each[3] if each[2] is None else re.sub(r"\\(.)", r"\1", each[2])
            parameters[each[1].lower()] = value
        yield Challenge(begin[1].lower(), parameters)
