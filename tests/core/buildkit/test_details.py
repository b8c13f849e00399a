from __future__ import annotations

import base64
import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.buildkit.details import Details, excerpt, parse_details
from dockyard.events import SourceInfo, SourceRange
from support.protos import protos

PREFIX = "github.com/moby/buildkit/"


def status(*details: tuple[str, Any]) -> bytes:
    packed = [
        {
            "type_url": PREFIX + kind,
            "value": value if isinstance(value, bytes) else json.dumps(value).encode(),
        }
        for kind, value in details
    ]
    return protos().encode("google.rpc.Status", {"code": 2, "message": "m", "details": packed})


def source(text: str, first: int, last: int) -> dict[str, Any]:
    return {
        "info": {"filename": "Dockerfile", "data": base64.b64encode(text.encode()).decode()},
        "ranges": [{"start": {"line": first}, "end": {"line": last}}],
    }


TEXT = "FROM scratch\n\nCOPY a /\nRUN false\nCOPY b /\nCOPY c /\n"


def test_an_excerpt_points_at_the_failing_line() -> None:
    details = parse_details(status(("errdefs.Source+json", source(TEXT, 4, 4))))

    assert details.excerpts == (
        "Dockerfile:4\n"
        "--------------------\n"
        "   2 |     \n"
        "   3 |     COPY a /\n"
        "   4 | >>> RUN false\n"
        "   5 |     COPY b /\n"
        "   6 |     COPY c /\n"
        "--------------------",
    )


def test_an_excerpt_of_several_lines_has_less_around_it() -> None:
    details = parse_details(status(("errdefs.Source+json", source(TEXT, 3, 4))))

    assert [line[:10] for line in details.excerpts[0].split("\n")[2:-1]] == [
        "   2 |    ",
        "   3 | >>>",
        "   4 | >>>",
        "   5 |    ",
    ]


def test_an_excerpt_stops_at_the_ends_of_the_file() -> None:
    details = parse_details(status(("errdefs.Source+json", source("FROM x\nRUN y", 1, 9))))

    assert details.excerpts[0].split("\n")[2:-1] == ["   1 | >>> FROM x", "   2 | >>> RUN y"]


@pytest.mark.parametrize(("first", "last"), [(0, 0), (99, 99), (-1, 2)])
def test_ranges_outside_of_the_file_give_no_excerpt(first: int, last: int) -> None:
    assert parse_details(status(("errdefs.Source+json", source(TEXT, first, last)))).excerpts == ()


def test_no_ranges_give_no_excerpt() -> None:
    assert excerpt(SourceInfo(data=b"FROM x"), ()) is None


def test_keys_are_read_in_any_case() -> None:
    old = {
        "Info": {"Filename": "D", "Data": base64.b64encode(b"RUN a").decode()},
        "Ranges": [{"Start": {"Line": 1}, "End": {"Line": 1}}],
    }

    details = parse_details(status(("errdefs.Source+json", old)))

    assert details.excerpts[0].startswith("D:1\n")


def test_every_source_is_shown_in_the_order_of_the_list_after_refusals() -> None:
    details = parse_details(
        status(
            ("errdefs.Source+json", source("A", 1, 1)),
            ("policysession.DecisionResponse+json", {"denyMessages": [{"message": "no"}, {}]}),
            ("errdefs.Source+json", source("B", 1, 1)),
        )
    )

    assert [text.split("\n")[0] for text in details.excerpts] == [
        "Policy: no",
        "Dockerfile:1",
        "Dockerfile:1",
    ]
    assert "A" in details.excerpts[1]


def test_vertex_exit_code_and_stacks_are_read() -> None:
    frames = [{"Name": "main.run", "File": "/src/main.go", "Line": 12}]
    stack = {"frames": frames, "cmdline": ["buildkitd", "-D"], "pid": 7, "version": "v0.13"}
    details = parse_details(
        status(
            ("errdefs.Vertex+json", {"digest": "sha256:a"}),
            ("errdefs.Vertex+json", {"digest": "sha256:b"}),
            ("gatewayapi.ExitMessage+json", {"Code": 3}),
            ("stack.Stack+json", stack),
        )
    )

    assert details.vertex == "sha256:a"
    assert details.exit_code == 3
    assert details.stacks == ("7 v0.13 buildkitd -D\nmain.run\n\t/src/main.go:12",)
    assert details.message == "m"


def test_what_cannot_be_read_is_left_out() -> None:
    details = parse_details(
        status(
            ("errdefs.Source+json", b"\xff{"),
            ("errdefs.Source+json", []),
            ("errdefs.Source+json", {"info": [], "ranges": {}}),
            ("errdefs.Source+json", {"info": {"data": "***"}, "ranges": [{"start": {"line": 1}}]}),
            ("errdefs.Vertex+json", {"digest": 5}),
            ("errdefs.Unheard+json", {"a": 1}),
            ("gatewayapi.ExitMessage+json", {"Code": "x"}),
            ("stack.Stack+json", {"frames": [[], {"Name": 5}]}),
        )
    )

    assert details == Details(message="m", stacks=("0 \n\n\t:0\n\n\t:0",))


def test_deeply_nested_json_is_left_out() -> None:
    deep = b'{"info":' + b"[" * 100_000

    assert parse_details(status(("errdefs.Source+json", deep))).excerpts == ()


@given(st.binary(max_size=200))
def test_garbage_never_raises(data: bytes) -> None:
    assert parse_details(data) is not None


@given(
    text=st.text(max_size=60),
    ranges=st.lists(st.tuples(st.integers(-3, 12), st.integers(-3, 12)), max_size=3),
)
def test_any_range_gives_an_excerpt_within_the_file_or_none(
    text: str, ranges: list[tuple[int, int]]
) -> None:
    info = SourceInfo(filename="D", data=text.encode())
    shown = excerpt(info, [SourceRange(start_line=a, end_line=b) for a, b in ranges])

    if shown is not None:
        numbers = [int(line[:5]) for line in shown.split("\n")[2:-1]]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert 1 <= numbers[0] <= numbers[-1] <= len(text.split("\n"))


def test_ranges_without_number_are_marked_without_delay() -> None:
    source = SourceInfo(filename="Dockerfile", data=b"\n" * 100_000)
    ranges = [SourceRange(start_line=1, end_line=10**12)] * 50_000
    begun = process_time()

    shown = excerpt(source, ranges)

    assert shown is not None
    assert shown.count(">>>") == 100_001
    assert process_time() - begun < 10  # it would be hours
