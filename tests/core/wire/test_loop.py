from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

from dockyard.wire.loop import READ, WRITE, Loop


def test_run_ends_when_the_condition_is_true_already(loop: Loop) -> None:
    assert loop.run(lambda: True)


def test_run_says_when_its_time_ran_out(loop: Loop) -> None:
    started = time.monotonic()
    assert not loop.run(lambda: False, 0.02)
    assert time.monotonic() - started >= 0.02


def test_timers_fire_in_their_order_and_a_canceled_one_does_not(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    now = time.monotonic()
    with monkeypatch.context() as still:  # however long these lines take
        still.setattr("dockyard.wire.loop.monotonic", lambda: now)
        loop.call_later(0.02, lambda: seen.append("second"))
        loop.call_later(0.001, lambda: seen.append("first"))
        loop.call_later(0.01, lambda: seen.append("never")).cancel()
        loop.call_later(0.001, lambda: seen.append("also first"))
    assert loop.run(lambda: len(seen) == 3, 30)
    assert seen == ["first", "also first", "second"]


def test_a_timer_never_fires_early(loop: Loop) -> None:
    fired: list[float] = []
    due = time.monotonic() + 0.0153
    loop.call_later(0.0153, lambda: fired.append(time.monotonic()))
    assert loop.run(lambda: bool(fired), 30)
    assert fired[0] >= due


def test_descriptors_are_called_with_their_events(loop: Loop) -> None:
    left, right = socket.socketpair()
    events: list[int] = []
    with left, right:
        loop.register(left.fileno(), WRITE, events.append)
        loop.run(lambda: bool(events), 30)
        assert events[0] & WRITE
        loop.modify(left.fileno(), READ)
        events.clear()
        assert not loop.run(lambda: bool(events), 0.01)
        right.send(b"x")
        assert loop.run(lambda: bool(events), 30)
        assert events[0] & READ
        loop.unregister(left.fileno())
        loop.unregister(left.fileno())
        events.clear()
        assert not loop.run(lambda: bool(events), 0.01)


def test_a_callback_may_unregister_another_one_that_is_due_too(loop: Loop) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    seen: list[int] = []

    def first_only(number: int) -> Callable[[int], None]:
        def callback(_events: int) -> None:
            seen.append(number)
            loop.unregister(pairs[1 - number][0].fileno())

        return callback

    for number, (left, right) in enumerate(pairs):
        right.send(b"x")
        loop.register(left.fileno(), READ, first_only(number))
    loop.run(lambda: bool(seen), 30)
    assert len(seen) == 1
    for left, right in pairs:
        left.close()
        right.close()


def test_another_thread_wakes_the_loop_with_call_soon(loop: Loop) -> None:
    seen: list[int] = []
    waiting = threading.Event()

    def call() -> None:
        waiting.wait()
        loop.call_soon(lambda: seen.append(threading.get_ident()))

    thread = threading.Thread(target=call)
    thread.start()
    loop.call_soon(waiting.set)
    assert loop.run(lambda: bool(seen), 30)
    thread.join()
    assert seen == [threading.get_ident()]


def test_many_calls_from_many_threads_all_arrive(loop: Loop) -> None:
    seen: list[int] = []

    def call() -> None:
        for number in range(2000):
            loop.call_soon(lambda number=number: seen.append(number))  # type: ignore[misc]

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert loop.run(lambda: len(seen) == 8000, 30)
    for thread in threads:
        thread.join()


def test_a_call_made_by_a_call_runs_in_the_next_round(loop: Loop) -> None:
    seen: list[str] = []

    def again() -> None:
        seen.append("x")
        loop.call_soon(again)

    loop.call_soon(again)
    assert loop.run(lambda: len(seen) >= 3, 30)


def test_blocking_work_runs_in_another_thread_and_its_result_comes_back(loop: Loop) -> None:
    seen: list[tuple[int | None, BaseException | None, int]] = []
    loop.in_thread(
        threading.get_ident,
        lambda result, error: seen.append((result, error, threading.get_ident())),
    )
    assert loop.run(lambda: bool(seen), 30)
    result, error, where = seen[0]
    assert result != threading.get_ident()
    assert error is None
    assert where == threading.get_ident()


def test_an_exception_of_blocking_work_comes_back_too(loop: Loop) -> None:
    seen: list[BaseException | None] = []

    def work() -> None:
        raise ValueError("broken")

    loop.in_thread(work, lambda _result, error: seen.append(error))
    assert loop.run(lambda: bool(seen), 30)
    assert isinstance(seen[0], ValueError)


def test_more_work_than_threads_waits_for_its_turn(loop: Loop) -> None:
    together = threading.Barrier(2)
    results: list[int | None] = []

    def work() -> int:
        together.wait(30)
        return threading.get_ident()

    for _ in range(40):
        loop.in_thread(work, lambda result, _error: results.append(result))
    assert loop.run(lambda: len(results) == 40, 30)
    assert 1 < len(set(results)) <= 16


def test_work_that_blocks_does_not_hold_up_the_loop_or_other_work(loop: Loop) -> None:
    gate = threading.Event()
    results: list[str | None] = []

    def blocked() -> str:
        gate.wait()
        return "slow"

    loop.in_thread(blocked, lambda result, _error: results.append(result))
    loop.in_thread(lambda: "quick", lambda result, _error: results.append(result))
    assert loop.run(lambda: results == ["quick"], 30)
    gate.set()
    assert loop.run(lambda: results == ["quick", "slow"], 30)


def test_an_exception_comes_out_of_run_which_can_then_go_on(loop: Loop) -> None:
    seen: list[str] = []

    def fail() -> None:
        raise KeyError("callback")

    loop.call_soon(fail)
    loop.call_soon(lambda: seen.append("after"))
    with pytest.raises(KeyError):
        loop.run(lambda: False, 30)
    assert loop.run(lambda: bool(seen), 30)


def test_a_running_loop_cannot_be_run_again(loop: Loop) -> None:
    def again() -> None:
        loop.run(lambda: True)

    loop.call_soon(again)
    with pytest.raises(RuntimeError):
        loop.run(lambda: False, 30)


def test_a_closed_loop_takes_calls_from_threads_that_do_not_know(loop: Loop) -> None:
    gate = threading.Event()

    def work() -> None:
        gate.wait()

    loop.in_thread(work, lambda _result, _error: pytest.fail("called after close"))
    loop.close()
    loop.close()
    gate.set()
    loop.call_soon(lambda: pytest.fail("called after close"))
