"""Ports of this machine that nobody listens on."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from random import SystemRandom

FIRST, END = 20_000, 32_000
"""The system gives outgoing connections ports from 32768 on."""
SHARES = 8
"""Each worker of pytest-xdist has ports of its own, up to so many workers."""


def free_port() -> int:
    """Find a loopback port that nobody has, and that nobody is given until it is used.

    Chance is not Python's own: pytest-randomly has it begin alike in every worker.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    size = (END - FIRST) // SHARES
    first = FIRST + int(worker) % SHARES * size
    while True:
        port = first + SystemRandom().randrange(size)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
