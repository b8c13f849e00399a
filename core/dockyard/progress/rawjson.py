"""The display of one JSON object for each update, with the key names of BuildKit's Go client."""

from __future__ import annotations

import base64
import json
import re
import threading
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from dockyard.events import (
    ProgressGroup,
    SourceInfo,
    SourceRange,
    StatusUpdate,
    Vertex,
    VertexLog,
    VertexStatus,
    VertexWarning,
)
from dockyard.progress.output import Output

_SECOND = 1_000_000_000
_FIRST_SECOND = -62_135_596_800  # the year 1
_LAST_SECOND = 253_402_300_799  # the end of the year 9999

# What Go's encoder escapes for the sake of HTML and JavaScript; all occur inside strings only.
_ESCAPED = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


class RawJsonDisplay:
    """Writes every update at once, as a line of JSON."""

    mode = "rawjson"
    interval: float | None = None

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.RLock()

    def update(self, update: StatusUpdate, /) -> None:
        line = json.dumps(_update(update), ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            self._output.write(_ESCAPED.sub(_escape, line) + "\n")

    def tick(self) -> None:
        """Do nothing: nothing is held back."""

    def close(self, failed: bool = False) -> None:
        """Do nothing: everything has been written."""


def _escape(match: re.Match[str]) -> str:
    char = match.group()
    # Half of a surrogate pair is no text; it comes from a file name that is not UTF-8.
    return "\ufffd" if "\ud800" <= char <= "\udfff" else f"\\u{ord(char):04x}"


def rfc3339(nanoseconds: int) -> str:
    """Spell a time as Go does: UTC, with as many decimals as it needs."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    decimals = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{_whole_second(seconds)}{decimals}Z"


@lru_cache(maxsize=64)
def _whole_second(seconds: int) -> str:
    seconds = min(max(seconds, _FIRST_SECOND), _LAST_SECOND)
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def _update(update: StatusUpdate) -> dict[str, Any]:
    return _present(
        vertexes=[_vertex(vertex) for vertex in update.vertexes],
        statuses=[_status(status) for status in update.statuses],
        logs=[_log(log) for log in update.logs],
        warnings=[warning_values(warning) for warning in update.warnings],
    )


def _vertex(vertex: Vertex) -> dict[str, Any]:
    return _present(
        digest=vertex.digest,
        inputs=list(vertex.inputs),
        name=vertex.name,
        started=_time(vertex.started),
        completed=_time(vertex.completed),
        cached=vertex.cached,
        error=vertex.error,
        progressGroup=vertex.group and _group(vertex.group),
    )


def _group(group: ProgressGroup) -> dict[str, Any]:
    return _present(id=group.id, name=group.name, weak=group.weak)


def _status(status: VertexStatus) -> dict[str, Any]:
    return {
        "id": status.id,
        **_present(vertex=status.vertex, name=status.name, total=status.total),
        "current": status.current,
        "timestamp": rfc3339(status.timestamp),
        **_present(started=_time(status.started), completed=_time(status.completed)),
    }


def _log(log: VertexLog) -> dict[str, Any]:
    return {
        **_present(vertex=log.vertex, stream=log.stream),
        "data": _base64(log.data),
        "timestamp": rfc3339(log.timestamp),
    }


def warning_values(warning: VertexWarning) -> dict[str, Any]:
    """Give a warning as JSON has it."""
    return _present(
        vertex=warning.vertex,
        level=warning.level,
        short=_base64(warning.short),
        detail=[_base64(detail) for detail in warning.detail],
        url=warning.url,
        sourceInfo=warning.source and _source(warning.source),
        range=[_range(each) for each in warning.ranges],
    )


def _source(source: SourceInfo) -> dict[str, Any]:
    return _present(filename=source.filename, data=_base64(source.data), language=source.language)


def _range(each: SourceRange) -> dict[str, Any]:
    return {
        "start": _present(line=each.start_line, character=each.start_character),
        "end": _present(line=each.end_line, character=each.end_character),
    }


def _present(**values: object) -> dict[str, Any]:
    """Return the values that are not empty, zero or absent; an empty object is present."""
    return {name: value for name, value in values.items() if value or value == {}}


def _time(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else rfc3339(nanoseconds)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
