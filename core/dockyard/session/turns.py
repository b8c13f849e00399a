"""The work of one call, done by threads, one piece after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from dockyard.errors import CanceledError

T = TypeVar("T")


class Threads(Protocol):
    """Does work in other threads, as a loop does."""

    def in_thread(
        self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        """Do ``work`` in a thread, then call ``done`` on the loop."""
        ...


class Turns:
    """Does one piece of work at a time, and none any more once the call is over."""

    def __init__(self, threads: Threads, end: Callable[[], None]) -> None:
        """Begin.

        Args:
            threads: Do the work.
            end: Lets go of what the work holds, without waiting for anything. Called once, when
                the call is over and no piece of work runs, by whichever thread knows it first.
        """
        self._threads = threads
        self._end = end
        self._lock = threading.Lock()
        self._busy = False
        self._working = False
        self._over = False

    @property
    def free(self) -> bool:
        """Whether a piece of work can begin."""
        return not (self._busy or self._over)

    @property
    def over(self) -> bool:
        return self._over

    def do(
        self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        """Do a piece of work; ``done`` is called unless all was over before it ended."""

        def job() -> T:
            with self._lock:
                if self._over:
                    raise CanceledError
                self._working = True
            try:
                return work()
            finally:
                with self._lock:
                    self._working = False
                    ended = self._over
                if ended:  # the loop may not run any more
                    self._end()

        def after(result: T | None, error: BaseException | None) -> None:
            self._busy = False
            if not self._over:
                done(result, error)

        self._busy = True
        self._threads.in_thread(job, after)

    def stop(self) -> None:
        """Do no more; the call is over."""
        with self._lock:
            ends_now = not (self._over or self._working)
            self._over = True
        if ends_now:
            self._end()
