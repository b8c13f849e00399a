"""Ctrl-C, and docker's way of saying it to a plugin: turned into one cancellation.

The first interrupt, from wherever, turns the switch, and whatever runs ends in order. The second
leaves at once. Docker closes a socket besides the signal that a terminal sends to everyone; that
is the same interrupt told twice, so the socket counts only while nothing was interrupted yet.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from types import FrameType

from dockyard.cancellation import Cancellation

SOCKET_VARIABLE = "DOCKER_CLI_PLUGIN_SOCKET"

EXIT_CODE = 130


class Interruption:
    """The handlers, as long as they are installed."""

    def __init__(self) -> None:
        self.cancellation = Cancellation()
        self._signals = 0

    def install(self, variables: Mapping[str, str]) -> None:
        """Listen for interrupts. Only the main thread may do this."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        address = variables.get(SOCKET_VARIABLE, "")
        if address:
            self.watch(address)

    def watch(self, address: str) -> None:
        """Take the end of docker's socket for an interrupt; ``@`` begins an abstract address."""
        threading.Thread(target=self._watch, args=(address,), daemon=True).start()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            # In a thread: this runs between any two steps of the main thread, which may hold a
            # lock that a callback wants.
            threading.Thread(target=self.cancellation.cancel, daemon=True).start()
        elif self._signals == 2:
            raise KeyboardInterrupt
        else:
            os._exit(EXIT_CODE)

    def _watch(self, address: str) -> None:
        import socket

        name = "\0" + address[1:] if address.startswith("@") else address
        try:
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(name)
                while stream.recv(1024):
                    pass
        except OSError:
            return  # an older docker, or none: then there are only signals
        self.cancellation.cancel()
