"""Call a driver whose daemon is dead in one of several ways: it has to say so, and in time."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from attrs import evolve

from dockyard.api import request
from dockyard.cancellation import Cancellation
from dockyard.conformance.bench import Bench
from dockyard.conformance.sample import make_sample
from dockyard.conformance.subject import Subject
from dockyard.conformance.trial import Trial
from dockyard.driver import DriverType
from dockyard.errors import DockyardError
from dockyard.progress.writer import ProgressWriter

WAYS = ("nobody listens", "somebody hangs up", "somebody says nothing")
"""How an endpoint can be dead."""
_GRACE = 2.0
"""Seconds that what was canceled gets to end."""


class _Trials(NamedTuple):
    status: Trial[object]
    boot: Trial[object]
    build: Trial[object]


class DeadEndpoints:
    """One endpoint for each way to be dead, and what the driver makes of it.

    All of it runs side by side, and beside other tests, because it is mostly waiting.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._cancel = Cancellation()
        self._folder = Path(tempfile.mkdtemp(prefix="dead-"))  # short, as socket paths have to be
        self._listeners: list[socket.socket] = []
        self._trials: dict[str, _Trials] = {}
        self._template = _template(bench.subject, bench.declared)

    def start(self) -> None:
        """Begin to call them."""
        if not self._template:
            return
        for number, way in enumerate(WAYS):
            home = self._folder / f"home{number}"
            home.mkdir()
            endpoint = self._listen(way)
            self._trials[way] = self._try(Bench(_at(self._bench, endpoint), home))

    def check(self, way: str) -> None:
        """Fail unless every call ended in time, and the build with an error."""
        if not self._template:
            pytest.skip("not tried: give Subject(dead_endpoint=...)")
        bench = self._bench
        for trial in self._trials[way]:
            try:
                trial.result(bench.subject.answer_seconds)
            except DockyardError as error:
                if not str(error).strip():
                    bench.fault(f"{trial.what} fails without a word")
            else:
                if trial is self._trials[way].build:
                    bench.fault(f"{trial.what} succeeds")

    def wait(self, seconds: float | None = None) -> None:
        """Wait until nothing is being tried any more, or hangs."""
        limit = self._bench.subject.answer_seconds if seconds is None else seconds
        deadline = time.monotonic() + limit
        for trials in self._trials.values():
            for trial in trials:
                trial.wait(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """End what still hangs, as far as it can be ended."""
        self._cancel.cancel()
        for listener in self._listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.wait(_GRACE)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _try(self, bench: Bench) -> _Trials:
        name = bench.create()
        sample = make_sample(bench.home)
        asked = request(sample.context, outputs=[f"type=local,dest={sample.context}.out"])
        way = WAYS[len(self._trials)]
        progress = ProgressWriter(lambda _: None)

        def trial(what: str, work: Callable[[], object]) -> Trial[object]:
            return bench.trial(f"{what} where {way}", work)

        return _Trials(
            trial("dockyard_status", lambda: bench.manager.status(bench.node(name))),
            trial(
                "dockyard_bootstrap",
                lambda: bench.manager.bootstrap(bench.node(name), progress, self._cancel),
            ),
            trial("a build", lambda: bench.run(name, asked, cancel=self._cancel)),
        )

    def _listen(self, way: str) -> str:
        """Make a socket that is dead in a certain way, and give the endpoint."""
        path = str(self._folder / f"{len(self._listeners)}.sock")
        by_path = "{path}" in self._template
        listener = socket.socket(socket.AF_UNIX if by_path else socket.AF_INET)
        listener.bind(path if by_path else ("127.0.0.1", 0))
        self._listeners.append(listener)
        if way != "nobody listens":
            listener.listen()  # who is never accepted hears nothing
        if way == "somebody hangs up":
            threading.Thread(target=_hang_up, args=(listener,), daemon=True).start()
        if by_path:
            return self._template.format(path=path)
        host, port = listener.getsockname()
        return self._template.format(host=host, port=port)


def _template(subject: Subject, declared: DriverType) -> str:
    """Say how an endpoint is written that leads to a socket; empty where nobody knows."""
    if subject.dead_endpoint:
        return subject.dead_endpoint
    schemes = {form.scheme for form in declared.endpoints}
    if declared.uses_engine or "unix" in schemes:
        return "unix://{path}"
    return "tcp://{host}:{port}" if "tcp" in schemes else ""


def _at(bench: Bench, endpoint: str) -> Subject:
    if bench.declared.uses_engine:
        return evolve(bench.subject, engine=endpoint, endpoint=None)
    return evolve(bench.subject, endpoint=endpoint)


def _hang_up(listener: socket.socket) -> None:
    with suppress(OSError):  # it is closed in the end
        while True:
            listener.accept()[0].close()
