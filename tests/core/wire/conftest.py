"""A loop, and a channel to whatever a test lets listen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dockyard.wire.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()
