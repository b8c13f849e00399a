"""What happens during a build, as values: steps, their progress, their output, warnings.

BuildKit's status stream, and what drivers and Dockyard itself report, all become
:class:`StatusUpdate` values; the displays and the Python API see nothing else.
Times are integers, nanoseconds since the epoch.
"""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class ProgressGroup:
    """Steps that a display shows as one."""

    id: str
    name: str = ""
    weak: bool = False


@frozen(kw_only=True)
class Vertex:
    """One step of a build. A later value of the same digest replaces the earlier one whole."""

    digest: str
    name: str = ""
    inputs: tuple[str, ...] = ()
    started: int | None = None
    completed: int | None = None
    cached: bool = False
    error: str = ""
    group: ProgressGroup | None = None


@frozen(kw_only=True)
class VertexStatus:
    """Progress inside a step. ``id`` is the text to show; ``name`` says what is being done."""

    id: str
    vertex: str
    name: str = ""
    current: int = 0
    total: int = 0
    timestamp: int = 0
    started: int | None = None
    completed: int | None = None


@frozen(kw_only=True)
class VertexLog:
    """Output of a step, as raw bytes that may end in the middle of a line."""

    vertex: str
    data: bytes
    stream: int = 1
    """1 is standard output, 2 standard error."""
    timestamp: int = 0


@frozen(kw_only=True)
class SourceInfo:
    """A source file that a warning or an error points into."""

    filename: str = ""
    data: bytes = b""
    language: str = ""


@frozen(kw_only=True)
class SourceRange:
    """Lines and characters of a source, lines counted from 1."""

    start_line: int = 0
    start_character: int = 0
    end_line: int = 0
    end_character: int = 0


@frozen(kw_only=True)
class VertexWarning:
    """A warning that BuildKit or a frontend gave."""

    vertex: str
    short: bytes = b""
    level: int = 0
    detail: tuple[bytes, ...] = ()
    url: str = ""
    source: SourceInfo | None = None
    ranges: tuple[SourceRange, ...] = ()


@frozen(kw_only=True)
class StatusUpdate:
    """What became known at one moment of a build."""

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[VertexStatus, ...] = ()
    logs: tuple[VertexLog, ...] = ()
    warnings: tuple[VertexWarning, ...] = ()
