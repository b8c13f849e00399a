"""Showing that an image is sent: where BuildKit shows it, when BuildKit itself sends the archive.

Then the line is the last below the step that exports. Here that step is over before we send, so
its end is held back until we did.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import evolve

from dockyard.driver import Progress, Step
from dockyard.errors import DockyardError
from dockyard.events import StatusUpdate, Vertex, VertexStatus

_EXPORTS = ("exporting to docker image format", "exporting to oci image format")
_LINE = "sending tarball"


class Sending:
    """The step of one export that writes no archive, among all that is reported.

    It is itself where whoever loads the image reports to.
    """

    def __init__(
        self,
        progress: Progress,
        *,
        repeats: Callable[[DockyardError], bool] = lambda _error: False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Begin.

        Args:
            progress: Where all of it is shown.
            repeats: Says of a failure whether the image is loaded in another way after it.
            clock: Nanoseconds since the epoch.
        """
        self._progress = progress
        self._repeats = repeats
        self._clock = clock
        self._others: set[str] = set()
        self._held: Vertex | None = None
        self._held_at = 0
        self._started: int | None = None

    def take(self, update: StatusUpdate) -> StatusUpdate:
        """Give an update as it shall be shown: without the end of the step."""
        self._others.update(each.vertex for each in update.statuses if each.id == _LINE)
        if not any(self._ends(vertex) for vertex in update.vertexes):
            return update
        vertexes = tuple(
            self._hold(vertex) if self._ends(vertex) else vertex for vertex in update.vertexes
        )
        return evolve(update, vertexes=vertexes)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show a step of whoever loads; when nothing was sent, ours is over before it.

        It does not count as failed when the image is asked for as an archive after it.
        """
        failure: DockyardError | None = None
        with self._progress.step(name) as step:
            try:
                yield step
            except DockyardError as error:
                if not self._repeats(error):
                    raise
                failure = error
                step.log(f"{error}; asking BuildKit for an archive\n".encode())
            if self._started is None:
                self.end(sent=failure is None)
        if failure is not None:
            raise failure

    def update(self, update: StatusUpdate, /) -> None:
        """Pass on what whoever loads reports."""
        self._progress.update(update)

    def warn(self, text: str) -> None:
        """Pass on a warning of whoever loads."""
        self._progress.warn(text)

    def start(self) -> None:
        """Show that something is being sent; the first time that it is called."""
        if self._held is not None and self._started is None:
            self._started = self._clock()
            self._report(self._held, self._started)

    def sent(self) -> None:
        """Let the step end when something was sent; nothing more is."""
        if self._started is not None:
            self.end(sent=True)

    def end(self, *, sent: bool) -> None:
        """Let the step end.

        Args:
            sent: Whether what was begun came to a good end.
        """
        vertex, self._held = self._held, None
        if vertex is None or vertex.completed is None:
            return
        if self._started is not None:
            now = self._clock()
            if sent:
                self._report(vertex, self._started, completed=now)
            vertex = evolve(vertex, completed=vertex.completed + now - self._held_at)
        self._progress.update(StatusUpdate(vertexes=(vertex,)))

    def _ends(self, vertex: Vertex) -> bool:
        """Say whether the step that we wait for has ended well."""
        return (
            vertex.completed is not None
            and not vertex.error
            and vertex.name.startswith(_EXPORTS)
            and vertex.digest not in self._others
            and (self._held is None or self._held.digest == vertex.digest)
        )

    def _hold(self, vertex: Vertex) -> Vertex:
        self._held, self._held_at = vertex, self._clock()
        return evolve(vertex, completed=None)

    def _report(self, vertex: Vertex, started: int, completed: int | None = None) -> None:
        line = VertexStatus(
            id=_LINE,
            vertex=vertex.digest,
            timestamp=completed or started,
            started=started,
            completed=completed,
        )
        self._progress.update(StatusUpdate(statuses=(line,)))
