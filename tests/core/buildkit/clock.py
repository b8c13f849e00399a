"""The time of a client, which goes on only when a test says so, however slow the machine is."""

from __future__ import annotations

from time import monotonic


class Clock:
    """Stands in for ``monotonic``."""

    def __init__(self) -> None:
        self._now = monotonic()

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds
