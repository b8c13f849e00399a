"""Fixtures of the docker-container driver's tests: nodes with options as they are typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dockyard.driver import Node, parse_options
from dockyard.engine.endpoint import EngineEndpoint
from dockyard_docker_container.declaration import DRIVER
from support.peer import peers

__all__ = ["peers"]

MakeNode = Callable[..., Node]


@pytest.fixture
def make_node() -> MakeNode:
    """Make a node from typed options; further fields by name."""

    def make(typed: dict[str, str] | None = None, **fields: Any) -> Node:  # noqa: ANN401  # fields of Node
        fields.setdefault("engine", EngineEndpoint(host="unix:///nowhere.sock"))
        fields.setdefault("name", "b0")
        options = parse_options(DRIVER.name, DRIVER.options, typed or {})
        return Node(builder="B", driver=DRIVER.name, endpoint="default", options=options, **fields)

    return make
