from __future__ import annotations

import csv

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
        ('""', [""]),
        ("a\r\n", ["a"]),
    ],
)
def test_a_line_is_split_into_fields(value: str, expected: list[str]) -> None:
    assert fields(value) == expected


_OPEN = 'extraneous or missing " in quoted-field'


@pytest.mark.parametrize(
    ("value", "column", "what"),
    [
        ('"open', 2, _OPEN),
        ('"', 2, _OPEN),
        ('type=local,"dest=out', 13, _OPEN),
        ('"type=local"x,dest=out', 12, _OPEN),
        ('a"b', 2, 'bare " in non-quoted-field'),
        ('é,"b",c"', 9, 'bare " in non-quoted-field'),
    ],
)
def test_a_misplaced_quote_is_one_clear_line(value: str, column: int, what: str) -> None:
    with pytest.raises(InputError) as caught:
        fields(value)

    assert caught.value.message == f"parse error on line 1, column {column}: {what}"
    assert caught.value.hint == f"in the value {value!r}"


@pytest.mark.parametrize("value", ["", "\n"])
def test_nothing_is_no_line(value: str) -> None:
    with pytest.raises(InputError, match="^EOF$") as caught:
        fields(value)

    assert caught.value.hint == "the value is empty"


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
    said = ""
    try:
        assert fields(value)
    except InputError as error:
        said = f"{error}{error.hint}"
    assert said.isprintable()


def test_keys_are_lowered_and_values_kept() -> None:
    assert pairs("Type=Local, dest=Out=1") == [("type", "Local"), ("dest", "Out=1")]
    assert pairs(" Type=Local", strip=False) == [(" type", "Local")]


def test_a_field_without_a_value_is_named() -> None:
    with pytest.raises(InputError, match="^invalid value baz$"):
        pairs("type=local,baz")


@given(st.lists(st.text(), min_size=1))
def test_a_line_gives_back_its_fields(record: list[str]) -> None:
    quoted = [f"a={text}." for text in record]

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
    assert "hu" not in f"{caught.value}{caught.value.hint}"
    assert "=***" in str(caught.value.hint)
