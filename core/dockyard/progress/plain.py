"""The display of lines, each written once: for files, pipes and build servers.

Steps run side by side, but lines that alternate between them cannot be read. So one step is
active at a time and the others wait; what waits too long, or has much more to say, takes over.
"""

from __future__ import annotations

from dockyard.events import VertexStatus
from dockyard.progress.display import PacedDisplay, Paper
from dockyard.progress.interval import duration
from dockyard.progress.log import LogPiece
from dockyard.progress.model import Model, News, StatusKey, Step
from dockyard.progress.summary import failure_logs, warning_summary
from dockyard.progress.text import status_line

_SECOND = 1_000_000_000
_LONGEST_WAIT = 10 * _SECOND
_SHORTEST_TURN = 5 * _SECOND
_STATUS_PAUSE = 5 * _SECOND
_STATUS_SHARE = 0.05
_FAILURE_LINES = 10
_NAME_LENGTH = 72
_LINE_PARTS = 1000
_LINE_TAIL = 4000


class _Printed:
    """What has been written about one step."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.statuses: dict[StatusKey, VertexStatus] = {}
        """The last written value of each."""
        self.line: list[str] = []
        """The text of a log line that is not complete yet; empty when none is open."""
        self.at = ""
        """The time before that line."""
        self.broken = False
        """Something else has been written since; the line must be repeated to be continued."""


class PlainDisplay(PacedDisplay):
    """Writes numbered steps, and under each its statuses, warnings, output and end."""

    mode = "plain"

    def __init__(self, paper: Paper) -> None:
        super().__init__(paper, Model(keep_news=True, max_log_lines=_FAILURE_LINES))
        self._title = (
            f'#0 building with "{paper.builder}" instance using {paper.driver} driver\n\n'
            if paper.builder
            else ""
        )
        self._truncate = paper.environment.get("PROGRESS_NO_TRUNC") == "0"
        self._printed: dict[Step, _Printed] = {}
        self._text: list[str] = []
        self._first = True
        self._active: Step | None = None
        self._turn_began = 0
        self._turn_events = 0
        self._waiting_since: dict[Step, int] = {}

    def draw(self, now: int) -> None:
        ended, running = self._to_show()
        for step in ended:
            self._show(step, now)
        self._give_turn(running, now)
        self._flush()

    def finish(self, now: int, *, failed: bool) -> None:
        ended, running = self._to_show()
        for step in ended:
            self._show(step, now)
        # The active one first, so that it need not be left and taken up again.
        for step in sorted(running, key=lambda step: step is not self._active):
            self._show(step, now)
        if self._active is not None:
            self._break_line(self._printed[self._active])
        self._text.append(failure_logs(self.model.steps))
        self._flush()

    def warnings(self) -> str:
        paper = self.paper
        return warning_summary(self.model.warnings, debug=paper.debug, colour=paper.colour)

    def _flush(self) -> None:
        self.paper.output.write("".join(self._text))
        self._text.clear()

    # --- whose turn it is ------------------------------------------------------------------

    def _to_show(self) -> tuple[list[Step], list[Step]]:
        """Return the steps with something to show: those that ended, in order, and the others."""
        ended: list[Step] = []
        running: list[Step] = []
        for step in list(self.model.changed):
            if not step.visible:
                continue
            self._drop_small_news(step)
            if not step.news.events:
                del self.model.changed[step]
            elif step.running:
                running.append(step)
            else:
                ended.append(step)
        ended.sort(key=lambda step: (step is not self._active, step.completed or 0))
        return ended, running

    def _drop_small_news(self, step: Step) -> None:
        printed = self._printed.get(step)
        if printed is not None:
            for key, status in list(step.news.statuses.items()):
                if not _worth_a_line(status, printed.statuses.get(key)):
                    del step.news.statuses[key]

    def _give_turn(self, running: list[Step], now: int) -> None:
        waiting = [step for step in running if step is not self._active]
        if self._active is not None and len(waiting) < len(running):
            self._show(self._active, now)
        for step in waiting:
            self._waiting_since.setdefault(step, now)
        chosen = self._choose(waiting, now) if waiting else self._left_open()
        if chosen is not None:
            self._show(chosen, now)

    def _choose(self, waiting: list[Step], now: int) -> Step | None:
        """Return the step that takes over from the active one, if any does."""
        if self._active is None:
            return max(waiting, key=lambda step: step.news.events)
        longest = min(waiting, key=lambda step: self._waiting_since[step])
        if now - self._waiting_since[longest] > _LONGEST_WAIT:
            return longest
        turn = now - self._turn_began
        if turn < _SHORTEST_TURN:
            return None
        busiest = max(waiting, key=lambda step: self._rate(step, now))
        return busiest if self._rate(busiest, now) > self._turn_events / turn else None

    def _rate(self, step: Step, now: int) -> float:
        return step.news.events / max(now - self._waiting_since[step], 1)

    def _left_open(self) -> Step | None:
        """Return a step that still runs, to name it again when no other is active."""
        if self._active is not None:
            return None
        return next((step for step in self.model.steps if step.running and step.visible), None)

    # --- what is written about a step ------------------------------------------------------

    def _show(self, step: Step, now: int) -> None:
        news = step.take_news()
        self.model.changed.pop(step, None)
        self._waiting_since.pop(step, None)
        printed = self._printed.get(step)
        if printed is None:
            if not self._printed:
                self._text.append(self._title)
            printed = self._printed[step] = _Printed(len(self._printed) + 1)
        if step is not self._active:
            self._leave()
            self._enter(step, printed, now)
        self._turn_events += news.events
        self._write_news(news, printed)
        if not step.running:
            self._end(step, printed)

    def _leave(self) -> None:
        if self._active is not None:
            printed = self._printed[self._active]
            self._break_line(printed)
            self._text.append(f"#{printed.number} ...\n")

    def _enter(self, step: Step, printed: _Printed, now: int) -> None:
        name = step.name
        if self._truncate and len(name) > _NAME_LENGTH:
            name = name[:_NAME_LENGTH] + "..."
        if not self._first:
            self._text.append("\n")
        self._first = False
        self._text.append(f"#{printed.number} {name}\n")
        self._active = step
        self._turn_began = now
        self._turn_events = 0

    def _write_news(self, news: News, printed: _Printed) -> None:
        if news.statuses or news.warnings:
            self._break_line(printed)
        for key, status in news.statuses.items():
            printed.statuses[key] = status
            self._text.append(f"#{printed.number} {status_line(status)}\n")
        for warning in news.warnings:
            short = warning.short.decode("utf-8", "replace")
            self._text.append(f"#{printed.number} WARN: {short}\n")
        for piece in news.log:
            self._write_log(piece, printed)

    def _write_log(self, piece: LogPiece, printed: _Printed) -> None:
        if piece.begins:
            printed.at = piece.at
            self._text.append(f"#{printed.number} {piece.at} ")
        elif printed.broken:
            self._text.append(f"#{printed.number} {printed.at} {''.join(printed.line)}")
        printed.broken = False
        self._text.append(piece.text)
        if piece.ends:
            printed.line.clear()
            self._text.append("\n")
        else:
            printed.line.append(piece.text)
            if len(printed.line) > _LINE_PARTS:
                printed.line = ["".join(printed.line)[-_LINE_TAIL:]]

    def _break_line(self, printed: _Printed) -> None:
        """End the line on the screen when a log line is open; it may be continued later."""
        if printed.line and not printed.broken:
            printed.broken = True
            self._text.append("\n")

    def _end(self, step: Step, printed: _Printed) -> None:
        self._break_line(printed)
        self._text.append(f"#{printed.number} {_last_word(step)}\n")
        self._active = None


def _worth_a_line(status: VertexStatus, last: VertexStatus | None) -> bool:
    if last is None:
        return True
    if status.completed is not None:
        return status != last
    if status.timestamp - last.timestamp >= _STATUS_PAUSE:
        return True
    return status.total > 0 and (status.current - last.current) / status.total >= _STATUS_SHARE


def _last_word(step: Step) -> str:
    if step.canceled:
        return "CANCELED"
    if step.error:
        return f"ERROR: {step.error}"
    if step.cached:
        return "CACHED"
    return f"DONE {duration(step.intervals, 0) / _SECOND:.1f}s"
