"""A driver for tests that serves docker contexts: it takes every engine whose host says so.

A host with ``kiosk`` in it is served, one with ``gone`` cannot be reached, one with ``hang``
never answers, and any other is left to whoever else there is.
"""

from __future__ import annotations

import threading

from dockyard.driver import (
    DriverType,
    Feature,
    Node,
    NodeStatus,
    Removed,
    State,
    Stopped,
    Support,
    Supported,
)
from dockyard.errors import EngineUnreachableError
from dockyard.plugin import hookimpl


@hookimpl
def dockyard_driver() -> DriverType:
    return DriverType(
        name="kiosk",
        summary="docker contexts for tests",
        features={Feature.AUTO_LOAD: Support.yes()},
        priority=10,
        fallback_priority=99,
        creatable=False,
        serves_docker_contexts=True,
        uses_engine=True,
        config_refusal="setting config file is not supported for kiosk driver",
        flags_refusal="setting buildkit flags is not supported for kiosk driver",
    )


@hookimpl
def dockyard_supports(node: Node) -> Supported:
    assert node.engine is not None
    if "hang" in node.engine.host:
        threading.Event().wait()
    if "gone" in node.engine.host:
        raise EngineUnreachableError(f"failed to connect to the docker API at {node.engine.host}")
    return Supported("kiosk" in node.engine.host)


@hookimpl
def dockyard_status(node: Node) -> NodeStatus:
    return NodeStatus(state=State.STOPPED)


@hookimpl
def dockyard_stop(node: Node) -> Stopped:
    return Stopped()


@hookimpl
def dockyard_rm(node: Node) -> Removed:
    return Removed()
