"""What the drawing displays know of a build: its steps, their progress, output and warnings.

A daemon repeats itself, announces steps long before they start, runs a step more than once and
hides some behind a group; here all of that becomes a plain list of steps to show.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import evolve

from dockyard.events import ProgressGroup, StatusUpdate, Vertex, VertexLog, VertexStatus
from dockyard.progress.interval import Interval, duration, merge
from dockyard.progress.log import LogKeeper, LogPiece
from dockyard.progress.text import log_time

if TYPE_CHECKING:
    from dockyard.events import VertexWarning

_CANCELED = "context canceled"

StatusKey = tuple[str, str]
"""The digest of the vertex that a status came from, and the status's id."""


class News:
    """What happened to a step since a display last took note."""

    def __init__(self) -> None:
        self.vertex = False
        """It started, ended or was renamed."""
        self.statuses: dict[StatusKey, VertexStatus] = {}
        self.warnings: list[VertexWarning] = []
        self.log: list[LogPiece] = []

    @property
    def events(self) -> int:
        """How much there is to show."""
        return self.vertex + len(self.statuses) + len(self.warnings) + len(self.log)


class Step:
    """One step as people see it: a vertex, or a progress group with all its vertexes."""

    def __init__(self, log: LogKeeper) -> None:
        self.log = log
        self.name = ""
        self.started: int | None = None
        self.completed: int | None = None
        self.cached = False
        self.error = ""
        self.hidden = False
        """Not to be shown: member of a group, or a group of which nothing is worth showing yet."""
        self.intervals: list[Interval] = []
        """When it ran, in order, without overlaps."""
        self.statuses: dict[StatusKey, VertexStatus] = {}
        self.warnings: list[VertexWarning] = []
        self.news = News()
        self.changes = 0
        """Grows with every change."""
        self.clock_ahead = 0
        """How far our clock is ahead of the one that the step's times come from."""

    @property
    def visible(self) -> bool:
        return self.started is not None and not self.hidden

    @property
    def running(self) -> bool:
        return self.started is not None and self.completed is None

    @property
    def canceled(self) -> bool:
        return self.error.endswith(_CANCELED)

    @property
    def failed(self) -> bool:
        return bool(self.error) and not self.canceled

    def duration(self, now: int) -> int:
        """Return for how long it has run, in nanoseconds, with ``now`` on our own clock."""
        return duration(self.intervals, now - self.clock_ahead)

    def take_news(self) -> News:
        """Return what is new, and begin afresh."""
        news, self.news = self.news, News()
        return news


class _Member:
    """A vertex as it was last reported, and the step that shows it."""

    def __init__(self, vertex: Vertex, step: Step) -> None:
        self.vertex = vertex
        self.step = step
        """Its own, or its group's."""
        self.runs: dict[int, int | None] = {}
        """End of each run by its start."""
        self.group: _Group | None = None

    @property
    def untouched(self) -> bool:
        """Whether it was announced at most, so that it may still be given to a group."""
        step = self.step
        touched = self.runs or step.statuses or step.warnings or step.log.lines
        return self.group is None and not touched

    def add_run(self, start: int, end: int | None) -> None:
        """Note a run. A vertex cannot run twice at once, so other open runs are over."""
        self.runs[start] = end
        if len(self.runs) > 1:
            for earlier, later in pairwise(sorted(self.runs)):
                if self.runs[earlier] is None:
                    self.runs[earlier] = later
            last = max(self.runs)
            if end is not None and self.runs[last] is None:
                self.runs[last] = max(last, end)


