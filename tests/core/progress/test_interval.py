"""Stretches of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dockyard.progress.interval import duration, merge


def test_overlapping_and_touching_stretches_become_one() -> None:
    assert merge([(5, 7), (1, 3), (2, 4), (7, 9)]) == [(1, 4), (5, 9)]


def test_a_stretch_inside_another_changes_nothing() -> None:
    assert merge([(1, 9), (2, 4)]) == [(1, 9)]


def test_a_stretch_without_end_swallows_what_follows() -> None:
    assert merge([(1, 3), (2, None), (5, 6)]) == [(1, None)]


def test_a_gap_does_not_count() -> None:
    assert duration([(1, 3), (5, None)], now=10) == 7


def test_a_stretch_that_ends_before_it_begins_has_no_duration() -> None:
    assert duration([(5, 3)], now=10) == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted)))
def test_the_duration_is_the_number_of_covered_moments(pairs: list[list[int]]) -> None:
    covered = {moment for start, end in pairs for moment in range(start, end)}

    merged = merge((start, end) for start, end in pairs)

    assert duration(merged, now=0) == len(covered)
