"""Waiting with a deadline and a cancellation."""

from __future__ import annotations

import select
import socket
import threading
import time

import pytest

from dockyard.cancellation import Cancellation
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import CanceledError


def test_waiting_ends_at_the_deadline() -> None:
    ours, theirs = socket.socketpair()

    with ours, theirs, Wait(0.05) as wait, pytest.raises(OutOfTimeError):
        wait.until_ready(ours.fileno(), select.POLLIN)


def test_what_is_ready_is_told_even_when_the_time_is_up() -> None:
    ours, theirs = socket.socketpair()

    with ours, theirs, Wait(0) as wait:
        theirs.send(b"x")

        assert wait.until_ready(ours.fileno(), select.POLLIN) == select.POLLIN


def test_canceling_from_another_thread_ends_the_waiting() -> None:
    cancel = Cancellation()
    ours, theirs = socket.socketpair()
    timer = threading.Timer(0.05, cancel.cancel)
    started = time.monotonic()
    timer.start()

    with ours, theirs, Wait(30, cancel) as wait, pytest.raises(CanceledError):
        wait.until_ready(ours.fileno(), select.POLLIN)

    timer.join()
    assert time.monotonic() - started < 10


def test_waiting_does_not_begin_when_it_is_canceled_already() -> None:
    cancel = Cancellation()
    cancel.cancel()

    with pytest.raises(CanceledError), Wait(30, cancel):
        pass


def test_canceling_after_the_waiting_is_harmless() -> None:
    cancel = Cancellation()
    with Wait(1, cancel):
        pass

    cancel.cancel()


def test_a_pause_is_no_longer_than_the_deadline() -> None:
    with Wait(0.02) as wait, pytest.raises(OutOfTimeError):
        wait.pause(30)


def test_waiting_apart_has_a_deadline_of_its_own_and_costs_no_time() -> None:
    with Wait(30) as wait:
        deadline = wait._deadline
        with wait.apart(60) as own:
            own.pause(0.1)

        assert own.seconds == 60
        assert wait._deadline >= deadline + 0.1


def test_a_lock_that_others_hold_is_waited_for_until_the_deadline() -> None:
    lock = threading.Lock()
    with Wait(0.05) as wait, wait.holding(lock):
        assert lock.locked()

        with pytest.raises(OutOfTimeError), wait.holding(lock):
            pass

    assert not lock.locked()
