from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.building.grammar.number import byte_count, integer, ulimit


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("+5", 5), ("-5", -5), ("007", 7), (str((1 << 63) - 1), (1 << 63) - 1)],
)
def test_a_number_is_decimal(text: str, value: int) -> None:
    assert integer(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "invalid syntax"),
        ("1_0", "invalid syntax"),
        (" 1", "invalid syntax"),
        ("0x10", "invalid syntax"),
        ("٣", "invalid syntax"),
        (str(1 << 63), "value out of range"),
        ("9" * 5000, "value out of range"),
    ],
)
def test_what_is_no_number_is_refused_as_go_does(text: str, why: str) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f'strconv.ParseInt: parsing "{text}": {why}') + "$"
    ):
        integer(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("64m", 64 << 20),
        ("64 MB", 64 << 20),
        ("1g", 1 << 30),
        ("1.5k", 1536),
        (".5m", 1 << 19),
        ("5.", 5),
        ("2KiB", 2048),
        ("3b", 3),
        ("1e3", 1000),
        ("+1_000", 1000),
        ("1p", 1 << 50),
    ],
)
def test_sizes_have_binary_units(text: str, value: int) -> None:
    assert byte_count(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("foo", "invalid size: 'foo'"),
        ("", "invalid size: ''"),
        ("inf", "invalid size: 'inf'"),
        ("-1", "invalid size: '-1'"),
        ("99999999999999999999", "invalid size: '99999999999999999999'"),
        ("1X", "invalid suffix: 'x'"),
        ("1ib", "invalid suffix: 'ib'"),
        ("1gibi", "invalid suffix: 'gibi'"),
        ("64m ", 'strconv.ParseFloat: parsing "64m": invalid syntax'),
        (" 64m", 'strconv.ParseFloat: parsing " 64": invalid syntax'),
        ("1e999", 'strconv.ParseFloat: parsing "1e999": value out of range'),
        (".", 'strconv.ParseFloat: parsing ".": invalid syntax'),
    ],
)
def test_what_is_no_size_is_refused_as_go_does(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        byte_count(text)


@pytest.mark.parametrize(
    ("text", "both"),
    [("nofile=1024", "nofile=1024:1024"), ("core=0:-1", "core=0:-1"), ("nproc=1:2", "nproc=1:2")],
)
def test_a_ulimit_has_both_limits(text: str, both: str) -> None:
    assert ulimit(text) == both


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("foo", "invalid ulimit argument: foo"),
        ("foo=1", "invalid ulimit type: foo"),
        ("=1", "invalid ulimit type: "),
        ("nofile=a", 'strconv.ParseInt: parsing "a": invalid syntax'),
        ("nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, "),
        ("nofile=3:2", "ulimit soft limit must be less than or equal to hard limit: 3 > 2"),
        (
            "nofile=-1:5",
            "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), "
            "hard: 5",
        ),
    ],
)
def test_a_wrong_ulimit_is_refused_as_docker_does(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}"):
        ulimit(text)


@given(st.text() | st.text("0123456789.+-_eE :=kmgib"))
def test_any_text_is_a_number_or_refused_in_one_line(text: str) -> None:
    for parse in (integer, byte_count, lambda limits: ulimit(f"core={limits}"), ulimit):
        said = ""
        try:
            parse(text)
        except ValueError as error:
            said = str(error)
        assert said.isprintable()
