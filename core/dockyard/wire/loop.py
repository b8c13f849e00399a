"""The poll loop of one thread: descriptors, timers, calls from other threads, blocking work.

A loop belongs to the thread that runs it. Only :meth:`Loop.call_soon` may be called from
another one.
"""

from __future__ import annotations

import os
import select
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")

READ = select.POLLIN
WRITE = select.POLLOUT

_MAX_WORKERS = 16


class Timer:
    """A callback that a loop will make; :meth:`cancel` calls it off."""

    __slots__ = ("callback", "order", "when")

    def __init__(self, when: float, order: int, callback: Callable[[], None]) -> None:
        self.when = when
        self.order = order
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def __lt__(self, other: Timer) -> bool:
        return (self.when, self.order) < (other.when, other.order)


class Loop:
    """Waits for descriptors and timers, and makes the callbacks that were asked for."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._made = 0
        self._soon: deque[Callable[[], None]] = deque()
        self._waiting = False
        self._running = False
        self._closed = False
        self._workers: _Workers | None = None
        self._wake_lock = allocate_lock()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self.register(self._wake_read, READ, self._woken)

    def register(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call ``callback`` with the events that ``fd`` has, each time that it has some."""
        self._callbacks[fd] = callback
        self._poll.register(fd, events)

    def modify(self, fd: int, events: int) -> None:
        """Wait for other events of a registered ``fd``."""
        self._poll.modify(fd, events)

    def unregister(self, fd: int) -> None:
        """Forget ``fd``; nothing happens when it is not known."""
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` once, after ``seconds``."""
        self._made += 1
        timer = Timer(monotonic() + seconds, self._made, callback)
        heappush(self._timers, timer)
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, from the loop, as soon as it can. Safe from any thread."""
        self._soon.append(callback)
        # run() sets this flag before it looks at the queue for the last time, so one of the
        # two threads always sees what the other did.
        if self._waiting:
            with self._wake_lock:
                if not self._closed:
                    with suppress(BlockingIOError):  # the pipe is full of wake-ups already
                        os.write(self._wake_write, b"\0")

    def in_thread(
        self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        """Do blocking ``work`` in another thread, then call ``done`` with what came of it.

        ``done`` runs on the loop and gets the result or the exception. When all worker threads
        are busy the work waits for one.
        """

        def job() -> None:
            result: T | None = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as caught:  # noqa: BLE001 (handed to done, whatever it is)
                error = caught
            self.call_soon(lambda: done(result, error))

        if self._workers is None:
            self._workers = _Workers()
        self._workers.put(job)

    def run(self, until: Callable[[], bool], timeout: float | None = None) -> bool:
        """Make callbacks until ``until()`` is true; False when the time ran out before.

        An exception that a callback raises ends the run; the loop can be run again.
        """
        if self._running:
            raise RuntimeError("the loop is running already")
        end = None if timeout is None else monotonic() + timeout
        self._running = True
        try:
            while not until():
                if end is not None and monotonic() >= end:
                    return False
                self._once(end)
        finally:
            self._running = False
        return True

    def close(self) -> None:
        """Let go of what the loop holds; callbacks that wait are not made."""
        with self._wake_lock:
            if self._closed:
                return
            self._closed = True
        if self._workers is not None:
            self._workers.close()
        self.unregister(self._wake_read)
        self._callbacks.clear()
        self._timers.clear()
        self._soon.clear()
        with self._wake_lock:  # another thread must not write to a descriptor of the same number
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _once(self, end: float | None) -> None:
        self._waiting = True
        try:
            events = self._poll.poll(self._patience(end))
        finally:
            self._waiting = False
        if self._timers:
            self._expire()
        for fd, event in events:
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback(event)
        for _ in range(len(self._soon)):
            self._soon.popleft()()

    def _patience(self, end: float | None) -> int | None:
        """How many milliseconds to wait, rounded up so that a timer is due when it is over."""
        if self._soon:
            return 0
        timers = self._timers
        while timers and timers[0].callback is None:
            heappop(timers)
        if timers and (end is None or timers[0].when < end):
            end = timers[0].when
        if end is None:
            return None
        return max(0, int((end - monotonic()) * 1000) + 1)

    def _expire(self) -> None:
        now = monotonic()
        timers = self._timers
        while timers and timers[0].when <= now:
            callback = heappop(timers).callback
            if callback is not None:
                callback()

    def _woken(self, _event: int) -> None:
        with suppress(BlockingIOError):
            while len(os.read(self._wake_read, 4096)) == 4096:
                pass


class _Workers:
    """A few daemon threads, started when there is work that no idle one can take."""

    def __init__(self) -> None:
        import threading

        self._lock = threading.Condition()
        self._start: Any = threading.Thread
        self._jobs: deque[Callable[[], None]] = deque()
        self._idle = 0
        self._count = 0
        self._closed = False

    def put(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._jobs.append(job)
            if self._idle >= len(self._jobs) or self._count >= _MAX_WORKERS:
                self._lock.notify()
                return
            self._count += 1
        self._start(target=self._work, name="dockyard-worker", daemon=True).start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._jobs.clear()
            self._lock.notify_all()

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._jobs and not self._closed:
                    self._idle += 1
                    self._lock.wait()
                    self._idle -= 1
                if self._closed:
                    return
                job = self._jobs.popleft()
            job()
