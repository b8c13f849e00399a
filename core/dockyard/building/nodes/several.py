"""Several nodes at once: which builds what, and the work of all of them side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from dockyard.builder.resolver import Assignment, resolve
from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.errors import CanceledError, DockyardError
from dockyard.platforms import Platform, matches

_Found = TypeVar("_Found")

Task = Callable[[Cancellation], _Found]
"""A piece of work. The switch it is given is turned when another piece failed."""
Ask = Callable[[Node, Cancellation], tuple[Platform, ...]]
"""Boots a node, and gives the platforms of its workers."""


def together(tasks: Sequence[Task[_Found]], cancel: Cancellation) -> list[_Found]:
    """Run every task in a thread of its own; the first error ends all others.

    Args:
        tasks: The work. Each ends soon when its switch is turned.
        cancel: Turned when all shall end.

    Returns:
        What came of each, in their order.

    Raises:
        DockyardError: The first error there was, once all tasks have ended.
    """
    results: dict[int, _Found] = {}
    errors: list[BaseException] = []
    switch = Cancellation()

    def run(number: int, task: Task[_Found]) -> None:
        try:
            results[number] = task(switch)
        except BaseException as error:  # noqa: BLE001  # raised again below
            errors.append(error)
            switch.cancel()

    threads = [
        threading.Thread(target=run, args=each, name="dockyard-node", daemon=True)
        for each in enumerate(tasks)
    ]
    forget = cancel.on_cancel(switch.cancel)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        forget()
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(tasks))]


def name_node(error: DockyardError, node: Node) -> None:
    """Say in an error which of several nodes it is about."""
    error.message = f"node {node.name}: {error.message}"


class _Answer(NamedTuple):
    """What a node said when it was asked, or why it did not."""

    platforms: tuple[Platform, ...] = ()
    error: DockyardError | None = None


def share_out(
    requested: Sequence[Platform],
    nodes: Sequence[Node],
    ask: Ask,
    *,
    cancel: Cancellation,
    warn: Callable[[str], None],
) -> tuple[Assignment, ...]:
    """Assign platforms to nodes by what their workers can do; boots all nodes.

    A node that does not come up is left out, with a warning, if the others can build everything
    and it was not the one that people declared for a platform.

    Args:
        requested: What shall be built.
        nodes: The builder's nodes.
        ask: Boots a node and asks its workers.
        cancel: Turned when all shall end.
        warn: Takes lines that a person should read.

    Raises:
        DockyardError: A node that is needed did not come up; names the node.
    """
    answers = together([partial(_answer, ask, node) for node in nodes], cancel)
    available = [
        (*node.platforms, *answer.platforms) for node, answer in zip(nodes, answers, strict=True)
    ]
    shares = resolve(requested, available)
    failed = [number for number, answer in enumerate(answers) if answer.error is not None]
    alive = [
        candidate
        for number, candidates in enumerate(available)
        if number not in failed
        for candidate in candidates
    ]
    complete = all(any(matches(candidate, each) for candidate in alive) for each in requested)
    for number in failed:
        error = answers[number].error
        assert error is not None
        if not complete or any(share.node == number for share in shares):
            name_node(error, nodes[number])
            raise error
        warn(f"node {nodes[number].name} is left out, it cannot be reached: {_line(error)}")
    return shares


def _answer(ask: Ask, node: Node, cancel: Cancellation) -> _Answer:
    try:
        return _Answer(platforms=ask(node, cancel))
    except CanceledError:
        raise
    except DockyardError as error:
        return _Answer(error=error)


def _line(error: DockyardError) -> str:
    return " ".join(error.message.split())
