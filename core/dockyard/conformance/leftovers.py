"""See in a Docker Engine what a driver made for a builder and did not remove."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from dockyard.conformance.subject import Leftovers
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import request

_LABEL = "dev.dockyard.builder"


def engine_leftovers(host: str) -> Leftovers:
    """Look for a builder's containers and volumes, by their label and by their names.

    Args:
        host: The engine's address.
    """
    engine = EngineEndpoint(host=host)

    def find(builder: str) -> list[str]:
        found = set()
        for way in ({"label": [f"{_LABEL}={builder}"]}, {"name": [builder]}):
            filters = quote(json.dumps(way))
            for container in _ask(engine, f"/containers/json?all=1&filters={filters}"):
                names = container.get("Names") or [container["Id"]]
                found.add(f"container {names[0].removeprefix('/')}")
            volumes = _ask(engine, f"/volumes?filters={filters}")["Volumes"]
            found.update(f"volume {volume['Name']}" for volume in volumes or ())
        return sorted(found)

    return find


def _ask(engine: EngineEndpoint, path: str) -> Any:  # noqa: ANN401  # the engine's JSON
    return request(engine, "GET", path).json()
