"""The kubernetes driver: BuildKit in pods of a cluster.

Every hook it answers, in the order in which a builder's life calls them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dockyard.driver import Booted
from dockyard.plugin import hookimpl
from dockyard_kubernetes import declaration

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
def dockyard_endpoint(
    argument: str | None, variables: Mapping[str, str], node_name: str, builder_name: str
) -> str:
    """Give the endpoint of a node that is being made: which kubeconfig leads to its cluster."""
    from dockyard_kubernetes.endpoint import choose

    return choose(argument, variables, node_name, builder_name)


@hookimpl
def dockyard_status(node: Node) -> NodeStatus:
    """Say what the node's workload and its pods are doing."""
    from dockyard_kubernetes.state import status

    return status(node)


@hookimpl
def dockyard_bootstrap(node: Node, progress: Progress, cancel: Cancellation) -> Booted:
    """Make the workload, or scale it up, and wait until builds can go to its pods."""
    from dockyard_kubernetes.boot import bootstrap

    bootstrap(node, progress, cancel)
    return Booted()


@hookimpl
def dockyard_connect(node: Node, cancel: Cancellation) -> Connection:
    """Open a connection to the BuildKit in one of the pods."""
    from dockyard_kubernetes.connection import connect

    return connect(node, cancel)


@hookimpl
def dockyard_features(node: Node) -> NodeFeatures:
    """Say what a BuildKit of one's own can do: everything."""
    return declaration.features(node.options)


@hookimpl
def dockyard_stop(node: Node) -> Stopped:
    """Have no pods, and keep the rest."""
    from dockyard.driver import Stopped
    from dockyard_kubernetes.removal import stop

    stop(node)
    return Stopped()


@hookimpl
def dockyard_rm(node: Node, keep_state: bool, keep_daemon: bool) -> Removed:
    """Remove the workload, its configuration, and its claims unless the state is kept."""
    from dockyard.driver import Removed
    from dockyard_kubernetes.removal import remove

    return Removed(what=() if keep_daemon else remove(node, keep_state=keep_state))
