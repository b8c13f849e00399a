from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from dockyard.errors import CanceledError
from dockyard.session.turns import Turns
from dockyard.wire.loop import Loop

T = TypeVar("T")


class Later:
    """Threads that do nothing until they are told to."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def in_thread(
        self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        def job() -> None:
            try:
                result = work()
            except CanceledError as error:
                done(None, error)
            else:
                done(result, None)

        self.jobs.append(job)


@pytest.fixture
def later() -> Later:
    return Later()


def never() -> None:
    raise AssertionError


def test_one_piece_of_work_is_done_at_a_time_and_its_result_given(later: Later) -> None:
    results: list[tuple[int | None, BaseException | None]] = []
    turns = Turns(later, never)

    turns.do(lambda: 5, lambda *result: results.append(result))
    busy = turns.free
    later.jobs.pop()()

    assert (busy, turns.free) == (False, True)
    assert results == [(5, None)]


def test_what_was_not_begun_is_not_done_once_it_is_over(later: Later) -> None:
    ends: list[str] = []
    turns = Turns(later, lambda: ends.append("end"))

    turns.do(never, lambda *_: never())
    turns.stop()
    ended_at_once = list(ends)
    later.jobs.pop()()
    turns.stop()

    assert ended_at_once == ends == ["end"]
    assert turns.over
    assert not turns.free


def test_what_was_begun_ends_by_the_thread_even_if_the_loop_does_not_run() -> None:
    loop = Loop()
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(30)

    turns = Turns(loop, ended.set)
    turns.do(work, lambda *_: never())
    assert begun.wait(30)
    turns.stop()
    too_early = ended.is_set()
    go_on.set()

    assert ended.wait(30)
    assert not too_early
    loop.close()
