"""What a policy does, as a step of the build."""

from __future__ import annotations

import hashlib
from threading import Lock
from time import time_ns
from typing import Self

from dockyard.buildkit.request import new_id
from dockyard.driver import Progress
from dockyard.events import StatusUpdate, Vertex, VertexLog


class PolicyLog:
    """Shows a step that runs whenever a source is looked at."""

    def __init__(self, progress: Progress, files: list[str]) -> None:
        self._progress = progress
        self._name = f"loading policies {', '.join(files)}"
        self._digest = f"sha256:{hashlib.sha256(new_id().encode()).hexdigest()}"
        self._lock = Lock()
        self._running = 0
        self._started = 0

    def __enter__(self) -> Self:
        with self._lock:
            self._running += 1
            if self._running == 1:
                self._started = self._started or time_ns()
                self._show(None, "")
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._lock:
            self._running -= 1
            if not self._running:
                self._show(time_ns(), "" if error is None else str(error))

    def _show(self, completed: int | None, error: str) -> None:
        vertex = Vertex(
            digest=self._digest,
            name=self._name,
            started=self._started,
            completed=completed,
            error=error,
        )
        self._progress.update(StatusUpdate(vertexes=(vertex,)))

    def write(self, line: str) -> None:
        """Show a line of the step's output."""
        data = line.encode("utf-8", "replace") + b"\n"
        log = VertexLog(vertex=self._digest, data=data, timestamp=time_ns())
        self._progress.update(StatusUpdate(logs=(log,)))
