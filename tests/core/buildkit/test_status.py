from __future__ import annotations

from dockyard.buildkit.status import nanoseconds, status_update
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
from dockyard.wire.codec import decode
from dockyard.wire.messages import STATUS_RESPONSE
from support.protos import protos

TIME = {"seconds": 1763712000, "nanos": 123456789}
TIME_NS = 1763712000123456789


def convert(values: dict[str, object]) -> StatusUpdate:
    data = protos().encode("moby.buildkit.v1.StatusResponse", values)
    return status_update(decode(STATUS_RESPONSE, data))


def test_an_empty_message_is_an_empty_update() -> None:
    assert convert({}) == StatusUpdate()


def test_a_vertex_keeps_all_that_the_daemon_says() -> None:
    update = convert(
        {
            "vertexes": [
                {
                    "digest": "sha256:a",
                    "name": "[1/2] RUN make",
                    "inputs": ["sha256:b", "sha256:c"],
                    "started": TIME,
                    "completed": {"seconds": 1763712001},
                    "cached": True,
                    "error": "exit code: 1",
                    "progressGroup": {"id": "g", "name": "group", "weak": True},
                }
            ]
        }
    )

    assert update.vertexes == (
        Vertex(
            digest="sha256:a",
            name="[1/2] RUN make",
            inputs=("sha256:b", "sha256:c"),
            started=TIME_NS,
            completed=1763712001_000000000,
            cached=True,
            error="exit code: 1",
            group=ProgressGroup(id="g", name="group", weak=True),
        ),
    )


def test_a_vertex_that_is_only_announced_has_no_times() -> None:
    assert convert({"vertexes": [{"digest": "d"}]}).vertexes == (Vertex(digest="d"),)


def test_a_start_at_the_epoch_is_a_start() -> None:
    vertex = convert({"vertexes": [{"digest": "d", "started": {}}]}).vertexes[0]

    assert vertex.started == 0
    assert vertex.completed is None


def test_statuses_and_logs_are_converted() -> None:
    update = convert(
        {
            "statuses": [
                {
                    "ID": "transferring context:",
                    "vertex": "d",
                    "name": "transferring",
                    "current": 10,
                    "total": 20,
                    "timestamp": TIME,
                    "started": TIME,
                    "completed": TIME,
                }
            ],
            "logs": [{"vertex": "d", "timestamp": TIME, "stream": 2, "msg": b"\xff\n"}],
        }
    )

    assert update.statuses == (
        VertexStatus(
            id="transferring context:",
            vertex="d",
            name="transferring",
            current=10,
            total=20,
            timestamp=TIME_NS,
            started=TIME_NS,
            completed=TIME_NS,
        ),
    )
    assert update.logs == (VertexLog(vertex="d", data=b"\xff\n", stream=2, timestamp=TIME_NS),)


def test_warnings_carry_their_source() -> None:
    update = convert(
        {
            "warnings": [
                {
                    "vertex": "d",
                    "level": 1,
                    "short": b"Rule: text (line 3)",
                    "detail": [b"more"],
                    "url": "https://example.com",
                    "info": {"filename": "Dockerfile", "data": b"FROM x", "language": "Dockerfile"},
                    "ranges": [
                        {"start": {"line": 3, "character": 1}, "end": {"line": 4, "character": 2}}
                    ],
                }
            ]
        }
    )

    assert update.warnings == (
        VertexWarning(
            vertex="d",
            level=1,
            short=b"Rule: text (line 3)",
            detail=(b"more",),
            url="https://example.com",
            source=SourceInfo(filename="Dockerfile", data=b"FROM x", language="Dockerfile"),
            ranges=(SourceRange(start_line=3, start_character=1, end_line=4, end_character=2),),
        ),
    )


def test_times_before_1970_are_negative() -> None:
    assert nanoseconds({"seconds": -1, "nanos": 5}) == -999_999_995
    assert nanoseconds(None) is None
