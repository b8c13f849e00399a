"""Progress: from the status stream's messages to events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockyard.events import ProgressGroup, StatusUpdate, Vertex, VertexLog, VertexStatus

if TYPE_CHECKING:
    from dockyard.events import SourceInfo, SourceRange, VertexWarning

Values = Mapping[str, Any]


def status_update(message: Values) -> StatusUpdate:
    """Turn a decoded ``StatusResponse`` into an event."""
    return StatusUpdate(
        vertexes=tuple([_vertex(one) for one in message.get("vertexes", ())]),
        statuses=tuple([_status(one) for one in message.get("statuses", ())]),
        logs=tuple([_log(one) for one in message.get("logs", ())]),
        warnings=tuple([_warning(one) for one in message.get("warnings", ())]),
    )


def nanoseconds(timestamp: Values | None) -> int | None:
    """A ``Timestamp`` as nanoseconds since 1970; None when there is none."""
    if timestamp is None:
        return None
    seconds: int = timestamp.get("seconds", 0)
    nanos: int = timestamp.get("nanos", 0)
    return seconds * 1_000_000_000 + nanos


def _vertex(values: Values) -> Vertex:
    get = values.get
    group = get("progressGroup")
    return Vertex(
        digest=get("digest", ""),
        name=get("name", ""),
        inputs=tuple(get("inputs", ())),
        started=nanoseconds(get("started")),
        completed=nanoseconds(get("completed")),
        cached=get("cached", False),
        error=get("error", ""),
        group=None if group is None else _group(group),
    )


def _group(values: Values) -> ProgressGroup:
    return ProgressGroup(
        id=values.get("id", ""), name=values.get("name", ""), weak=values.get("weak", False)
    )


def _status(values: Values) -> VertexStatus:
    get = values.get
    return VertexStatus(
        id=get("ID", ""),
        vertex=get("vertex", ""),
        name=get("name", ""),
        current=get("current", 0),
        total=get("total", 0),
        timestamp=nanoseconds(get("timestamp")) or 0,
        started=nanoseconds(get("started")),
        completed=nanoseconds(get("completed")),
    )


def _log(values: Values) -> VertexLog:
    get = values.get
    return VertexLog(
        vertex=get("vertex", ""),
        data=get("msg", b""),
        stream=get("stream", 0),
        timestamp=nanoseconds(get("timestamp")) or 0,
    )


def _warning(values: Values) -> VertexWarning:
    from dockyard.events import VertexWarning

    get = values.get
    info = get("info")
    return VertexWarning(
        vertex=get("vertex", ""),
        short=get("short", b""),
        level=get("level", 0),
        detail=tuple(get("detail", ())),
        url=get("url", ""),
        source=None if info is None else _source(info),
        ranges=tuple([_range(one) for one in get("ranges", ())]),
    )


def _source(values: Values) -> SourceInfo:
    from dockyard.events import SourceInfo

    return SourceInfo(
        filename=values.get("filename", ""),
        data=values.get("data", b""),
        language=values.get("language", ""),
    )


def _range(values: Values) -> SourceRange:
    from dockyard.events import SourceRange

    start, end = values.get("start", {}), values.get("end", {})
    return SourceRange(
        start_line=start.get("line", 0),
        start_character=start.get("character", 0),
        end_line=end.get("line", 0),
        end_character=end.get("character", 0),
    )
