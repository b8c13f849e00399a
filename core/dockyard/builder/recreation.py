"""Make nodes anew with other settings, one after the other, their build cache kept.

One at a time, so that a setting that no node can live with costs one node a moment's rest and
not all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from dockyard.builder.gather import Task, gather
from dockyard.cancellation import Cancellation
from dockyard.driver import Node, Progress, State
from dockyard.errors import BuilderError, CanceledError, DockyardError

if TYPE_CHECKING:
    from dockyard.plugin.manager import PluginManager

_TIMEOUT = 3600.0
"""Seconds; drivers have limits of their own, which know what is being waited for."""

_RUNS = frozenset({State.RUNNING, State.STARTING})


class Job(NamedTuple):
    """One node to make anew."""

    old: Node | None
    """The node as it was; None when nothing can be made of its old settings."""
    new: Node
    state: State
    keeps_cache: bool = True

    @property
    def is_booted(self) -> bool:
        """Whether it is to run again afterwards."""
        return self.state in _RUNS

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to make anew."""
        return self.state is not State.INACTIVE


class Recreation:
    """Carries jobs out, and takes them back when one fails."""

    def __init__(
        self,
        manager: PluginManager,
        progress: Progress,
        cancel: Cancellation,
        *,
        put_back: Callable[[], bool],
    ) -> None:
        """Take what is needed.

        Args:
            manager: Asks the drivers.
            progress: Where to show what is being done.
            cancel: Turned when the nodes shall be as they were.
            put_back: Puts the old record back; gives False when it must stay as it is.
        """
        self._manager = manager
        self._progress = progress
        self._cancel = cancel
        self._put_back = put_back
        self._begun: list[Job] = []
        self._removed: set[str] = set()

    def run(self, jobs: Iterable[Job]) -> None:
        """Make the nodes anew.

        Raises:
            CanceledError: ``cancel`` was turned; all is as before.
            BuilderError: A node did not come up. All is as before, or the error says what is not.
        """
        for job in jobs:
            try:
                self._cancel.check()
                self._begun.append(job)
                self._recreate(job)
            except DockyardError as error:
                self._fail(job, error)

    def _recreate(self, job: Job) -> None:
        self._remove(job.old or job.new, keep_state=job.keeps_cache)
        self._removed.add(job.new.name)
        if job.is_booted:
            self._cancel.check()
            self._boot(job.new, self._cancel)

    def _fail(self, job: Job, error: DockyardError) -> NoReturn:
        """Take everything back and raise.

        Raises:
            CanceledError: That was the error.
            BuilderError: It was another, or the way back is barred.
        """
        what = f"node {job.new.name} could not be made anew"
        try:
            is_back = self._take_back()
        except DockyardError as second:
            raise BuilderError(
                f"{what}: {error}; and not as it was, either: {second}",
                hint="once that is repaired, boot it with the old settings: "
                f"dockyard inspect --bootstrap {job.new.builder}",
            ) from error
        outcome = (
            "the old settings are back"
            if is_back
            else "the settings stay as somebody else changed them meanwhile"
        )
        if isinstance(error, CanceledError):
            raise CanceledError(f"{error}, {outcome}") from error
        raise BuilderError(f"{what}, {outcome}: {error}", hint=error.hint) from error

    def _take_back(self) -> bool:
        """Make all nodes what they were; False when somebody else has a say in that now.

        Raises:
            DockyardError: A node does not become what it was; those that can, have.
        """
        if not self._put_back():
            return False
        failures = []
        for job in self._begun:
            try:
                self._restore(job)
            except DockyardError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return True

    def _restore(self, job: Job) -> None:
        if job.new.name in self._removed:
            self._remove(job.new, keep_state=True)
        if not job.is_booted:
            return
        if job.old is None:
            raise BuilderError("its old settings cannot be used")
        self._boot(job.old, Cancellation())  # the one that was turned would end this, too

    # --- the driver -------------------------------------------------------------------------

    def _remove(self, node: Node, *, keep_state: bool) -> None:
        with self._progress.step(f"[internal] removing {node.name}") as step:
            with step.status("stopping it"):
                _do(lambda _: self._manager.stop(node))
            with step.status("removing it, keeping its cache" if keep_state else "removing it"):
                _do(lambda _: self._manager.remove(node, force=True, keep_state=keep_state))

    def _boot(self, node: Node, cancel: Cancellation) -> None:
        _do(lambda _: self._manager.bootstrap(node, self._progress, cancel))


def _do(task: Task[object]) -> None:
    """Do something that a stranger's driver has a hand in: whatever it raises is ours then."""
    (outcome,) = gather([task], timeout=_TIMEOUT)
    if isinstance(outcome, DockyardError):
        raise outcome
