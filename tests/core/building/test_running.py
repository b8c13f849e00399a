"""Tests for work that is watched from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dockyard.building import running
from dockyard.building.running import Running
from dockyard.cancellation import Cancellation
from dockyard.events import StatusUpdate, Vertex

SECONDS = 45
UPDATE = StatusUpdate(vertexes=(Vertex(digest="sha256:a", name="a"),))


def test_without_an_interval_only_what_happens_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_LOOK_AGAIN", 0.001)
    go_on = threading.Event()

    def work(emit: Callable[[StatusUpdate], None]) -> str:
        assert go_on.wait(SECONDS)
        emit(UPDATE)
        return "done"

    started = Running(work, Cancellation())
    timer = threading.Timer(0.05, go_on.set)  # fifty times as long as one wait
    timer.start()

    assert list(started.events()) == [UPDATE]
    assert started.result() == "done"
    timer.join()


def test_with_an_interval_silence_is_told() -> None:
    told = threading.Event()

    def work(_emit: object) -> None:
        assert told.wait(SECONDS)

    started = Running(work, Cancellation())
    for event in started.events(0.01):
        assert event is None
        told.set()

    started.result()
    assert told.is_set()
