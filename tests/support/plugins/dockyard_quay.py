"""A driver for tests whose endpoints are engines. No distribution offers it: tests do."""

from __future__ import annotations

from dockyard.driver import DriverType, Node, NodeStatus, State
from dockyard.plugin import hookimpl


@hookimpl
def dockyard_driver() -> DriverType:
    return DriverType(
        name="quay",
        summary="builders on engines, for tests",
        features={},
        priority=30,
        fallback_priority=70,
        uses_engine=True,
    )


@hookimpl
def dockyard_status(node: Node) -> NodeStatus:
    return NodeStatus(state=State.INACTIVE)
