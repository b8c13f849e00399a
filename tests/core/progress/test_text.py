"""Sizes, times and statuses in words."""

from __future__ import annotations

import pytest

from dockyard.progress.text import log_time, size, status_line
from support.stage import status


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (123, "123B"),
        (999, "999B"),
        (1000, "1.00kB"),
        (1230, "1.23kB"),
        (4_500_000, "4.50MB"),
        (3 * 10**9, "3.00GB"),
        (7 * 10**18, "7.00EB"),
        (7 * 10**22, "70000.00EB"),
        (-5, "-5B"),
        (-5_000, "-5.00kB"),
    ],
)
def test_sizes_have_decimal_units_and_two_decimals(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.412, "0.412"), (9.9, "9.900"), (12.345, "12.35"), (123.456, "123.5"), (-3, "0.000")],
)
def test_log_times_lose_decimals_as_they_grow(seconds: float, text: str) -> None:
    assert log_time(round(seconds * 10**9)) == text


def test_a_status_without_total_shows_the_current_size_only() -> None:
    assert status_line(status("a", "transferring context:", 2300)) == (
        "transferring context: 2.30kB"
    )


def test_a_status_with_total_shows_both_sizes() -> None:
    assert status_line(status("a", "sha256:ab", 2_100_000, 3_600_000)) == (
        "sha256:ab 2.10MB / 3.60MB"
    )


def test_a_space_at_the_end_of_a_status_is_not_doubled() -> None:
    assert status_line(status("a", "transferring context: ", 2)) == "transferring context: 2B"


def test_a_running_status_shows_its_time_up_to_its_timestamp() -> None:
    assert status_line(status("a", "extracting", now=3.2, started=1)) == "extracting 2.2s"


def test_a_completed_status_shows_its_own_duration_and_done() -> None:
    line = status_line(status("a", "extracting", now=9, started=1, completed=2.9))

    assert line == "extracting 1.9s done"


def test_a_duration_of_a_hundredth_of_a_second_is_not_shown() -> None:
    line = status_line(status("a", "extracting", started=1, completed=1.01))

    assert line == "extracting done"
