"""Small servers on real sockets that do to a connection what a test tells them to."""

from __future__ import annotations

import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from dockyard.engine.endpoint import EngineEndpoint

Script = Callable[[socket.socket], None]
"""What is done to one accepted connection; it is closed afterwards."""


SECONDS = 30
"""For so long it is waited for threads to end that were told to."""


class Peer:
    """A listening socket and the threads that serve what it accepts."""

    def __init__(self, listener: socket.socket, script: Script) -> None:
        self.accepted = 0
        self._listener = listener
        self._script = script
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """End everything, whoever still waits."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(SECONDS)
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(SECONDS)
        for connection in self._open:
            connection.close()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            self._script(connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


class Peers:
    """Starts peers, and ends them with the test."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack
        self._count = 0

    def unix(self, script: Script) -> EngineEndpoint:
        """Serve on a socket file."""
        self._count += 1
        path = self.directory / f"s{self._count}"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        self._start(listener, script)
        return EngineEndpoint(host=f"unix://{path}")

    def tcp(self, script: Script) -> EngineEndpoint:
        """Serve on a loopback port."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._start(listener, script)
        return EngineEndpoint(host=f"tcp://127.0.0.1:{listener.getsockname()[1]}")

    def _start(self, listener: socket.socket, script: Script) -> None:
        peer = Peer(listener, script)
        self._stack.callback(peer.close)


@pytest.fixture
def peers() -> Iterator[Peers]:
    """Make servers that end with the test."""
    directory = Path(tempfile.mkdtemp(prefix="p"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        yield Peers(directory, stack)


def with_tls(context: ssl.SSLContext, script: Script) -> Script:
    """Serve the script inside TLS."""

    def run(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            script(secured)

    return run


def answering(answer: bytes) -> Script:
    """Read a request's head and give a fixed answer."""

    def run(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(answer)

    return run


def silent(connection: socket.socket) -> None:
    """Say nothing until the other side goes."""
    while connection.recv(1 << 16):
        pass


def closing(connection: socket.socket) -> None:
    """Hang up at once."""


def read_head(connection: socket.socket) -> bytes:
    """Read until the empty line."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1 << 16)
        if not piece:
            raise OSError("the client is gone")
        data += piece
    return data
