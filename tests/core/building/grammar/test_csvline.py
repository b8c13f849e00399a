from __future__ import annotations

import csv
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.building.grammar.csvline import fields, line, pairs
from dockyard.errors import InputError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("a,,b", ["a", "", "b"]),
        ("a,", ["a", ""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"say ""hi""",x', ['say "hi"', "x"]),
        ("", [""]),
    ],
)
def test_a_line_is_split_into_fields(value: str, expected: list[str]) -> None:
    assert fields(value) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [('"open', "not closed"), ('a"b', "a quote inside"), ('"a"b', "text after a closing quote")],
)
def test_a_misplaced_quote_is_one_clear_line(value: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        fields(value)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0")), min_size=1))
def test_what_the_csv_module_writes_is_read_back(record: list[str]) -> None:
    line: list[str] = []

    class Sink:
        def write(self, text: str) -> None:
            line.append(text)

    csv.writer(Sink(), lineterminator="", quoting=csv.QUOTE_ALL).writerow(record)

    assert fields("".join(line)) == record


@given(st.text())
def test_any_text_gives_fields_or_our_error(value: str) -> None:
    with suppress(InputError):
        assert fields(value)


def test_keys_are_lowered_and_values_kept() -> None:
    assert pairs("Type=Local,dest=Out=1") == [("type", "Local"), ("dest", "Out=1")]


def test_a_field_without_a_value_is_named() -> None:
    with pytest.raises(InputError, match="^invalid value baz$"):
        pairs("type=local,baz")


@given(st.lists(st.text(), min_size=1))
def test_a_line_gives_back_its_fields(record: list[str]) -> None:
    quoted = [text for text in record if not text.startswith('"')]

    if quoted:
        assert fields(line(quoted)) == quoted


def test_a_field_gets_quotes_only_if_it_needs_them() -> None:
    assert line(["a=b", "c=d,e", 'f="g"']) == 'a=b,"c=d,e","f=""g"""'


@pytest.mark.parametrize(
    "value",
    [
        '"type=s3,secret_access_key=hush',
        'type=s3,secret_access_key=hu"sh',
        'type=gha,Token=hush,"a"b',
        'type=gha,"ghtoken=hush,hush',
    ],
)
def test_a_message_shows_no_secret(value: str) -> None:
    with pytest.raises(InputError) as caught:
        fields(value)
    assert "hu" not in caught.value.message
    assert "=***" in caught.value.message
