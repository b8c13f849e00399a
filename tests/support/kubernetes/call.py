"""A request as it was read, and what goes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import attrs

from support.kubernetes.access import Attempt, User


class HangUp(Exception):  # noqa: N818  # what is to be done, not a mistake
    """Close the connection without an answer."""


class Call(NamedTuple):
    """One request, read."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Any
    user: User | None
    """None when the token is good for nothing."""

    def value(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[-1]

    def on(self, name: str) -> bool:
        return self.value(name).lower() in ("1", "true")


@attrs.define(eq=False)
class Reply:
    """What goes back."""

    code: int
    body: Any = None
    """JSON, or bytes as they are; None when one of the next two is set."""
    stream: Iterator[bytes] | None = None
    """Chunks; an empty one asks to look whether the client is still there."""
    takeover: Callable[..., None] | None = None
    """Takes the connection over, for a WebSocket."""
    warnings: list[str] = attrs.field(factory=list)
    retry_after: int | None = None
    truncated: bool = False


@attrs.define(eq=False)
class Recorded:
    """A request that came, as tests look at it."""

    verb: str
    uri: str
    body: Any
    user: str
    agent: str
    attempt: Attempt | None = None
    code: int = 0
    """What was answered; 0 when nothing was."""
    begun: bool = False
    """Whether the answer is one that goes on for long, as a watch's, and its head went out."""

    @property
    def path(self) -> str:
        return urlsplit(self.uri).path


def read_call(
    method: str, target: str, headers: Mapping[str, str], data: bytes, user: User | None
) -> Call:
    """Read a request."""
    place = urlsplit(target)
    body: Any = None
    if data:
        try:
            body = json.loads(data)
        except ValueError:
            body = data  # told of by whoever wants JSON of it
    return Call(method, place.path, parse_qs(place.query), headers, body, user)
