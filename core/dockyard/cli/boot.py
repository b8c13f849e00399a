"""Boot nodes while showing what happens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from dockyard.builder.builder import Builder
from dockyard.builder.gather import gather
from dockyard.cancellation import Cancellation
from dockyard.cli.invocation import Invocation
from dockyard.cli.watch import watch
from dockyard.driver import Booted, Node, Progress, Step
from dockyard.errors import DockyardError
from dockyard.events import StatusUpdate

if TYPE_CHECKING:
    from dockyard.plugin.manager import PluginManager

_TIMEOUT = 3600.0
"""Seconds; drivers have limits of their own, which know what is being waited for."""


def boot(invocation: Invocation, builder: Builder) -> bool:
    """Boot a builder's nodes that don't run, side by side.

    Returns:
        Whether there was anything to boot.

    Raises:
        DockyardError: A node did not come up.
    """
    nodes = [
        info.node
        for info in builder.nodes
        if info.node is not None and info.error is None and not info.is_running
    ]
    if not nodes:
        return False
    manager = invocation.manager
    watch(invocation, builder, lambda progress, cancel: _boot(manager, nodes, progress, cancel))
    return True


def _boot(
    manager: PluginManager, nodes: Sequence[Node], progress: Progress, cancel: Cancellation
) -> None:
    tasks = [
        partial(
            _boot_one, manager, node, _Named(progress, node) if len(nodes) > 1 else progress, cancel
        )
        for node in nodes
    ]
    for outcome in gather(tasks, timeout=_TIMEOUT):
        if isinstance(outcome, DockyardError):
            raise outcome


def _boot_one(
    manager: PluginManager, node: Node, progress: Progress, cancel: Cancellation, _: Cancellation
) -> Booted:
    return manager.bootstrap(node, progress, cancel)


class _Named:
    """Says in each step's name which of several nodes it is about."""

    def __init__(self, progress: Progress, node: Node) -> None:
        self._progress = progress
        self._prefix = f"[{node.name} internal]"

    def step(self, name: str) -> AbstractContextManager[Step]:
        return self._progress.step(name.replace("[internal]", self._prefix, 1))

    def update(self, update: StatusUpdate, /) -> None:
        self._progress.update(update)

    def warn(self, text: str) -> None:
        self._progress.warn(text)
