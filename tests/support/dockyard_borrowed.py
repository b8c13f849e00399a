"""A driver for tests that borrows the BuildKit of an engine, as if it were nobody's.

It knows nothing of the engine's image store and offers no stream of its own for sessions: images
have to be streamed to where they are wanted, and sessions go through BuildKit's own API. What it
is told to do it writes, a line each, into the file that ``BORROWED_LOG`` names.
"""

from __future__ import annotations

import os
from pathlib import Path

from dockyard.cancellation import Cancellation
from dockyard.driver import (
    Booted,
    Connection,
    DriverType,
    EndpointForm,
    Feature,
    Node,
    NodeStatus,
    Removed,
    State,
    Stopped,
    Support,
)
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.plugin import hookimpl


@hookimpl
def dockyard_driver() -> DriverType:
    return DriverType(
        name="borrowed",
        summary="somebody else's BuildKit, for tests",
        features={
            Feature.TARBALL: Support.yes(),
            Feature.CACHE_EXPORT: Support.yes(),
            Feature.MULTI_PLATFORM: Support.yes(),
            Feature.DIRECT_PUSH: Support.yes(),
        },
        endpoints=(EndpointForm(form="unix:///PATH", help="an engine's socket file"),),
        priority=99,
        fallback_priority=99,
    )


@hookimpl
def dockyard_status() -> NodeStatus:
    return NodeStatus(state=State.RUNNING)


@hookimpl
def dockyard_bootstrap() -> Booted:
    return Booted()


@hookimpl
def dockyard_connect(node: Node, cancel: Cancellation) -> Connection:
    from dockyard.engine.http import upgrade

    return Connection(stream=upgrade(EngineEndpoint(host=node.endpoint), "/grpc", cancel=cancel))


@hookimpl
def dockyard_stop(node: Node) -> Stopped:
    _note(f"stop {node.name}")
    return Stopped()


@hookimpl
def dockyard_rm(node: Node) -> Removed:
    _note(f"rm {node.name}")
    return Removed(what=(f"borrowed {node.name}",))


def _note(line: str) -> None:
    log = os.environ.get("BORROWED_LOG")
    if log:
        with Path(log).open("a") as file:
            file.write(f"{line}\n")
