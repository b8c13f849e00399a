"""Run pieces of work side by side under one deadline, none of them waiting for another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from dockyard.cancellation import Cancellation
from dockyard.errors import ConnectError, DockyardError, DriverError

_LOOK_AGAIN = 0.5
"""Seconds of one wait. A Ctrl-C that comes just as a wait begins is heeded after it."""

_Found = TypeVar("_Found")

Task = Callable[[Cancellation], _Found]
"""A piece of work. The switch it is given is turned when its time is over."""


def gather(tasks: Sequence[Task[_Found]], *, timeout: float) -> list[_Found | DockyardError]:
    """Run every task in a thread of its own and give what came of each, in their order.

    A task that is not done in time counts as failed and is left behind: its thread ends with the
    process at the latest, and what it still finds out is thrown away.

    Args:
        tasks: The work.
        timeout: Seconds that all of it together may take.

    Returns:
        For each task its result, or the error that it ended with.
    """
    if not tasks:
        return []
    import queue
    import threading

    outcomes: list[_Found | DockyardError] = [_late(timeout) for _ in tasks]
    done: queue.SimpleQueue[tuple[int, _Found | DockyardError]] = queue.SimpleQueue()
    switch = Cancellation()

    def run(index: int, task: Task[_Found]) -> None:
        done.put((index, _outcome(task, switch)))

    deadline = time.monotonic() + timeout
    for index, task in enumerate(tasks):
        # Daemons, because a hook that waits for a dead host must not keep the process alive.
        threading.Thread(target=run, args=(index, task), daemon=True).start()
    missing = len(tasks)
    try:
        while missing and (left := deadline - time.monotonic()) > 0:
            with suppress(queue.Empty):
                index, outcome = done.get(timeout=min(left, _LOOK_AGAIN))
                outcomes[index] = outcome
                missing -= 1
    finally:
        switch.cancel()
    return outcomes  # what is late already says so


def _outcome(task: Task[_Found], switch: Cancellation) -> _Found | DockyardError:
    try:
        return task(switch)
    except DockyardError as error:
        return error
    except Exception as error:  # noqa: BLE001  # a stranger's driver may raise anything
        failure = DriverError(f"{type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure


def _late(timeout: float) -> DockyardError:
    return ConnectError(f"no answer within {timeout:g} seconds")
