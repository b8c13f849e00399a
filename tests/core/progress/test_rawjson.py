"""JSON with the key names of BuildKit's Go client."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from dockyard.progress import make_display
from dockyard.progress.rawjson import rfc3339

NOON = 1_700_000_000_000_000_000


def written(*updates: StatusUpdate) -> str:
    stream = io.StringIO()
    display = make_display("rawjson", stream, environment={}, builder="b", driver="d")
    for update in updates:
        display.update(update)
    display.tick()
    display.close(True)
    return stream.getvalue()


def parsed(update: StatusUpdate) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(written(update))
    return value


def test_a_vertex_has_gos_key_names() -> None:
    vertex = Vertex(
        digest="sha256:a",
        name="RUN make",
        inputs=("sha256:b",),
        started=NOON,
        completed=NOON + 1_500_000_000,
        cached=True,
        error="no",
        group=ProgressGroup(id="g", name="group", weak=True),
    )

    assert parsed(StatusUpdate(vertexes=(vertex,))) == {
        "vertexes": [
            {
                "digest": "sha256:a",
                "inputs": ["sha256:b"],
                "name": "RUN make",
                "started": "2023-11-14T22:13:20Z",
                "completed": "2023-11-14T22:13:21.5Z",
                "cached": True,
                "error": "no",
                "progressGroup": {"id": "g", "name": "group", "weak": True},
            }
        ]
    }


def test_a_status_has_gos_key_names() -> None:
    status = VertexStatus(
        id="layer",
        vertex="sha256:a",
        name="extracting",
        current=1,
        total=2,
        timestamp=NOON,
        started=NOON,
        completed=NOON,
    )

    assert parsed(StatusUpdate(statuses=(status,))) == {
        "statuses": [
            {
                "id": "layer",
                "vertex": "sha256:a",
                "name": "extracting",
                "total": 2,
                "current": 1,
                "timestamp": "2023-11-14T22:13:20Z",
                "started": "2023-11-14T22:13:20Z",
                "completed": "2023-11-14T22:13:20Z",
            }
        ]
    }


def test_a_log_and_a_warning_have_gos_key_names() -> None:
    warning = VertexWarning(
        vertex="sha256:a",
        short=b"short",
        level=1,
        detail=(b"detail",),
        url="https://example.com",
        source=SourceInfo(filename="Dockerfile", data=b"FROM x", language="Dockerfile"),
        ranges=(SourceRange(start_line=1, end_line=2, end_character=3),),
    )
    log = VertexLog(vertex="sha256:a", data=b"line\n", stream=2, timestamp=NOON)

    assert parsed(StatusUpdate(logs=(log,), warnings=(warning,))) == {
        "logs": [
            {
                "vertex": "sha256:a",
                "stream": 2,
                "data": "bGluZQo=",
                "timestamp": "2023-11-14T22:13:20Z",
            }
        ],
        "warnings": [
            {
                "vertex": "sha256:a",
                "level": 1,
                "short": "c2hvcnQ=",
                "detail": ["ZGV0YWls"],
                "url": "https://example.com",
                "sourceInfo": {
                    "filename": "Dockerfile",
                    "data": "RlJPTSB4",
                    "language": "Dockerfile",
                },
                "range": [{"start": {"line": 1}, "end": {"line": 2, "character": 3}}],
            }
        ],
    }


def test_empty_fields_are_left_out_except_those_that_go_always_writes() -> None:
    update = StatusUpdate(
        vertexes=(Vertex(digest=""),),
        statuses=(VertexStatus(id="", vertex=""),),
        logs=(VertexLog(vertex="", data=b"", stream=0),),
        warnings=(VertexWarning(vertex=""),),
    )

    assert parsed(update) == {
        "vertexes": [{}],
        "statuses": [{"id": "", "current": 0, "timestamp": "1970-01-01T00:00:00Z"}],
        "logs": [{"data": "", "timestamp": "1970-01-01T00:00:00Z"}],
        "warnings": [{}],
    }


def test_every_update_is_one_line() -> None:
    update = StatusUpdate(vertexes=(Vertex(digest="d", name="two\nlines"),))

    assert written(update, StatusUpdate(), update).splitlines() == [
        '{"vertexes":[{"digest":"d","name":"two\\nlines"}]}',
        "{}",
        '{"vertexes":[{"digest":"d","name":"two\\nlines"}]}',
    ]


def test_angle_brackets_ampersands_and_line_separators_are_escaped() -> None:
    text = written(StatusUpdate(vertexes=(Vertex(digest="d", name="<a> & b \u2028 \u00e9"),)))

    assert text == (
        '{"vertexes":[{"digest":"d","name":"\\u003ca\\u003e \\u0026 b \\u2028 \u00e9"}]}\n'
    )


def test_a_name_that_is_no_text_is_still_json() -> None:
    update = StatusUpdate(vertexes=(Vertex(digest="d", name="half \udc80"),))

    assert parsed(update)["vertexes"][0]["name"] == "half \ufffd"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (NOON + 120_000_000, "2023-11-14T22:13:20.12Z"),
        (10**30, "9999-12-31T23:59:59Z"),
        (-(10**30), "0001-01-01T00:00:00Z"),
    ],
)
def test_times_have_as_many_decimals_as_they_need(nanoseconds: int, text: str) -> None:
    assert rfc3339(nanoseconds) == text


@given(st.text(), st.integers(-(2**63), 2**63), st.binary())
def test_any_text_makes_one_line_of_json(name: str, time: int, data: bytes) -> None:
    update = StatusUpdate(
        vertexes=(Vertex(digest=name, name=name, started=time),),
        logs=(VertexLog(vertex=name, data=data, timestamp=time),),
    )

    text = written(update)

    assert text.count("\n") == 1
    assert json.loads(text)["vertexes"][0].get("name", "") == name
