"""Tests for work that is done side by side."""

from __future__ import annotations

import threading
import time

from dockyard.builder.gather import gather
from dockyard.cancellation import Cancellation
from dockyard.errors import ConnectError, DockyardError, DriverError


def test_results_come_in_the_order_of_the_tasks() -> None:
    first_may_end = threading.Event()

    def first(_: Cancellation) -> str:
        assert first_may_end.wait(45)
        return "first"

    def second(_: Cancellation) -> str:
        first_may_end.set()
        return "second"

    assert gather([first, second], timeout=50) == ["first", "second"]


def test_an_error_belongs_to_its_task_alone() -> None:
    def fails(_: Cancellation) -> str:
        raise DockyardError("no")

    outcomes = gather([fails, lambda _: "yes"], timeout=50)

    assert isinstance(outcomes[0], DockyardError)
    assert outcomes[1] == "yes"


def test_what_a_strangers_driver_raises_becomes_an_error_of_ours() -> None:
    def crashes(_: Cancellation) -> str:
        raise ZeroDivisionError("an accident")

    (outcome,) = gather([crashes], timeout=50)

    assert isinstance(outcome, DriverError)
    assert str(outcome) == "ZeroDivisionError: an accident"
    assert isinstance(outcome.__cause__, ZeroDivisionError)


def test_who_is_late_fails_and_delays_nobody() -> None:
    switches: list[Cancellation] = []
    let_go = threading.Event()

    def hangs(switch: Cancellation) -> str:
        switches.append(switch)
        let_go.wait(60)
        return "too late"

    started = time.monotonic()
    outcomes = gather([hangs, lambda _: "yes", hangs], timeout=4.0)
    took = time.monotonic() - started
    let_go.set()

    assert [type(outcome) for outcome in outcomes] == [ConnectError, str, ConnectError]
    assert str(outcomes[0]) == "no answer within 4 seconds"
    assert took < 40
    assert all(switch.canceled for switch in switches)


def test_no_tasks_give_no_results() -> None:
    assert gather([], timeout=1) == []
