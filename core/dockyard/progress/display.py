"""What every display offers, and the base of those that draw no more often than needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from dockyard.events import StatusUpdate
from dockyard.progress.model import Model
from dockyard.progress.output import Output

_MILLISECOND = 1_000_000


class Display(Protocol):
    """Shows a build while it runs. Every method may be called from any thread."""

    @property
    def mode(self) -> str:
        """The mode in use, never ``auto``."""
        ...

    @property
    def interval(self) -> float | None:
        """Seconds between calls of ``tick``; None when it needs none."""
        ...

    def update(self, update: StatusUpdate, /) -> None:
        """Take what became known; it may be shown a little later."""
        ...

    def tick(self) -> None:
        """Show what is held back, and how far the clocks have moved on."""
        ...

    def close(self, failed: bool = False) -> None:
        """Show what is left, the logs of failed steps and the warnings. Once is enough."""
        ...


class Paper(NamedTuple):
    """What a drawing display writes on, and what it is told about its surroundings."""

    output: Output
    environment: Mapping[str, str]
    builder: str
    driver: str
    debug: bool
    terminal: bool
    clock: Callable[[], int]
    before_warnings: Callable[[], None] = lambda: None
    """Called when all steps are on the paper, before the list of warnings is."""

    @property
    def colour(self) -> bool:
        """Whether colours are wanted at all (https://no-color.org)."""
        return self.terminal and not self.environment.get("NO_COLOR")

    def number(self, name: str, default: int, *, least: int) -> int:
        """Return the whole number in an environment variable, or the default for nonsense."""
        try:
            value = int(self.environment.get(name, ""))
        except ValueError:
            return default
        return value if value >= least else default


class PacedDisplay:
    """Keeps the model up to date with every update, and draws it at most every 100 ms.

    Between updates it wants a ``tick`` every 150 ms. ``TTY_DISPLAY_RATE`` (milliseconds)
    replaces both. A subclass says how to draw and how to end.
    """

    mode: str

    def __init__(self, paper: Paper, model: Model) -> None:
        self.paper = paper
        self.model = model
        self.interval: float | None = (
            paper.number("TTY_DISPLAY_RATE", 150, least=1) * _MILLISECOND / 1e9
        )
        self._gap = paper.number("TTY_DISPLAY_RATE", 100, least=1) * _MILLISECOND
        self._drawn: int | None = None
        self._closed = False
        # Reentrant: a signal handler may report a step while its own thread is drawing.
        self._lock = threading.RLock()

    def update(self, update: StatusUpdate, /) -> None:
        with self._lock:
            if self._closed:
                return
            now = self.paper.clock()
            self.model.apply(update, now)
            self._draw_if_due(now)

    def tick(self) -> None:
        with self._lock:
            if not self._closed:
                self._draw_if_due(self.paper.clock())

    def close(self, failed: bool = False) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self.finish(self.paper.clock(), failed=failed)
                self.paper.before_warnings()
                self.paper.output.write(self.warnings())

    def _draw_if_due(self, now: int) -> None:
        # A clock that was set back must not silence the display.
        if self._drawn is None or not 0 <= now - self._drawn < self._gap:
            self._drawn = now
            self.draw(now)

    def draw(self, now: int) -> None:
        """Write what is new."""
        raise NotImplementedError

    def finish(self, now: int, *, failed: bool) -> None:
        """Write all that is left, and failed steps' logs."""
        raise NotImplementedError

    def warnings(self) -> str:
        """Return the list of warnings."""
        raise NotImplementedError
