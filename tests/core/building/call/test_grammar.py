from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.building.call.grammar import Call, method, parse_call
from dockyard.errors import InputError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("check", Call(name="lint")),
        ("lint", Call(name="lint")),
        ("outline", Call(name="outline")),
        ("subrequests.describe", Call(name="subrequests.describe")),
        ("targets,format=json", Call(name="targets", format="json")),
        ("format=json,targets", Call(name="targets", format="json")),
        ("check,ignorestatus=true", Call(name="lint", ignore_status=True)),
        ("check,ignorestatus=0", Call(name="lint")),
        ("build", None),
        ("build,format=json", None),
        ("", None),
    ],
)
def test_a_call_is_a_name_and_how_to_show_its_result(value: str, expected: Call | None) -> None:
    assert parse_call(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a,b", "invalid print value: a,b"),
        ("a,b=c", "invalid print field: b=c"),
        (
            "a,ignorestatus=x",
            'invalid ignorestatus print value: x: strconv.ParseBool: parsing "x": invalid syntax',
        ),
        (",format=json", "invalid print value: ,format=json"),
        ("format=json", "invalid print value: format=json"),
    ],
)
def test_what_is_no_call_is_said(value: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_call(value)

    assert str(caught.value) == message


@given(st.text(max_size=40) | st.text(alphabet='abcheck,="format', max_size=30))
def test_any_text_is_a_call_or_an_error_that_says_why(value: str) -> None:
    call = None
    with suppress(InputError):
        call = parse_call(value)

    assert call is None or call.name


def test_check_is_the_frontends_lint() -> None:
    assert [method(name) for name in ("check", "lint", "outline")] == ["lint", "lint", "outline"]
