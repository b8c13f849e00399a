"""Fixtures of the tests on real engines beside the engines themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.peer import peers
from support.website import served

__all__ = ["peers"]


@pytest.fixture
def website(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which it is served to engines on this machine."""
    folder = tmp_path / "website"
    folder.mkdir()
    with served(folder) as url:
        yield folder, url
