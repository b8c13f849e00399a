from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A directory that every user can reach; pytest closes its own against others."""
    path = Path(tempfile.mkdtemp(prefix="dockyard-test-"))
    path.chmod(0o777)
    yield path
    for place in path.rglob("*"):
        if place.is_dir() and not place.is_symlink():
            place.chmod(0o700)
    shutil.rmtree(path)
