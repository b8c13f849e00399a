from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.building.call.result import (
    CallResult,
    LintResult,
    Method,
    Methods,
    Outline,
    OutlineItem,
    Target,
    Targets,
    call_result,
)
from dockyard.errors import ProtocolError

TEXT = b"FROM scratch as x\nFOO bar\n"
SOURCES = [{"filename": "Dockerfile", "data": base64.b64encode(TEXT).decode()}]


def read(name: str, values: Any) -> CallResult:  # noqa: ANN401  # JSON
    return call_result(name, {"result.json": json.dumps(values)})


def place(line: int, source: int = 0) -> dict[str, Any]:
    return {"sourceIndex": source, "ranges": [{"start": {"line": line}, "end": {"line": line}}]}


def test_a_check_gives_its_warnings_with_their_places() -> None:
    warning = {"ruleName": "R", "url": "u", "detail": "d", "location": place(1)}

    result = read("check", {"warnings": [warning], "sources": SOURCES})

    assert isinstance(result, LintResult)
    (found,) = result.warnings
    assert (found.rule, found.url, found.detail, found.line) == ("R", "u", "d", 1)
    assert found.source is not None
    assert found.source.data == TEXT
    assert not result.ok


def test_a_check_that_cannot_even_read_the_dockerfile_gives_the_error() -> None:
    failure = {"message": "unknown instruction: FOO", "location": place(2)}

    result = read("lint", {"warnings": None, "sources": SOURCES, "buildError": failure})

    assert isinstance(result, LintResult)
    assert result.error is not None
    assert result.error.message == "unknown instruction: FOO"
    assert result.error.ranges[0].start_line == 2
    assert not result.ok


def test_a_check_without_findings_is_ok() -> None:
    result = read("check", {"warnings": None, "sources": SOURCES})

    assert isinstance(result, LintResult)
    assert result.ok


def test_a_warning_may_be_about_no_place() -> None:
    warnings = [{"ruleName": "A", "location": {"sourceIndex": -1}}, {"ruleName": "B"}]

    result = read("check", {"warnings": warnings, "sources": None})

    assert isinstance(result, LintResult)
    assert [(one.rule, one.source, one.line) for one in result.warnings] == [
        ("A", None, 0),
        ("B", None, 0),
    ]


def test_an_outline_lists_what_a_target_can_be_given() -> None:
    result = read(
        "outline",
        {
            "name": "final",
            "description": "d",
            "args": [{"name": "A", "value": "1", "description": "an arg"}],
            "secrets": [{"name": "s", "required": True}],
            "ssh": None,
        },
    )

    assert isinstance(result, Outline)
    assert (result.name, result.description) == ("final", "d")
    assert result.args == (OutlineItem(name="A", value="1", description="an arg"),)
    assert result.secrets == (OutlineItem(name="s", required=True),)
    assert result.ssh == ()


def test_targets_and_methods_are_lists() -> None:
    targets = read("targets", {"targets": [{"name": "a", "default": True, "base": "scratch"}]})
    methods = read("subrequests.describe", [{"name": "frontend.outline", "version": "1.0.0"}])

    assert isinstance(targets, Targets)
    assert targets.targets == (Target(name="a", default=True, base="scratch"),)
    assert isinstance(methods, Methods)
    assert methods.methods == (Method(name="outline", version="1.0.0"),)


def test_what_another_method_answers_is_given_as_it_is() -> None:
    result = call_result("foo", {"result.json": "no json"})

    assert type(result) is CallResult
    assert result.answer == {"result.json": "no json"}


@pytest.mark.parametrize(("text", "status"), [("1", 1), ("0", 0), ("", 0), ("x", 0), ("9999", 0)])
def test_the_status_is_the_frontends(text: str, status: int) -> None:
    assert CallResult(answer={"result.statuscode": text}).status == status


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("check", []),
        ("check", {"warnings": {}}),
        ("check", {"warnings": [1]}),
        ("check", {"warnings": [{"ruleName": 5}]}),
        ("check", {"warnings": [{"location": place(1, 7)}], "sources": SOURCES}),
        ("check", {"warnings": [{"location": place(1)}], "sources": [None]}),
        ("check", {"sources": [{"data": "not base64!"}]}),
        ("outline", {"args": [{"name": True}]}),
        ("targets", {"targets": "x"}),
        ("subrequests.describe", {}),
    ],
)
def test_an_answer_of_the_wrong_form_is_an_error(name: str, values: object) -> None:
    with pytest.raises(ProtocolError, match=f"what the frontend answers to {name} makes no sense"):
        read(name, values)


def test_an_answer_that_is_no_json_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="makes no sense"):
        call_result("outline", {"result.json": "{" * 10_000})


KEYS = st.sampled_from(
    [
        "warnings",
        "sources",
        "location",
        "ranges",
        "start",
        "line",
        "data",
        "args",
        "name",
        "targets",
    ]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(["check", "outline", "targets", "subrequests.describe"]), JSON)
def test_any_json_is_read_or_refused(name: str, values: Any) -> None:  # noqa: ANN401
    try:
        result = read(name, values)
    except ProtocolError:
        return
    assert isinstance(result, CallResult)
