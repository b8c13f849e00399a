"""Compare what commands print with a transcript, whatever the times, ids and widths are."""

from __future__ import annotations

import re
from collections.abc import Sequence

ANY = "..."
"""A line of a transcript that stands for any number of lines."""

_MASKS = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "<digest>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b\d+\.\d+s\b"), "<time>"),
    (re.compile(r"\b(?:\d+ (?:second|minute)s?|Less than a second|About a minute) ago\b"), "<ago>"),
    (re.compile(r"\b\d+(?:\.\d+)?[kMG]?B\b"), "<size>"),
    (re.compile(r"\bv\d+\.\d+[\w.+-]*"), "<version>"),
    (re.compile(r"0xc[0-9a-f]+"), "<address>"),
    (re.compile(r"\b(\w[\w-]*) \* "), r"\1* "),
    (re.compile(r"\\_ "), ""),
    (re.compile(r"\s+"), " "),
)
"""What differs from run to run, and how builders were listed when the seeds were written."""


_HOW_FAR = re.compile(r"pulling image \S+ <size> / <size>")
"""What is printed below a pull that takes its time."""


def masked(line: str) -> str:
    """Give a line without what differs from run to run."""
    for pattern, replacement in _MASKS:
        line = pattern.sub(replacement, line)
    return line.strip()


def assert_like(printed: str, transcript: str) -> None:
    """Fail unless the printed lines are those of the transcript, in its order.

    ``...`` in the transcript stands for any lines. A status that took next to no time is printed
    once, at its end, so the transcript's line for its beginning may be missing.
    """
    lines = [masked(line) for line in printed.splitlines() if line.strip()]
    lines = [line for line in lines if not _HOW_FAR.search(line)]
    expected = [masked(line) for line in transcript.splitlines() if line.strip()]
    rest = _match(lines, expected)
    assert rest is None, f"{rest!r} is not where it should be in:\n{printed}"


def _match(lines: Sequence[str], expected: Sequence[str]) -> str | None:
    """Give the first expected line that is missing, or the first printed one that is too many."""
    at = 0
    skipping = False
    for index, wanted in enumerate(expected):
        if wanted == ANY:
            skipping = True
            continue
        found = next((i for i in range(at, len(lines)) if _is_like(lines[i], wanted)), None)
        if found is None or (found > at and not skipping):
            if _is_beginning(wanted, expected[index + 1 : index + 2]):
                continue
            return wanted
        at, skipping = found + 1, False
    if at < len(lines) and not skipping:
        return lines[at]
    return None


def _is_like(line: str, wanted: str) -> bool:
    """Tell whether a line is the wanted one; durations below 10 ms are not printed."""
    return line == wanted or line == wanted.replace(" <time>", "")


def _is_beginning(wanted: str, following: Sequence[str]) -> bool:
    return bool(following) and following[0].startswith(f"{wanted} ")
