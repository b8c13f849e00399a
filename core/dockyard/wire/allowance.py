"""How often a peer may do what costs it nothing: so many times at once, and so many a second."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.wire import frames
from dockyard.wire.frames import ViolationError


class Allowance:
    """So many events at once, and so many a second after that."""

    def __init__(self, burst: int, rate: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._rate = rate
        self._clock = clock
        self._left = float(burst)
        self._at = clock()

    def spend(self, what: str) -> None:
        """Count one event.

        Raises:
            ViolationError: There were too many of them.
        """
        if self._left < 1:
            now = self._clock()
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
            self._at = now
        self._left -= 1
        if self._left < 0:
            raise ViolationError(frames.ENHANCE_YOUR_CALM, f"too many {what}")
