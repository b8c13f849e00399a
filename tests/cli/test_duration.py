"""Tests for durations as Go writes them."""

from __future__ import annotations

import pytest

from dockyard.cli.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20s", 20),
        ("1m30s", 90),
        ("1.5h", 5400),
        ("100ms", 0.1),
        ("0", 0),
        ("-2s", -2),
        ("+1s", 1),
        ("1h0m0.5s", 3600.5),
        (".5s", 0.5),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-", "foo", "1", "1x", "s", "1..5s", ".s", "1 s", "1s2"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (172_800_000_000_000, "48h0m0s"),
        (90_000_000_000, "1m30s"),
        (1_500_000_000, "1.5s"),
        (250_000_000, "250ms"),
        (1_500, "1.5µs"),
        (7, "7ns"),
        (0, "0s"),
        (-60_000_000_000, "-1m0s"),
    ],
)
def test_a_duration_is_written(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text
