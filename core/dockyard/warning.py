"""Warnings that come with a build's status. Found in :mod:`dockyard.events`."""

from __future__ import annotations

from attrs import frozen

from dockyard.value import Value


@frozen(kw_only=True, eq=False, repr=False)
class SourceInfo(Value):
    """A source file that a warning or an error points into."""

    filename: str = ""
    data: bytes = b""
    language: str = ""


@frozen(kw_only=True, eq=False, repr=False)
class SourceRange(Value):
    """Lines and characters of a source, lines counted from 1."""

    start_line: int = 0
    start_character: int = 0
    end_line: int = 0
    end_character: int = 0


@frozen(kw_only=True, eq=False, repr=False)
class VertexWarning(Value):
    """A warning that BuildKit or a frontend gave."""

    vertex: str
    short: bytes = b""
    level: int = 0
    detail: tuple[bytes, ...] = ()
    url: str = ""
    source: SourceInfo | None = None
    ranges: tuple[SourceRange, ...] = ()
