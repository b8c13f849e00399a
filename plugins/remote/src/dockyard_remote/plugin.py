"""The remote driver: a BuildKit daemon that somebody else runs.

Every hook it answers, in the order in which a builder's life calls them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dockyard.driver import Booted
from dockyard.plugin import hookimpl
from dockyard_remote import declaration

if TYPE_CHECKING:
    from dockyard.cancellation import Cancellation
    from dockyard.driver import (
        Connection,
        DriverType,
        Node,
        NodeFeatures,
        NodeStatus,
        Progress,
        Removed,
        Stopped,
    )


@hookimpl
def dockyard_driver() -> DriverType:
    """Declare the driver."""
    return declaration.DRIVER


@hookimpl
def dockyard_endpoint(argument: str | None, variables: Mapping[str, str]) -> str:
    """Take the endpoint as it was typed, or from the environment, once it is found good."""
    from dockyard_remote.endpoint import choose

    return choose(argument, variables)


@hookimpl
def dockyard_status(node: Node) -> NodeStatus:
    """Say whether the daemon answers."""
    from dockyard_remote.daemon import status

    return status(node)


@hookimpl
def dockyard_bootstrap(node: Node, progress: Progress, cancel: Cancellation) -> Booted:
    """Wait until the daemon answers; others start it."""
    from dockyard_remote.daemon import bootstrap

    bootstrap(node, progress, cancel)
    return Booted()


@hookimpl
def dockyard_connect(node: Node, cancel: Cancellation) -> Connection:
    """Open a connection to the daemon."""
    from dockyard_remote.daemon import connect

    return connect(node, cancel)


@hookimpl
def dockyard_features(node: Node) -> NodeFeatures:
    """Say what the daemon can do: everything but being configured from here."""
    return declaration.features(node.options)


@hookimpl
def dockyard_stop() -> Stopped:
    """Do nothing: the daemon is not ours to stop."""
    from dockyard.driver import Stopped

    return Stopped()


@hookimpl
def dockyard_rm() -> Removed:
    """Do nothing: nothing was made for the builder."""
    from dockyard.driver import Removed

    return Removed()
