from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from dockyard.building.nodes.several import share_out, together
from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.errors import BootstrapError, CanceledError, DockyardError, InputError
from dockyard.platforms import Platform

AMD64, ARM64, I386 = (Platform("linux", machine) for machine in ("amd64", "arm64", "386"))
SECONDS = 45


def wait_for_cancel(cancel: Cancellation) -> None:
    """Work until the switch is turned."""
    turned = threading.Event()
    cancel.on_cancel(turned.set)
    assert turned.wait(SECONDS)
    raise CanceledError


def test_results_come_in_the_order_of_the_tasks() -> None:
    first_may_end = threading.Event()

    def first(_: Cancellation) -> str:
        assert first_may_end.wait(SECONDS)
        return "first"

    def second(_: Cancellation) -> str:
        first_may_end.set()
        return "second"

    assert together([first, second], Cancellation()) == ["first", "second"]


def test_the_first_error_ends_the_others_and_is_the_one_to_hear_of() -> None:
    def fail(_: Cancellation) -> None:
        raise InputError("this one")

    with pytest.raises(InputError, match="this one"):
        together([wait_for_cancel, fail, wait_for_cancel], Cancellation())


def test_a_cancellation_ends_all_of_them() -> None:
    cancel = Cancellation()
    timer = threading.Timer(0.05, cancel.cancel)
    timer.start()

    with pytest.raises(CanceledError):
        together([wait_for_cancel, wait_for_cancel], cancel)

    timer.join()


def test_a_cancellation_that_came_before_is_heard_of_too() -> None:
    cancel = Cancellation()
    cancel.cancel()

    with pytest.raises(CanceledError):
        together([wait_for_cancel], cancel)


def test_an_error_of_a_program_is_not_lost() -> None:
    def fail(_: Cancellation) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        together([fail], Cancellation())


# --- who builds what ------------------------------------------------------------------------


def node(name: str, *platforms: Platform) -> Node:
    return Node(name=name, driver="stand", endpoint="", platforms=platforms)


class Asked:
    """Nodes that answer, or fail as they are told."""

    def __init__(self, **answers: Sequence[Platform] | DockyardError) -> None:
        self.answers = answers
        self.warnings: list[str] = []

    def ask(self, asked: Node, _: Cancellation) -> tuple[Platform, ...]:
        answer = self.answers[asked.name]
        if isinstance(answer, DockyardError):
            raise answer
        return tuple(answer)

    def shares(self, requested: Sequence[Platform], *nodes: Node) -> list[tuple[str, str]]:
        found = share_out(
            requested, nodes, self.ask, cancel=Cancellation(), warn=self.warnings.append
        )
        return [(nodes[each.node].name, " ".join(map(str, each.platforms))) for each in found]


def test_workers_say_who_builds_what() -> None:
    asked = Asked(a=[AMD64, I386], b=[ARM64])

    found = asked.shares([ARM64, AMD64, I386], node("a"), node("b"))

    assert found == [("b", "linux/arm64"), ("a", "linux/amd64 linux/386")]
    assert not asked.warnings


def test_a_node_that_is_dead_is_left_out_where_the_others_suffice() -> None:
    asked = Asked(a=BootstrapError("it is\nbroken"), b=[AMD64])

    assert asked.shares([AMD64, I386], node("a"), node("b")) == [("b", "linux/amd64 linux/386")]
    assert asked.warnings == ["node a is left out, it cannot be reached: it is broken"]


def test_a_dead_node_that_might_have_been_needed_is_an_error() -> None:
    asked = Asked(a=[AMD64], b=BootstrapError("broken"))

    with pytest.raises(BootstrapError, match="^node b: broken$"):
        asked.shares([AMD64, ARM64], node("a"), node("b"))


def test_a_dead_node_that_was_declared_for_a_platform_is_an_error() -> None:
    asked = Asked(a=BootstrapError("broken"), b=[AMD64, ARM64])

    with pytest.raises(BootstrapError, match="^node a: broken$"):
        asked.shares([AMD64, ARM64], node("a", ARM64), node("b"))


def test_with_all_nodes_dead_the_first_is_told_of() -> None:
    asked = Asked(a=BootstrapError("broken"), b=BootstrapError("broken as well"))

    with pytest.raises(BootstrapError, match="^node a: broken$"):
        asked.shares([AMD64], node("a"), node("b"))


def test_a_cancellation_is_no_dead_node() -> None:
    asked = Asked(a=[AMD64], b=CanceledError())

    with pytest.raises(CanceledError, match="^context canceled$"):
        asked.shares([AMD64], node("a"), node("b"))
