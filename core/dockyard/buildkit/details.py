"""What a failed build says about itself: the details of its gRPC status.

BuildKit packs them as ``Any`` values whose content is JSON, not protobuf. The case of the keys
changed over the years, so they are read without regard to it. Docker Engine 20.10 sends none.
Whatever cannot be read is left out: the details explain an error and must never hide it.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dockyard.errors import ErrorSource
from dockyard.events import SourceInfo, SourceRange
from dockyard.wire.codec import CodecError, decode
from dockyard.wire.messages import RPC_STATUS

_PREFIX = "github.com/moby/buildkit/"
_RULE = "-" * 20


class Details(NamedTuple):
    """The readable part of a status's details, outermost error first."""

    message: str = ""
    """The status's own message, whole where the trailer's may be cut."""
    excerpts: tuple[str, ...] = ()
    """What to print before the error: refusals of a policy, then lines of the Dockerfile."""
    vertex: str | None = None
    """The digest of the step that failed."""
    exit_code: int | None = None
    """The exit code of the step's process."""
    stacks: tuple[str, ...] = ()
    """Where in the daemon's source it happened."""
    sources: tuple[ErrorSource, ...] = ()
    """The lines of the Dockerfile that the daemon pointed at."""
    denied: bool = False
    """Whether a policy refused something."""
    subrequest: str | None = None
    """The request that the frontend does not know."""
    capability: str | None = None
    """What the frontend cannot do."""


def parse_details(data: bytes) -> Details:
    """Read a serialised ``google.rpc.Status``; empty details when it is none."""
    try:
        status = decode(RPC_STATUS, data)
    except CodecError:
        return Details()
    found: dict[str, list[dict[str, Any]]] = {}
    for detail in status.get("details", ()):
        kind = detail.get("type_url", "").removeprefix(_PREFIX)
        values = _parse_json(detail.get("value", b""))
        if values is not None:
            found.setdefault(kind, []).append(values)
    decisions = found.get("policysession.DecisionResponse+json", ())
    pointed = list(filter(None, map(_pointed, found.get("errdefs.Source+json", ()))))
    return Details(
        message=status.get("message", ""),
        excerpts=(*_denials(decisions), *filter(None, (excerpt(*one) for one in pointed))),
        vertex=_first(found.get("errdefs.Vertex+json", ()), "digest", str),
        exit_code=_first(found.get("gatewayapi.ExitMessage+json", ()), "code", int),
        stacks=tuple(map(_stack, found.get("stack.Stack+json", ()))),
        sources=tuple(filter(None, (_error_source(*one) for one in pointed))),
        denied=bool(decisions),
        subrequest=_first(found.get("errdefs.Subrequest+json", ()), "name", str),
        capability=_first(found.get("errdefs.FrontendCap+json", ()), "name", str),
    )


def excerpt(source: SourceInfo, ranges: Sequence[SourceRange]) -> str | None:
    """The lines of a source that the ranges point at, with a few around them and an arrow.

    None when there is no source, or they point outside of it.
    """
    lines = source.data.decode("utf-8", "replace").split("\n")
    spans = [(one.start_line, max(one.start_line, one.end_line)) for one in ranges]
    first = min((start for start, _ in spans), default=0)
    if not source.data or not 1 <= first <= len(lines):
        return None
    last = min(max(end for _, end in spans), len(lines))
    start, end = _around(first, last, len(lines))
    marked = _covered(spans, last)
    shown = [
        f" {number:3d} | {'>>>' if number in marked else '   '} {lines[number - 1]}"
        for number in range(start, end + 1)
    ]
    return "\n".join([f"{source.filename}:{first}", _RULE, *shown, _RULE])


def _covered(spans: Sequence[tuple[int, int]], last: int) -> set[int]:
    """Give the numbers from any span's start to its end, looking at none of them twice."""
    covered: set[int] = set()
    number = 0
    for start, end in sorted(spans):
        number = max(number, start)
        stop = min(end, last) + 1
        covered.update(range(number, stop))
        number = max(number, stop)
    return covered


def _around(start: int, end: int, count: int) -> tuple[int, int]:
    """Add lines of surroundings: up to four for a single line, two otherwise."""
    budget = 4 if start == end else 2
    used = 0
    while used < budget:
        if start > 1:
            start -= 1
            used += 1
        if end < count:
            end += 1
            used += 1
        used += 1
    return start, end


# --- JSON as the daemon writes it ----------------------------------------------------------


def _parse_json(data: bytes) -> dict[str, Any] | None:
    import json

    try:
        values = _lower(json.loads(data))
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _lower(value: Any) -> Any:  # noqa: ANN401  # JSON
    if isinstance(value, dict):
        return {key.lower(): _lower(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_lower(one) for one in value]
    return value


def _get(values: object, key: str, kind: type) -> Any:  # noqa: ANN401  # of the kind
    """A value of the kind that is expected; the kind's empty value otherwise."""
    found = values.get(key) if isinstance(values, dict) else None
    return found if isinstance(found, kind) else kind()


def _first(found: Sequence[Mapping[str, Any]], key: str, kind: type) -> Any:  # noqa: ANN401
    for values in found:
        if isinstance(values.get(key), kind):
            return values[key]
    return None


def _pointed(values: Mapping[str, Any]) -> tuple[SourceInfo, list[SourceRange]] | None:
    """Read a source, and what of it was pointed at."""
    info = _get(values, "info", dict)
    try:
        data = a2b_base64(_get(info, "data", str), strict_mode=True)
    except (Base64Error, ValueError):
        return None
    source = SourceInfo(filename=_get(info, "filename", str), data=data)
    return source, [_range(one) for one in _get(values, "ranges", list)]


def _error_source(source: SourceInfo, ranges: Sequence[SourceRange]) -> ErrorSource | None:
    first = min((one.start_line for one in ranges), default=0)
    if first < 1:
        return None
    return ErrorSource(
        filename=source.filename,
        first_line=first,
        last_line=max(max(one.start_line, one.end_line) for one in ranges),
        data=source.data,
    )


def _range(values: object) -> SourceRange:
    start, end = _get(values, "start", dict), _get(values, "end", dict)
    return SourceRange(start_line=_get(start, "line", int), end_line=_get(end, "line", int))


def _denials(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"Policy: {text}"
        for values in found
        for message in _get(values, "denymessages", list)
        if (text := _get(message, "message", str))
    ]


def _stack(values: Mapping[str, Any]) -> str:
    """A stack as Go programs print it."""
    words = [str(_get(values, "pid", int)), _get(values, "version", str)]
    head = " ".join([*words, *(str(word) for word in _get(values, "cmdline", list))])
    frames = [
        f"{_get(frame, 'name', str)}\n\t{_get(frame, 'file', str)}:{_get(frame, 'line', int)}"
        for frame in _get(values, "frames", list)
    ]
    return "\n".join([head, *frames])