class _Group:
    """Vertexes that are shown as one step."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.members: list[_Member] = []


class Model:
    """All steps of a build, kept up to date by ``apply``.

    ``changed`` holds the steps that have news; whoever shows them takes them out. A display
    that looks at everything each time leaves ``keep_news`` off.
    """

    def __init__(
        self,
        *,
        keep_news: bool = False,
        max_log_lines: int | None = None,
        max_log_characters: int = 4 << 20,
        keep_done_logs: bool = True,
    ) -> None:
        self.steps: list[Step] = []
        """In the order in which they started, hidden ones too."""
        self.changed: dict[Step, None] = {}
        self.first_seen: int | None = None
        """When, on our clock, the first step was seen to have started."""
        self._keep_news = keep_news
        self._keep_done_logs = keep_done_logs
        self._new_log: Callable[[], LogKeeper] = lambda: LogKeeper(
            max_log_lines, max_log_characters
        )
        self._members: dict[str, _Member] = {}
        self._groups: dict[str, _Group] = {}
        self._all: list[Step] = []
        self._warnings: dict[VertexWarning, VertexWarning] = {}

    @property
    def visible(self) -> list[Step]:
        """The steps to show, in the order in which they started."""
        return [step for step in self.steps if step.visible]

    @property
    def warnings(self) -> list[VertexWarning]:
        """Every warning once, whichever vertex it came from."""
        return list(self._warnings.values())

    def counts(self) -> tuple[int, int]:
        """Return how many steps have ended, and how many are known of."""
        known = [step for step in self._all if not step.hidden]
        return sum(step.completed is not None for step in known), len(known)

    def apply(self, update: StatusUpdate, now: int) -> None:
        """Take note of an update that arrived ``now``, on our clock."""
        for vertex in update.vertexes:
            self._apply_vertex(vertex, now)
        for status in update.statuses:
            self._apply_status(status)
        for warning in update.warnings:
            self._apply_warning(warning)
        for log in update.logs:
            self._apply_log(log)

    # --- vertexes --------------------------------------------------------------------------

    def _apply_vertex(self, vertex: Vertex, now: int) -> None:
        member = self._members.get(vertex.digest)
        if member is None:
            member = _Member(vertex, self._new_step())
            self._members[vertex.digest] = member
        elif vertex.started is None and member.vertex.started is not None:
            return  # a late announcement; it must not reset the step
        else:
            member.vertex = vertex
        if vertex.group is not None and vertex.group.id and member.untouched:
            self._join(member, vertex.group)
        if vertex.started is not None:
            member.add_run(vertex.started, vertex.completed)
        if member.group is None:
            self._set(
                member.step,
                now,
                name=vertex.name,
                cached=vertex.cached,
                error=vertex.error,
                intervals=merge(member.runs.items()),
            )
        else:
            self._refresh(member.group, vertex.group, now)

    def _join(self, member: _Member, spec: ProgressGroup) -> None:
        group = self._groups.get(spec.id)
        if group is None:
            group = self._groups[spec.id] = _Group(self._new_step())
            group.step.name = spec.name
            group.step.hidden = True
        member.step.hidden = True
        self.changed.pop(member.step, None)
        member.step = group.step
        member.group = group
        group.members.append(member)

    def _refresh(self, group: _Group, spec: ProgressGroup | None, now: int) -> None:
        started = [member for member in group.members if member.vertex.started is not None]
        errors = [member.vertex.error for member in group.members if member.vertex.error]
        firm = any(member.vertex.group and not member.vertex.group.weak for member in started)
        revealed = group.step.hidden and (firm or len(errors) > 1)
        group.step.hidden = group.step.hidden and not revealed
        self._set(
            group.step,
            now,
            name=spec.name if spec and spec.name else group.step.name,
            cached=all(member.vertex.cached for member in group.members),
            error=errors[0] if errors else "",
            intervals=merge(run for member in group.members for run in member.runs.items()),
            changed=revealed,
        )

    def _set(
        self,
        step: Step,
        now: int,
        *,
        name: str,
        cached: bool,
        error: str,
        intervals: list[Interval],
        changed: bool = False,
    ) -> None:
        """Give a step its new state; say so only if that differs from the old one."""
        state = (name, cached, error, intervals)
        if (step.name, step.cached, step.error, step.intervals) == state and not changed:
            return
        step.name, step.cached, step.error, step.intervals = state
        if intervals:
            self._set_times(step, now)
        step.news.vertex = True
        self._note(step)
        if step.completed is not None and not error and not self._keep_done_logs:
            step.log.forget()

    def _set_times(self, step: Step, now: int) -> None:
        start, end = step.intervals[-1]
        if step.started is None:
            self.steps.append(step)
            if self.first_seen is None:
                self.first_seen = now
        if step.started != start:
            step.clock_ahead = now - start
        step.started, step.completed = start, end

    # --- what happens inside a step --------------------------------------------------------

    def _apply_status(self, status: VertexStatus) -> None:
        member = self._members.get(status.vertex)
        if member is None:
            return
        key = (status.vertex, status.id)
        member.step.statuses[key] = status
        if self._keep_news:
            member.step.news.statuses[key] = status
        self._note(member.step)

    def _apply_warning(self, warning: VertexWarning) -> None:
        key = evolve(warning, vertex="")
        self._warnings.setdefault(key, warning)
        member = self._members.get(warning.vertex)
        if member is None or warning in member.step.warnings:
            return
        member.step.warnings.append(warning)
        if self._keep_news:
            member.step.news.warnings.append(warning)
        self._note(member.step)

    def _apply_log(self, log: VertexLog) -> None:
        member = self._members.get(log.vertex)
        if member is None or not log.data:
            return
        step = member.step
        since_start = 0 if step.started is None else log.timestamp - step.started
        pieces = step.log.feed(log.stream, log.data, log_time(since_start))
        step.log.last_change = log.timestamp
        if self._keep_news:
            step.news.log += pieces
        self._note(step)

    def _note(self, step: Step) -> None:
        step.changes += 1
        if self._keep_news:
            self.changed[step] = None

    def _new_step(self) -> Step:
        step = Step(log=self._new_log())
        self._all.append(step)
        return step
