"""A stage for displays: a clock that is set by hand, and events with times in seconds."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import attrs

from dockyard.events import (
    ProgressGroup,
    StatusUpdate,
    Vertex,
    VertexLog,
    VertexStatus,
    VertexWarning,
)
from dockyard.progress import Display, make_display
from support.terminal import Terminal

BEGINNING = 1_700_000_000_000_000_000

Event = Vertex | VertexStatus | VertexLog | VertexWarning


def at(seconds: float | None) -> int | None:
    return None if seconds is None else BEGINNING + round(seconds * 1_000_000_000)


def vertex(
    name: str,
    started: float | None = 0,
    completed: float | None = None,
    *,
    cached: bool = False,
    error: str = "",
    group: ProgressGroup | None = None,
) -> Vertex:
    """Return a vertex whose digest is made from its name."""
    return Vertex(
        digest=f"sha256:{name}",
        name=name,
        started=at(started),
        completed=at(completed),
        cached=cached,
        error=error,
        group=group,
    )


def status(
    name: str,
    text: str,
    current: int = 0,
    total: int = 0,
    *,
    now: float = 0,
    started: float | None = None,
    completed: float | None = None,
) -> VertexStatus:
    return VertexStatus(
        id=text,
        vertex=f"sha256:{name}",
        current=current,
        total=total,
        timestamp=at(now) or 0,
        started=at(started),
        completed=at(completed),
    )


def log(name: str, data: bytes, now: float = 0, *, stream: int = 1) -> VertexLog:
    return VertexLog(vertex=f"sha256:{name}", data=data, stream=stream, timestamp=at(now) or 0)


def warning(name: str, short: bytes) -> VertexWarning:
    return VertexWarning(vertex=f"sha256:{name}", short=short)


def update(*events: Event) -> StatusUpdate:
    return StatusUpdate(
        vertexes=tuple(event for event in events if isinstance(event, Vertex)),
        statuses=tuple(event for event in events if isinstance(event, VertexStatus)),
        logs=tuple(event for event in events if isinstance(event, VertexLog)),
        warnings=tuple(event for event in events if isinstance(event, VertexWarning)),
    )


@attrs.define(eq=False)
class Stage:
    """A display and what it has written."""

    mode: str
    environment: Mapping[str, str] = attrs.Factory(dict)
    builder: str = "rem"
    driver: str = "remote"
    debug: bool = False
    size: tuple[int, int] = (60, 24)
    now: int = BEGINNING
    stream: io.StringIO = attrs.Factory(io.StringIO)
    before_warnings: Callable[[], None] = lambda: None
    display: Display = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.display = make_display(
            self.mode,
            self.stream,
            environment=self.environment,
            builder=self.builder,
            driver=self.driver,
            debug=self.debug,
            terminal=self.mode == "tty",
            size=lambda: self.size,
            clock=lambda: self.now,
            before_warnings=lambda: self.before_warnings(),
        )

    def at(self, seconds: float, *events: Event) -> None:
        """Let the display take these events at that time, or only a tick if there are none."""
        self.now = BEGINNING + round(seconds * 1_000_000_000)
        if events:
            self.display.update(update(*events))
        else:
            self.display.tick()

    def close(self, *, failed: bool = False) -> str:
        """Close the display and return all that was written."""
        self.display.close(failed)
        return self.text

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def terminal(self) -> Terminal:
        """What a terminal of this size shows of all that was written."""
        terminal = Terminal(*self.size)
        terminal.write(self.text)
        return terminal
