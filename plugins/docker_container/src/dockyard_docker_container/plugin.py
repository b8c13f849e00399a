"""The docker-container driver: a BuildKit of one's own, in a container.

Every hook it answers, in the order in which a builder's life calls them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.driver import Booted, Supported
from dockyard.plugin import hookimpl
from dockyard_docker_container import declaration

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
def dockyard_supports(node: Node) -> Supported:
    """Say yes: any engine can run a container."""
    return Supported(node.engine is not None)


@hookimpl
def dockyard_status(node: Node) -> NodeStatus:
    """Say what the container is doing."""
    from dockyard_docker_container.state import status

    declaration.check(node)
    return status(node)


@hookimpl
def dockyard_bootstrap(node: Node, progress: Progress, cancel: Cancellation) -> Booted:
    """Make the container, or start it, and wait until BuildKit answers in it."""
    from dockyard_docker_container.boot import bootstrap

    bootstrap(node, progress, cancel)
    return Booted()


@hookimpl
def dockyard_connect(node: Node, cancel: Cancellation) -> Connection:
    """Open a connection to the BuildKit in the container."""
    from dockyard_docker_container.connection import connect

    return connect(node, cancel)


@hookimpl
def dockyard_features(node: Node) -> NodeFeatures:
    """Say what a BuildKit of one's own can do: everything."""
    return declaration.features(node.options)


@hookimpl
def dockyard_stop(node: Node) -> Stopped:
    """Stop the container if it runs."""
    from dockyard.driver import Stopped
    from dockyard_docker_container.removal import stop

    stop(node)
    return Stopped()


@hookimpl
def dockyard_rm(node: Node, keep_state: bool, keep_daemon: bool) -> Removed:
    """Remove the container, and its volume unless the state is kept."""
    from dockyard.driver import Removed
    from dockyard_docker_container.removal import remove

    return Removed(what=() if keep_daemon else remove(node, keep_state=keep_state))
