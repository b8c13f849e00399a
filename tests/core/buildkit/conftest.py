from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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
