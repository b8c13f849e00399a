"""How far a node is from answering, and what drivers answer when it is stopped or removed."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import frozen

from dockyard.value import Value

if TYPE_CHECKING:
    from dockyard.driver.node import Node


class State(StrEnum):
    """How far a node is from answering."""

    INACTIVE = "inactive"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


@frozen(kw_only=True, eq=False, repr=False)
class NodeStatus(Value):
    """What a driver knows of a node without starting it."""

    state: State
    reason: str = ""
    """Why it is not ready, in words."""
    version: str = ""
    """BuildKit's version where the driver knows it and the daemon cannot tell."""
    ask_version: Callable[[], str] | None = None
    """Finds that version out where doing so costs time. Asked only when the daemon cannot tell."""
    warnings: tuple[str, ...] = ()
    """What a person should be told when the node is made or changed, a line each."""
    is_guess: bool = False
    """Whether the node may be in another state, because nobody could be asked."""
    cache_loss: str = ""
    """Why the node loses its build cache when it is made anew, in words that follow "because";
    empty when it does not."""
    dynamic: tuple[Node, ...] = ()
    """The daemons that really stand behind the node, when there are several."""

    @property
    def is_running(self) -> bool:
        return self.state is State.RUNNING


@frozen(eq=False, repr=False)
class Stopped(Value):
    """Answer: the node is stopped, or needs no stopping."""


@frozen(kw_only=True, eq=False, repr=False)
class Removed(Value):
    """Answer: what was the node's is gone."""

    what: tuple[str, ...] = ()
    """What was removed, in words, for a person."""
