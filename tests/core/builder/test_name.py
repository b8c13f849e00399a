"""Tests for the names of builders and nodes."""

from __future__ import annotations

import pytest

from dockyard.builder.name import check, check_new, is_valid, node_name, random_name
from dockyard.errors import BuilderError, InvalidNameError


@pytest.mark.parametrize("name", ["a", "A_B.c-D", "x1", "container", "default", "a" * 255])
def test_a_letter_and_then_letters_digits_and_three_symbols_are_allowed(name: str) -> None:
    assert check(name) == name


@pytest.mark.parametrize("name", ["", "1abc", "_a", ".tmp-x", "a b", "a/b", "é", "aé", "a\n"])
def test_anything_else_is_refused(name: str) -> None:
    assert not is_valid(name)


def test_the_refusal_tells_the_rule() -> None:
    with pytest.raises(
        InvalidNameError,
        match=r"^invalid name 1abc, name needs to start with a letter and may not contain symbols, "
        r"except \._-$",
    ):
        check("1abc")


def test_default_is_reserved_in_lower_case_only() -> None:
    with pytest.raises(
        BuilderError,
        match="^default is a reserved name and cannot be used to identify builder instance$",
    ):
        check_new("default")

    assert check_new("Default") == "Default"


def test_a_made_up_name_is_an_adjective_and_a_surname() -> None:
    name = random_name(lambda _: False)

    adjective, surname = name.split("_")
    assert is_valid(name)
    assert adjective.isalpha()
    assert surname.isalpha()


def test_a_made_up_name_gets_a_digit_when_the_first_is_taken() -> None:
    asked: list[str] = []

    def is_taken(name: str) -> bool:
        asked.append(name)
        return len(asked) == 1

    name = random_name(is_taken)

    assert not asked[0][-1].isdigit()
    assert name[-1].isdigit()


def test_making_up_names_ends_after_six_tries() -> None:
    asked: list[str] = []

    def is_taken(name: str) -> bool:
        asked.append(name)
        return True

    with pytest.raises(BuilderError, match="^failed to generate random name$"):
        random_name(is_taken)

    assert len(asked) == 6


@pytest.mark.parametrize(
    ("builder", "taken", "expected"),
    [
        ("container", set(), "container0"),
        ("container", {"container0", "container2"}, "container1"),
        ("A_B.c-D", set(), "a_b.c-d0"),
    ],
)
def test_a_node_is_named_after_its_builder_with_the_first_free_number(
    builder: str, taken: set[str], expected: str
) -> None:
    assert node_name(builder, taken) == expected
