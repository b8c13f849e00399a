"""Stretches of time in which a step ran; a step may run more than once."""

from __future__ import annotations

from collections.abc import Iterable

Interval = tuple[int, int | None]
"""Start and end; no end while it still runs."""


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the same stretches in order, with those that overlap or touch made one."""
    merged: list[Interval] = []
    for start, end in sorted(intervals, key=lambda interval: interval[0]):
        if not merged:
            merged.append((start, end))
            continue
        first, last = merged[-1]
        if last is None:
            break
        if start > last:
            merged.append((start, end))
        else:
            merged[-1] = (first, None if end is None else max(last, end))
    return merged


def duration(intervals: Iterable[Interval], now: int) -> int:
    """Return how long merged stretches last together, in nanoseconds, up to ``now``."""
    return sum(max((now if end is None else end) - start, 0) for start, end in intervals)
