"""Waiting for an engine, never without end: a deadline and a cancellation in one."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dockyard.cancellation import Cancellation

if TYPE_CHECKING:
    import _socket
    import threading
    from types import TracebackType
    from typing import Self


_LOOK_AGAIN = 0.05


class OutOfTimeError(TimeoutError):
    """The deadline passed. Turned into an error that says for what, by who waited."""


class Wait:
    """What one piece of waiting has to keep to. Used as a context manager, in one thread."""

    def __init__(self, seconds: float, cancel: Cancellation | None = None) -> None:
        """Start the clock.

        Args:
            seconds: How long everything below may take together.
            cancel: Ends it earlier.
        """
        self.seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._cancel = cancel
        self._bell: tuple[_socket.socket, _socket.socket] | None = None

    def __enter__(self) -> Self:
        if self._cancel is not None:
            import _socket  # what module socket is made of, and adds 3 ms to

            self._cancel.check()
            _, theirs = self._bell = _socket.socketpair()
            theirs.setblocking(False)
            self._remove = self._cancel.on_cancel(lambda: _ring(theirs))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bell is not None:
            self._remove()
            for end in self._bell:
                end.close()

    @property
    def left(self) -> float:
        """Seconds until the deadline; never negative."""
        return max(0.0, self._deadline - time.monotonic())

    def restart(self) -> None:
        """Set the clock back: something has moved, so that the peer is alive."""
        self._deadline = time.monotonic() + self.seconds

    def until_ready(self, descriptor: int, events: int, most: float | None = None) -> int:
        """Wait until the descriptor is ready for one of the events, and say which.

        Args:
            descriptor: What to wait for.
            events: Those of ``poll``.
            most: Seconds after which 0 is given instead, if they are over before the deadline.

        Raises:
            OutOfTimeError: The deadline passed.
            CanceledError: It was canceled.
        """
        poll = select.poll()
        poll.register(descriptor, events)
        return self._until(poll, most).get(descriptor, 0)

    def pause(self, seconds: float) -> None:
        """Wait a little, where there is nothing to wait for.

        Raises:
            OutOfTimeError: The deadline passed.
            CanceledError: It was canceled.
        """
        self._until(select.poll(), seconds)

    @contextlib.contextmanager
    def apart(self, seconds: float) -> Iterator[Wait]:
        """Wait for something with a deadline of its own; this one's clock starts anew then."""
        with Wait(seconds, self._cancel) as own:
            yield own
        self.restart()

    @contextlib.contextmanager
    def holding(self, lock: threading.Lock) -> Iterator[None]:
        """Hold a lock that others may hold for long.

        Raises:
            OutOfTimeError: They held it for too long.
            CanceledError: It was canceled.
        """
        while not lock.acquire(timeout=_LOOK_AGAIN):
            self.pause(0)
        try:
            yield
        finally:
            lock.release()

    def _until(self, poll: select.poll, most: float | None = None) -> dict[int, int]:
        if self._bell is not None:
            poll.register(self._bell[0].fileno(), select.POLLIN)
        left = self.left
        seconds = left if most is None else min(left, most)
        ready = dict(poll.poll(seconds * 1000 + 1 if left else 0))
        if self._cancel is not None:
            self._cancel.check()
        if not ready and not self.left:
            raise OutOfTimeError
        return ready


def _ring(bell: _socket.socket) -> None:
    try:
        bell.send(b"\0")
    except OSError:
        return  # nobody waits any more
