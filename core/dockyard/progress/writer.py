"""How Dockyard itself and the drivers report what they do: as steps among BuildKit's own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import evolve

from dockyard.events import StatusUpdate, Vertex, VertexLog, VertexStatus


class ProgressWriter:
    """Turns steps into status updates. May be used from several threads at once.

    ``emit`` is called for one update at a time.
    """

    def __init__(
        self,
        emit: Callable[[StatusUpdate], None],
        *,
        warn: Callable[[str], None] = lambda _: None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._emit = emit
        self._warn = warn
        self._clock = clock
        self._lock = threading.RLock()

    def update(self, update: StatusUpdate, /) -> None:
        """Pass on an update as it is."""
        with self._lock:
            self._emit(update)

    def warn(self, text: str) -> None:
        """Give a warning to whoever collects them."""
        with self._lock:
            self._warn(text)

    @contextmanager
    def step(self, name: str) -> Iterator[StepWriter]:
        """Show a step for as long as the block runs; an exception marks it as failed."""
        vertex = Vertex(digest="sha256:" + os.urandom(32).hex(), name=name, started=self._clock())
        self.update(StatusUpdate(vertexes=(vertex,)))
        error = ""
        try:
            yield StepWriter(self.update, vertex.digest, self._clock)
        except BaseException as exc:
            error = _error_text(exc)
            raise
        finally:
            ended = evolve(vertex, completed=self._clock(), error=error)
            self.update(StatusUpdate(vertexes=(ended,)))


class StepWriter:
    """Reports what happens inside one step."""

    def __init__(
        self, update: Callable[[StatusUpdate], None], digest: str, clock: Callable[[], int]
    ) -> None:
        self._update = update
        self._digest = digest
        self._clock = clock
        self._started: dict[str, int] = {}

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        """Show a line below the step for as long as the block runs.

        It ends with the block, also when that fails: why is said by the step.
        """
        begun = VertexStatus(id=text, vertex=self._digest, started=self._clock())
        self._report(begun)
        try:
            yield
        finally:
            self._report(evolve(begun, completed=self._clock()))

    def report(self, text: str, current: int = 0, total: int = 0, *, done: bool = False) -> None:
        """Show or renew a line below the step with a number of bytes."""
        now = self._clock()
        started = self._started.setdefault(text, now)
        if done:
            self._started.pop(text, None)
        self._report(
            VertexStatus(
                id=text,
                vertex=self._digest,
                current=current,
                total=total,
                started=started,
                completed=now if done else None,
            )
        )

    def log(self, data: bytes, *, stream: int = 2) -> None:
        """Show output of the step."""
        log = VertexLog(vertex=self._digest, data=data, stream=stream, timestamp=self._clock())
        self._update(StatusUpdate(logs=(log,)))

    def _report(self, status: VertexStatus) -> None:
        stamped = evolve(status, timestamp=status.completed or self._clock())
        self._update(StatusUpdate(statuses=(stamped,)))


def _error_text(exc: BaseException) -> str:
    if isinstance(exc, KeyboardInterrupt):
        return "context canceled"
    return str(exc) or type(exc).__name__
