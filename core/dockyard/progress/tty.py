"""The display of a terminal: a header and the steps, redrawn in place while they run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from dockyard.events import VertexStatus
from dockyard.progress.display import PacedDisplay, Paper
from dockyard.progress.interval import duration
from dockyard.progress.log import LogLine
from dockyard.progress.model import Model, Step
from dockyard.progress.screen import Line, Screen, printable
from dockyard.progress.summary import failure_logs, warning_summary
from dockyard.progress.text import status_amount

_SECOND = 1_000_000_000
_LOG_LINES = 6
_LONGEST = 10_000
"""Characters of a log line that are looked at; no terminal is wider."""


class _Row(NamedTuple):
    """A line about a step or about something in it."""

    left: str
    seconds: float | None
    """How long it took or has been taking."""
    style: str
    running: bool
    amount: str = ""
    """How many bytes of it are done."""


class TtyDisplay(PacedDisplay):
    """Keeps the newest state of the build on the screen, and leaves all of it at the end."""

    mode = "tty"

    def __init__(self, paper: Paper, size: Callable[[], tuple[int, int]] | None) -> None:
        super().__init__(paper, Model(keep_done_logs=False))
        self._screen = Screen(paper, size)
        self._log_lines = paper.number("BUILDKIT_TTY_LOG_LINES", _LOG_LINES, least=0)
        self._place = f"{paper.driver}:{paper.builder}" if paper.builder else ""
        self._ended: dict[Step, tuple[int, list[_Row]]] = {}
        """The rows of steps that have ended, with the state of the step that they show."""

    def draw(self, now: int) -> None:
        if self.model.first_seen is None:
            return
        self._screen.measure()
        rows = self._select(
            [(step, row) for step in self.model.visible for row in self._rows(step, now)]
        )
        windows = self._windows([step for step, _ in rows], self._screen.lines - 1 - len(rows))
        lines = [self._header(now)]
        for index, (step, row) in enumerate(rows):
            lines.append(self._line(row))
            if index + 1 == len(rows) or rows[index + 1][0] is not step:
                lines += windows.get(step, [])
        self._screen.draw(lines)

    def finish(self, now: int, *, failed: bool) -> None:
        self._screen.measure()
        lines = []
        if self.model.first_seen is not None:
            rows = [row for step in self.model.visible for row in self._rows(step, now)]
            style = "error" if failed else "run"
            lines = [self._header(now, " FINISHED", style), *map(self._line, rows)]
        after = failure_logs(self.model.steps, self._show)
        self._screen.leave(lines, after.replace("\n", "\r\n"))

    def warnings(self) -> str:
        summary = warning_summary(
            self.model.warnings,
            debug=self.paper.debug,
            colour=self._screen.colour,
            show=self._show,
        )
        return summary.replace("\n", "\r\n")

    def _show(self, text: str) -> str:
        return printable(text, colour=self._screen.colour)

    # --- rows ------------------------------------------------------------------------------

    def _header(self, now: int, end: str = "", style: str = "") -> Line:
        ended, known = self.model.counts()
        began = self.model.first_seen
        seconds = 0 if began is None else max(now - began, 0) / _SECOND
        text = f"[+] Building {seconds:.1f}s ({ended}/{known}){end}"
        fits = self._screen.width(text) + self._screen.width(self._place) + 2 < self._screen.columns
        return Line(self._screen.row(text, self._place if fits else ""), style)

    def _line(self, row: _Row) -> Line:
        right = "" if row.seconds is None else f"{row.seconds:.1f}s"
        return Line(self._screen.row(row.left, right, row.amount), row.style)

    def _rows(self, step: Step, now: int) -> list[_Row]:
        if step.running:
            return _step_rows(step, now)
        known = self._ended.get(step)
        if known is None or known[0] != step.changes:
            known = self._ended[step] = (step.changes, _step_rows(step, now))
        return known[1]

    def _select(self, rows: list[tuple[Step, _Row]]) -> list[tuple[Step, _Row]]:
        """Leave out what does not fit: ended rows first, from the top, then running ones."""
        surplus = len(rows) - (self._screen.lines - 1)
        if surplus <= 0:
            return rows
        kept = []
        for step, row in rows:
            if surplus > 0 and not row.running:
                surplus -= 1
            else:
                kept.append((step, row))
        return kept[max(surplus, 0) :]

    # --- output of running steps -----------------------------------------------------------

    def _windows(self, steps: Iterable[Step], room: int) -> dict[Step, list[Line]]:
        """Share the free lines among the running steps; what printed last comes first."""
        talking = {step for step in steps if step.running and step.log.lines}
        windows = {}
        for step in sorted(talking, key=lambda step: -step.log.last_change):
            window = self._window(step.log.lines, min(self._log_lines, room))
            room -= len(window)
            windows[step] = window
        return windows

    def _window(self, log: deque[LogLine], height: int) -> list[Line]:
        lines: list[Line] = []
        for line in reversed(log):
            if len(lines) >= height:
                break
            text = printable(line.text, limit=_LONGEST).rstrip()
            if text:
                lines.append(Line(self._screen.row(f" => => # {text}", ""), "log"))
        return lines[::-1]


def _step_rows(step: Step, now: int) -> list[_Row]:
    name = printable(step.name)
    style, prefix = "run", ""
    if step.running:
        style = ""
    elif step.canceled:
        style, prefix = "cancel", "CANCELED "
    elif step.error:
        style, prefix = "error", "ERROR "
    elif step.cached:
        prefix = "CACHED "
    rows = [_Row(f" => {prefix}{name}", step.duration(now) / _SECOND, style, step.running)]
    rows += [_status_row(step, status, now) for status in step.statuses.values()]
    rows += [
        _Row(
            f" => WARN: {printable(warning.short.decode('utf-8', 'replace'))}",
            duration(step.intervals[-1:], now - step.clock_ahead) / _SECOND,
            "warning",
            running=False,
        )
        for warning in step.warnings
    ]
    return rows


def _status_row(step: Step, status: VertexStatus, now: int) -> _Row:
    end = status.completed
    if end is None:
        end = now - step.clock_ahead if step.running else step.completed
    seconds = None
    if status.started is not None and end is not None:
        seconds = max(end - status.started, 0) / _SECOND
    running = status.completed is None and step.running
    # What a failure cut short is neither running nor done.
    done = status.completed is not None or not (running or step.error)
    left = f" => => {printable(status.id.rstrip())}"
    return _Row(left, seconds, "run" if done else "", running, status_amount(status))
