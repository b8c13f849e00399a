"""A build that runs in a thread of its own while somebody else watches what happens."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from dockyard.cancellation import Cancellation
from dockyard.events import StatusUpdate

_Result = TypeVar("_Result")

Emit = Callable[[StatusUpdate], None]

_LOOK_AGAIN = 0.5
"""Seconds of one wait for events. A Ctrl-C that comes just as a wait begins is heeded after it."""


class Running(Generic[_Result]):
    """Work in a thread: its events as they come, its result or its error at the end."""

    def __init__(self, work: Callable[[Emit], _Result], cancel: Cancellation) -> None:
        """Start the work.

        Args:
            work: Is given the function that takes its events, and returns the result.
            cancel: Turned by :meth:`cancel`; the work has to watch it.
        """
        self._events: queue.SimpleQueue[StatusUpdate | None] = queue.SimpleQueue()
        self._cancel = cancel
        self._result: list[_Result] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, args=(work,), name="dockyard-build", daemon=True
        )
        self._thread.start()

    def events(self, interval: float | None = None) -> Iterator[StatusUpdate | None]:
        """Give the events until the work ends.

        Args:
            interval: Seconds after which None is given when nothing happened; None waits.
        """
        while True:
            try:
                event = self._events.get(timeout=_LOOK_AGAIN if interval is None else interval)
            except queue.Empty:
                if interval is not None:
                    yield None
                continue
            if event is None:
                return
            yield event

    def result(self) -> _Result:
        """Wait for the end, and give the result or raise the work's error."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def cancel(self) -> None:
        """Have the work ended; it does so within seconds, with a ``CanceledError``."""
        self._cancel.cancel()

    def wait(self, timeout: float) -> bool:
        """Wait for the end at most so many seconds; say whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self, work: Callable[[Emit], _Result]) -> None:
        try:
            self._result.append(work(self._events.put))
        except BaseException as error:  # noqa: BLE001  # raised again by result()
            self._error = error
        finally:
            self._events.put(None)
