"""One switch that ends a piece of work, whoever does it and in whichever thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dockyard.errors import CanceledError


class Cancellation:
    """A switch that is turned once.

    Whoever works registers what has to happen with :meth:`on_cancel`; whoever wants the work to
    end calls :meth:`cancel`, from any thread or a signal handler's thread.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._next = 0
        self._canceled = False

    @property
    def canceled(self) -> bool:
        return self._canceled

    def cancel(self) -> None:
        """Turn the switch and call everything registered, once; later calls do nothing."""
        with self._lock:
            if self._canceled:
                return
            self._canceled = True
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
        for callback in callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` when the switch is turned, at once if it already is.

        Returns:
            A function that takes the callback back.
        """
        with self._lock:
            if not self._canceled:
                key = self._next
                self._next += 1
                self._callbacks[key] = callback
                return lambda: self._forget(key)
        callback()
        return lambda: None

    def check(self) -> None:
        """Raise when the switch has been turned.

        Raises:
            CanceledError: It has.
        """
        if self._canceled:
            raise CanceledError

    def _forget(self, key: int) -> None:
        with self._lock:
            self._callbacks.pop(key, None)
