"""Cancel what a driver does, and see that it ends and leaves nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count
from typing import TypeVar

import pytest

from dockyard.api import request
from dockyard.cancellation import Cancellation
from dockyard.conformance.bench import Bench
from dockyard.conformance.sample import BEGUN, Sample, make_endless
from dockyard.conformance.trial import Trial
from dockyard.driver import BuildRequest, Worker
from dockyard.errors import CanceledError
from dockyard.events import StatusUpdate, Vertex

_Value = TypeVar("_Value")


class Canceler:
    """Turns a switch from another thread, as Ctrl-C does, once there is something to see."""

    def __init__(self, wanted: Callable[[StatusUpdate], bool]) -> None:
        self.switch = Cancellation()
        self._sign = threading.Event()
        """Set when it was seen, or when there is nothing to wait for any more."""
        self._wanted = wanted
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def emit(self, update: StatusUpdate) -> None:
        """Take what happens."""
        if self._wanted(update):
            self._sign.set()

    def await_sign(self, trial: Trial[_Value], seconds: float) -> None:
        """Wait until there was something to see, or the work is over; then cancel in any case."""
        deadline = time.monotonic() + seconds
        while not (self._sign.wait(0.05) or trial.wait(0) or time.monotonic() > deadline):
            pass
        self.close()

    def close(self) -> None:
        """Cancel in any case."""
        self._sign.set()
        self._thread.join()

    def _run(self) -> None:
        self._sign.wait()
        self.switch.cancel()


def check_canceled_boots(bench: Bench, signs: int) -> None:
    """Cancel booting before it begins, and at several of the signs that it gives of itself."""
    for number in sorted({0, 1, signs // 2, signs}):
        with (
            bench.promised("booting that is canceled, or what follows, fails"),
            bench.builder() as name,
        ):
            when = f"at sign {number} of {signs}" if number else "before it begins"
            _cancel_boot(bench, name, number, when)
            node = bench.node(name)
            bench.stop(node)
            bench.remove(node)
            if left := bench.things(name):
                bench.fault(
                    f"dockyard_rm leaves {', '.join(left)} behind when booting was canceled {when}"
                )


def _cancel_boot(bench: Bench, name: str, number: int, when: str) -> None:
    seen = count(1)
    canceler = Canceler(lambda _: next(seen) == number)
    if not number:
        canceler.close()
    seconds = bench.subject.answer_seconds
    trial = bench.boot(bench.node(name), emit=canceler.emit, cancel=canceler.switch)
    try:
        canceler.await_sign(trial, bench.subject.boot_seconds)
        if not trial.wait(seconds):
            bench.fault(f"dockyard_bootstrap goes on for {seconds:g} seconds when canceled {when}")
        trial.result(bench.subject.boot_seconds)
    except CanceledError:
        pass  # as it should; one that was quicker is right, too
    finally:
        canceler.close()


def check_canceled_build(bench: Bench, name: str, workers: tuple[Worker, ...]) -> None:
    """Cancel a build that would not end, and see that nobody works on it any more."""
    platform = next(each for worker in workers for each in worker.platforms)
    sample = make_endless(bench.home, platform)
    if sample is None:
        pytest.skip(f"not tried: there is no program for {platform} that never ends")
    first = _cancel_build(bench, name, sample)
    deadline = time.monotonic() + bench.subject.answer_seconds
    while _cancel_build(bench, name, sample).started == first.started:
        # A daemon may need a moment to end what nobody waits for; until then builds join in.
        if time.monotonic() > deadline:
            bench.fault("a build that was canceled goes on: another one takes part in its step")


def _cancel_build(bench: Bench, name: str, sample: Sample) -> Vertex:
    """Start the build and cancel it when its last step runs; give the step."""
    asked: BuildRequest = request(sample.context, outputs=[f"type=local,dest={sample.context}.out"])
    found: list[Vertex] = []

    def is_running(update: StatusUpdate) -> bool:
        # That the step was started is not enough: dockerd 26.1 does not end a process that it is
        # only about to make.
        found.extend(each for each in update.vertexes if "RUN" in each.name and each.started)
        return any(BEGUN in log.data for log in update.logs)

    canceler = Canceler(is_running)
    trial = bench.trial(
        "a build that is canceled",
        lambda: bench.run(name, asked, cancel=canceler.switch, emit=canceler.emit),
    )
    try:
        canceler.await_sign(trial, bench.subject.boot_seconds)
        if not trial.wait(bench.subject.answer_seconds):
            bench.fault(
                "a build that is canceled does not end within "
                f"{bench.subject.answer_seconds:g} seconds"
            )
        with bench.promised("a build that runs a program fails"):
            try:
                trial.result(bench.subject.boot_seconds)
            except CanceledError:
                if found:
                    return found[0]
                bench.fault("a build that runs a program does not begin to do so")
        bench.fault("a build that was canceled succeeds")
    finally:
        canceler.close()
