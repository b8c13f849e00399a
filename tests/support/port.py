"""Ports of this machine that nobody listens on."""

from __future__ import annotations

import socket
from contextlib import suppress
from random import SystemRandom


def free_port() -> int:
    """Find a loopback port that nobody has, and that no outgoing connection is given meanwhile.

    The system gives those out from 32768 on. Chance is not Python's own: pytest-randomly has it
    begin alike in every worker.
    """
    while True:
        port = SystemRandom().randint(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
