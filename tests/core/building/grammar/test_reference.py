from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.building.grammar.reference import check_tag
from dockyard.errors import InputError


@pytest.mark.parametrize(
    "tag",
    [
        "app",
        "app:1",
        "me/app:v1.2_3-x",
        "localhost:5000/a/b/c:latest",
        "127.0.0.1:5999/x",
        "[::1]:5000/x:y",
        "a__b/c-d.e---f",
        "Registry.Example.COM/app",
        "app@sha256:" + "0" * 64,
    ],
)
def test_references_are_taken_as_they_are(tag: str) -> None:
    assert check_tag(tag) == tag


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("Foo:::", "invalid reference format"),
        ("Foo", "repository name must be lowercase"),
        ("a/Foo:1", "repository name must be lowercase"),
        ("", "repository name must have at least one component"),
        ("a b", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a:" + "t" * 129, "invalid reference format"),
        ("a" * 256, "must not be more than 255"),
        ("app\n", "invalid reference format"),
    ],
)
def test_what_is_no_reference_is_refused(tag: str, words: str) -> None:
    with pytest.raises(InputError, match=f"(?s)^invalid tag .*{words}"):
        check_tag(tag)


@given(st.text())
def test_any_text_is_a_reference_or_our_error(tag: str) -> None:
    with suppress(InputError):
        assert check_tag(tag) == tag
