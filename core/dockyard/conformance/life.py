"""The life of one builder, from ``create`` to ``rm``, watched at every step."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.conformance.bench import Bench
from dockyard.conformance.sample import NOTE, Sample, make_sample
from dockyard.conformance.trial import Fault
from dockyard.driver import Node, NodeFeatures, State, Worker
from dockyard.errors import DockyardError
from dockyard.events import StatusUpdate

_STEPS = (
    "create",
    "status",
    "boot",
    "connect",
    "features",
    "build",
    "stop",
    "restart",
    "remove",
)
USABLE = _STEPS[: _STEPS.index("build") + 1]
"""The steps without which nothing else can be tried."""


class Life:
    """Goes through the steps until one fails; the others then were not tried."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.workers: tuple[Worker, ...] = ()
        self.features: NodeFeatures | None = None
        self.was_running = False
        """Whether the daemon ran before anybody booted it: then it is not the driver's to stop."""
        self.things: list[str] | None = None
        """What exists while the builder runs."""
        self.signs = 0
        """How often booting told how far it was."""
        self._name = ""
        self._done: set[str] = set()
        self._failed = ""
        self._words = ""

    def live(self) -> None:
        """Go through all steps."""
        for step in _STEPS:
            try:
                getattr(self, f"_{step}")()
            except Fault as found:
                self._failed, self._words = step, str(found.msg)
            except DockyardError as error:
                driver = self.bench.subject.driver
                self._failed, self._words = step, f"driver {driver!r}: {step} fails: {error}"
            if self._failed:
                break
            self._done.add(step)
        if self._name:
            self.bench.discard(self._name)

    def check(self, step: str) -> None:
        """Fail the test with what was wrong with a step; skip it where it was not reached."""
        if step == self._failed:
            pytest.fail(self._words, pytrace=False)
        self.needs(step)

    def needs(self, *steps: str) -> None:
        """Skip the test where one of the steps failed or was not reached."""
        if not self._done.issuperset(steps):
            pytest.skip(f"not tried, because the step {self._failed} failed")

    def needs_usable(self) -> None:
        """Skip the test when there can be no builder that works."""
        self.needs(*USABLE)

    # --- the steps --------------------------------------------------------------------------

    @property
    def _node(self) -> Node:
        return self.bench.node(self._name)

    def _create(self) -> None:
        self._name = self.bench.create()
        if things := self.bench.things(self._name):
            self.bench.fault(f"create alone makes {', '.join(things)}; only booting may")

    def _status(self) -> None:
        state = self.bench.status(self._node).state
        if state not in (State.INACTIVE, State.RUNNING):
            self.bench.fault(
                f"dockyard_status says {state} of a node that never booted; "
                "it is inactive, or running if somebody else runs it"
            )
        self.was_running = state is State.RUNNING

    def _boot(self) -> None:
        seconds = self.bench.subject.boot_seconds
        self.bench.boot(self._node, emit=self._count).result(seconds)
        self.bench.boot(self._node).result(seconds)  # one that runs is as good
        self._expect_running("after dockyard_bootstrap")
        self.things = self.bench.things(self._name)

    def _count(self, _: StatusUpdate) -> None:
        self.signs += 1

    def _connect(self) -> None:
        bench = self.bench
        first, second = bench.connect(self._node), bench.connect(self._node)
        for connection in (first, second, second):  # closing twice is allowed
            connection.close()
        self.workers = bench.workers(self._node)
        if not any(worker.platforms for worker in self.workers):
            bench.fault("no worker of the daemon behind dockyard_connect has a platform")

    def _features(self) -> None:
        self.features = self.bench.features(self._node)

    def _build(self) -> None:
        self._try_build(make_sample(self.bench.home))

    def _stop(self) -> None:
        self.bench.stop(self._node)
        state = self.bench.status(self._node).state
        if self.was_running and state is not State.RUNNING:
            self.bench.fault(f"dockyard_stop made a daemon {state} that the driver did not start")
        if not self.was_running and state not in (State.STOPPED, State.INACTIVE):
            self.bench.fault(f"dockyard_status says {state} after dockyard_stop")
        self.bench.stop(self._node)  # a node that does not run needs nothing

    def _restart(self) -> None:
        self._try_build(make_sample(self.bench.home))
        self._expect_running("after a build")
        things = self.bench.things(self._name)
        if things != self.things:
            self.bench.fault(
                f"before it was stopped and booted again there was {_list(self.things)}, "
                f"and now there is {_list(things)}"
            )

    def _remove(self) -> None:
        bench = self.bench
        node = self._node
        bench.stop(node)
        bench.remove(node)
        things = bench.things(self._name)
        if things:
            bench.fault(f"dockyard_rm leaves {', '.join(things)} behind")
        state = bench.status(self._node).state
        expected = State.RUNNING if self.was_running else State.INACTIVE
        if state is not expected:
            bench.fault(f"dockyard_status says {state} after dockyard_rm, not {expected}")
        bench.remove(self._node)  # what is gone already is no error

    def _expect_running(self, when: str) -> None:
        status = self.bench.status(self._node)
        if status.state is not State.RUNNING:
            reason = f", because {status.reason}" if status.reason else ""
            self.bench.fault(f"dockyard_status says {status.state} {when}{reason}")

    def _try_build(self, sample: Sample) -> None:
        try_local_output(self.bench, self._name, sample)


def try_local_output(bench: Bench, name: str, sample: Sample) -> None:
    """Build into a directory, which every driver can."""
    dest = Path(f"{sample.context}.out")
    with bench.promised("a build with -o type=local fails"):
        bench.build(name, sample.context, outputs=[f"type=local,dest={dest}"])
    try:
        found = (dest / NOTE).read_bytes()
    except OSError as error:
        bench.fault(f"a build with -o type=local leaves no result: {error}")
    if found != sample.content:
        bench.fault("a build with -o type=local writes other content than it was given")


def _list(things: list[str] | None) -> str:
    return ", ".join(things or ()) or "nothing"
