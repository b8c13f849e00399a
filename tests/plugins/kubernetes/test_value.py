"""Tests for looking into what an API server sent."""

from __future__ import annotations

import pytest

from dockyard_kubernetes.value import name_of, number, table, tables, text, uid_of


def test_what_is_there_is_given() -> None:
    found = {"metadata": {"name": "a", "uid": "u"}, "n": 3, "list": [{"x": 1}]}

    assert (name_of(found), uid_of(found), number(found, "n")) == ("a", "u", 3)
    assert tables(found, "list") == [{"x": 1}]
    assert table(found, "metadata")["name"] == "a"


@pytest.mark.parametrize("junk", [None, 7, "x", [], True, {"metadata": 7}, {"metadata": {}}])
def test_what_is_not_there_is_empty(junk: object) -> None:
    assert (name_of(junk), number(junk, "metadata", "n"), text(junk, "a", "b", "c")) == ("", 0, "")
    assert list(tables(junk, "metadata", "list")) == []
    assert dict(table(junk, "metadata", "labels")) == {}


def test_a_truth_value_is_no_number_and_lists_keep_only_objects() -> None:
    assert number({"n": True}, "n") == 0
    assert tables({"list": [1, {"a": 1}, None, "x"]}, "list") == [{"a": 1}]


def test_texts_are_one_printable_line() -> None:
    assert text({"a": "one\n two\x1b[31m"}, "a") == "one two?[31m"
