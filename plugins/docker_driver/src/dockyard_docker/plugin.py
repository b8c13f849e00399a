"""The docker driver: builds with the BuildKit inside a Docker Engine.

Every hook it answers, in the order in which a builder's life calls them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dockyard.driver import Booted, Supported
from dockyard.plugin import hookimpl
from dockyard_docker import declaration, engine

if TYPE_CHECKING:
    from dockyard.cancellation import Cancellation
    from dockyard.driver import (
        Connection,
        DriverType,
        Image,
        LoadResult,
        Node,
        NodeFeatures,
        NodeStatus,
        Progress,
        PushResult,
        Removed,
        Stopped,
        Worker,
    )
    from dockyard.engine.endpoint import EngineEndpoint


@hookimpl
def dockyard_driver() -> DriverType:
    """Declare the driver."""
    return declaration.DRIVER


@hookimpl
def dockyard_supports(node: Node) -> Supported:
    """Say whether the engine has a BuildKit."""
    return Supported(engine.has_buildkit(node))


@hookimpl
def dockyard_status(node: Node) -> NodeStatus:
    """Say whether the engine answers, and which BuildKit is in it."""
    return engine.status(node)


@hookimpl
def dockyard_bootstrap(node: Node, cancel: Cancellation) -> Booted:
    """Make sure that the engine's BuildKit answers; there is nothing to start."""
    engine.reach(node, cancel)
    return Booted()


@hookimpl
def dockyard_connect(node: Node, cancel: Cancellation) -> Connection:
    """Open a connection to the engine's BuildKit."""
    return engine.connect(node, cancel)


@hookimpl
def dockyard_features(workers: Sequence[Worker]) -> NodeFeatures:
    """Say what the engine can do, which depends on its image store."""
    return declaration.features(workers)


@hookimpl
def dockyard_load(
    node: Node, image: Image, engine: EngineEndpoint, progress: Progress, cancel: Cancellation
) -> LoadResult:
    """Find the image in the engine that built it, or copy it from there to another engine."""
    from dockyard_docker.load import load

    return load(node, image, engine, progress, cancel)


@hookimpl
def dockyard_push(node: Node, image: Image, progress: Progress, cancel: Cancellation) -> PushResult:
    """Let the engine push the image."""
    from dockyard_docker.push import push

    return push(node, image, progress, cancel)


@hookimpl
def dockyard_stop() -> Stopped:
    """Do nothing: the engine is not ours to stop."""
    from dockyard.driver import Stopped

    return Stopped()


@hookimpl
def dockyard_rm() -> Removed:
    """Do nothing: nothing in the engine was made for a builder."""
    from dockyard.driver import Removed

    return Removed()
