"""Fixtures of the kubernetes driver's tests: nodes with options as they are typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dockyard.driver import Node, parse_options
from dockyard_kubernetes.declaration import DRIVER
from support.api_peer import api

__all__ = ["api", "make_node"]

MakeNode = Callable[..., Node]


@pytest.fixture
def make_node() -> MakeNode:
    """Make a node from typed options; further fields by name."""

    def make(typed: dict[str, str] | None = None, **fields: Any) -> Node:  # noqa: ANN401  # fields of Node
        fields.setdefault("name", "k0")
        options = parse_options(DRIVER.name, DRIVER.options, typed or {})
        return Node(
            builder="k", driver=DRIVER.name, endpoint="kubernetes:///k", options=options, **fields
        )

    return make
