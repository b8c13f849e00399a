from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.buildkit.clock import Clock
from dockyard.buildkit.client import Client
from support.scripted_buildkit import ScriptedBuildKit


@pytest.fixture
def daemon() -> Iterator[ScriptedBuildKit]:
    # A short path of its own: the one of tmp_path can be too long for a socket.
    with tempfile.TemporaryDirectory() as folder, ScriptedBuildKit(Path(folder) / "s") as daemon:
        yield daemon


@pytest.fixture
def client(daemon: ScriptedBuildKit) -> Iterator[Client]:
    client = Client(daemon.connect())
    yield client
    client.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock that builds, their heartbeats and their loops go by in this test."""
    made = Clock()
    for module in ("wire.loop", "buildkit.solve", "buildkit.heartbeat"):
        monkeypatch.setattr(f"dockyard.{module}.monotonic", made)
    return made
