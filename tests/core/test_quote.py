from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.quote import in_line, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", '""'),
        ("a b é", '"a b é"'),
        ('say "a\\b"', r'"say \"a\\b\""'),
        ("a\nb\t\x1b[0m", r'"a\nb\t\x1b[0m"'),
        ("\udcff", r'"\xff"'),
        ("\u2028\ud800", r'"\u2028\ud800"'),
    ],
)
def test_a_text_is_quoted_as_go_does(text: str, shown: str) -> None:
    assert quoted(text) == shown


def test_a_text_without_quotes_keeps_what_can_be_shown() -> None:
    assert in_line('"a\\b"\r\n') == '"a\\b"\\r\\n'


@given(st.text())
def test_whatever_is_shown_is_one_line(text: str) -> None:
    assert quoted(text).isprintable()
    assert in_line(text).isprintable()
