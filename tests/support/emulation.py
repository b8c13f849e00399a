"""Fixtures with which containers run programs of ``linux/arm64``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tools import debian
from tools import emulation as emulator
from tools.packages import BUSYBOX_ARM64

from support.engines import or_skip


@pytest.fixture(scope="session")
def emulation() -> Iterator[None]:
    """Let the machine run programs of ``linux/arm64`` until the run is over.

    A BuildKit that starts meanwhile tells that it builds for ``linux/arm64``. Workers of
    pytest-xdist come and go with it, so no test may count on there being no emulator.
    """
    if reason := emulator.why_not():
        pytest.skip(f"cannot emulate linux/arm64: {reason}")
    with ExitStack() as stack:
        or_skip(lambda: stack.enter_context(emulator.registered()))
        yield


@pytest.fixture(scope="session")
def busybox_arm64() -> Path:
    """A static busybox for ``linux/arm64``."""
    return or_skip(lambda: debian.unpacked([BUSYBOX_ARM64])[0]) / "bin" / "busybox"
