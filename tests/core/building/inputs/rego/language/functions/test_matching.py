from __future__ import annotations

import re
import sys
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.building.inputs.rego.language.evaluator import REFUSED, decide, evaluate
from dockyard.building.inputs.rego.language.fault import PolicyFaultError, WrongOperandError
from dockyard.building.inputs.rego.language.functions import matching
from dockyard.building.inputs.rego.language.functions.matching import Pattern, Spans
from dockyard.building.inputs.rego.language.value import RObject


def spans(pattern: str, text: str, most: int = -1) -> list[Spans]:
    return list(Pattern(pattern).find_all(text, most))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("(a*)*b", "a" * 15000), ("(?:a|a)*$", "a" * 15000 + "!b"), ("(.*)(.*)(.*)x", "a" * 15000)],
)
def test_no_expression_takes_for_ever(pattern: str, text: str) -> None:
    assert not Pattern(f"^{pattern}").matches(text)


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)", "(?<!a)b", r"\1", "a++", "(", "[b-a]", "a{2,1}", "x{1001}", r"a\C", "(?P<é>a)"],
)
def test_what_rego_does_not_have_is_refused(pattern: str) -> None:
    with pytest.raises(WrongOperandError):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", [r"\Q\C\E", r"\\C", r"[(?P<é>]", r"\(?P<é>", r"[]\](?P<é>]"])
def test_what_only_looks_like_it_is_not_refused(pattern: str) -> None:
    Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a" * 100_000, "is too large"),
        (r"\pL{1000}", "is too large"),
        ("(?P<n>a)|(?<n>b)", "with two groups of one name"),
    ],
)
def test_an_expression_that_rego_has_is_never_taken_for_none(pattern: str, why: str) -> None:
    with pytest.raises(PolicyFaultError, match=f"^a regular expression {why}$"):
        Pattern(pattern)


def test_what_would_take_too_long_is_not_begun() -> None:
    with pytest.raises(PolicyFaultError, match="^a regular expression takes too long$"):
        Pattern("(?:a?){900}b").matches("a" * 100_000)


def test_many_matches_may_not_take_too_long_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "_SECONDS", -1.0)
    with pytest.raises(PolicyFaultError, match="^a regular expression takes too long$"):
        spans("a", "aa")


def test_the_end_is_the_very_end() -> None:
    assert not Pattern("^al$").matches("al\n")
    assert Pattern("(?m)^al$").matches("al\nx")


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("(é)(x)?", "aéb😀éx", [(1, 2, 1, 2, -1, -1), (4, 6, 4, 5, 5, 6)]),
        ("", "é😀", [(0, 0), (1, 1), (2, 2)]),
        ("é*", "aéé😀", [(0, 0), (1, 3), (4, 4)]),
        (".", "😀\n\u20ac", [(0, 1), (2, 3)]),
        (r"\B", "aéa", []),
        (r"\B", "é😀a", [(0, 0), (1, 1)]),
        (r"\B", "-ab\u20ac\u20ac", [(0, 0), (2, 2), (4, 4), (5, 5)]),
        (r"^\pL$", "\ud83d", []),
        ("[^a]", "a\udc00b", [(1, 2), (2, 3)]),
    ],
)
def test_places_are_counted_in_characters(pattern: str, text: str, expected: list[Spans]) -> None:
    assert spans(pattern, text) == expected


def test_only_as_many_are_found_as_were_asked_for() -> None:
    assert [len(spans("a", "aaa", most)) for most in (-2, 0, 2)] == [3, 0, 2]


ATOMS = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", "(a)", "(?:b|a)", r"\d", r"\w", "a|b", "()", "é"]
)
REPEATS = st.sampled_from(["", "*", "+", "?", "{2}", "{1,2}", "*?", "+?"])
PATTERNS = st.lists(st.tuples(ATOMS, REPEATS), min_size=1, max_size=4).map(
    lambda parts: "".join(f"(?:{atom}){repeat}" for atom, repeat in parts)
)


@given(PATTERNS, st.text("abé1\n", max_size=8))
@settings(max_examples=60, deadline=None)
def test_simple_expressions_match_as_pythons_do(pattern: str, text: str) -> None:
    expected = re.search(pattern, text, re.ASCII)

    found = next(Pattern(pattern).find_all(text), None)

    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found[:2] == expected.span()


@pytest.mark.parametrize("other", [None, ModuleType("re2")], ids=["none", "another of that name"])
@pytest.mark.parametrize(
    "call", ['regex.match("a", "a")', 'regex.is_valid("a")', 'glob.match("a*", [], "a")']
)
def test_without_the_library_a_policy_is_refused_and_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, call: str, other: ModuleType | None
) -> None:
    monkeypatch.setitem(sys.modules, "re2", other)
    policy = f"package docker\ndecision := 1 if {{ not {call} }}\n"

    expected = r"^regex\.\* and glob\.match need google-re2: pip install 'dockyard\[policy\]'$"
    with pytest.raises(PolicyFaultError, match=expected):
        evaluate({"p.rego": policy}, RObject())


def test_a_policy_without_expressions_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)

    assert decide('decision := 1 if startswith("ab", "a")', {}) == 1
    assert decide('decision := regex.match("a", "a")', {}) == REFUSED
