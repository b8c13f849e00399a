"""Tests for the ring by which builds find the same pod again."""

from __future__ import annotations

import pytest

from dockyard_kubernetes.ring import next_on_ring

FOUR = [f"b0-7d9f-{letter * 5}" for letter in "abcd"]


@pytest.mark.parametrize(
    ("key", "letter"),
    [
        ("/src/app", "b"),
        ("/src/app2", "d"),
        ("/home/u/p", "a"),
        ("/tmp/x", "b"),
        ("https://github.com/foo/bar.git", "b"),
        ("/w/1", "d"),
        ("/w/2", "d"),
        ("/w/3", "b"),
    ],
)
def test_the_choice_is_the_reference_s(key: str, letter: str) -> None:
    assert next_on_ring(key, FOUR) == f"b0-7d9f-{letter * 5}"


@pytest.mark.parametrize("key", ["/src/app", "/src/app2", ""])
def test_keys_beyond_the_last_point_go_around(key: str) -> None:
    assert next_on_ring(key, ["pod-a", "pod-b", "pod-c"]) == "pod-a"


def test_the_order_of_the_pods_does_not_matter() -> None:
    keys = [f"/w/{number}" for number in range(50)]

    assert [next_on_ring(key, FOUR) for key in keys] == [
        next_on_ring(key, reversed(FOUR)) for key in keys
    ]


def test_a_pod_that_goes_moves_only_its_own_builds() -> None:
    keys = [f"/w/{number}" for number in range(200)]
    before = {key: next_on_ring(key, FOUR) for key in keys}

    after = {key: next_on_ring(key, FOUR[1:]) for key in keys}

    moved = {key for key in keys if before[key] != after[key]}
    assert moved == {key for key in keys if before[key] == FOUR[0]}
    assert moved


def test_a_path_that_is_no_text_has_its_place_too() -> None:
    assert next_on_ring("/w/\udcff", FOUR) in FOUR
