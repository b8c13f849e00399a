"""What happens during a build, as values: steps, their progress, their output, warnings.

BuildKit's status stream, and what drivers and Dockyard itself report, all become
:class:`StatusUpdate` values; the displays and the Python API see nothing else.
Times are integers, nanoseconds since the epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from dockyard.value import Value

if TYPE_CHECKING:
    from dockyard.warning import SourceInfo, SourceRange, VertexWarning

__all__ = [
    "ProgressGroup",
    "SourceInfo",
    "SourceRange",
    "StatusUpdate",
    "Vertex",
    "VertexLog",
    "VertexStatus",
    "VertexWarning",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # module attributes have any type
    # Few builds have warnings: only who meets one pays for making the classes.
    if name in ("SourceInfo", "SourceRange", "VertexWarning"):
        from dockyard import warning

        return getattr(warning, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@frozen(kw_only=True, eq=False, repr=False)
class ProgressGroup(Value):
    """Steps that a display shows as one."""

    id: str
    name: str = ""
    weak: bool = False


@frozen(kw_only=True, eq=False, repr=False)
class Vertex(Value):
    """One step of a build. A later value of the same digest replaces the earlier one whole."""

    digest: str
    name: str = ""
    inputs: tuple[str, ...] = ()
    started: int | None = None
    completed: int | None = None
    cached: bool = False
    error: str = ""
    group: ProgressGroup | None = None


@frozen(kw_only=True, eq=False, repr=False)
class VertexStatus(Value):
    """Progress inside a step. ``id`` is the text to show; ``name`` says what is being done."""

    id: str
    vertex: str
    name: str = ""
    current: int = 0
    total: int = 0
    timestamp: int = 0
    started: int | None = None
    completed: int | None = None


@frozen(kw_only=True, eq=False, repr=False)
class VertexLog(Value):
    """Output of a step, as raw bytes that may end in the middle of a line."""

    vertex: str
    data: bytes
    stream: int = 1
    """1 is standard output, 2 standard error."""
    timestamp: int = 0


@frozen(kw_only=True, eq=False, repr=False)
class StatusUpdate(Value):
    """What became known at one moment of a build."""

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[VertexStatus, ...] = ()
    logs: tuple[VertexLog, ...] = ()
    warnings: tuple[VertexWarning, ...] = ()
