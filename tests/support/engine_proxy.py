"""A way to a real engine on which every request is seen, counted, and can be spoilt."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import attrs

from support.peer import read_head

PIECE = 1 << 16


@attrs.define(eq=False)
class Request:
    """One request that came by."""

    method: str
    path: str
    sent: int = 0
    """Bytes of its body, as far as they came."""

    @property
    def is_load(self) -> bool:
        return self.method == "POST" and self.path.startswith("/images/load")


Fault = Callable[[socket.socket, bytes], None]
"""What is done in place of passing a request on, given the part of its body that came already."""


class EngineProxy:
    """Passes connections on to an engine; ``serve`` is a script for :class:`support.peer.Peers`."""

    def __init__(self, host: str) -> None:
        """Take the engine's address, which has to be a socket file's.

        Set ``fault`` to look at each request, and to give what shall be done to it instead;
        ``meanwhile`` is called before each piece of a request's body is passed on.
        """
        self.requests: list[Request] = []
        self.under_way: set[Request] = set()
        """The requests whose connections are open still, here or to the engine."""
        self.fault: Callable[[Request], Fault | None] = lambda _request: None
        self.meanwhile: Callable[[Request], None] = lambda _request: None
        self._path = host.removeprefix("unix://")

    @property
    def loads(self) -> list[Request]:
        return [request for request in self.requests if request.is_load]

    @property
    def loaded(self) -> int:
        """Bytes that went into the image store."""
        return sum(request.sent for request in self.loads)

    def forget(self) -> None:
        """Count from now on."""
        self.requests.clear()

    def serve(self, connection: socket.socket) -> None:
        data = read_head(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        request = Request(method, path, len(body))
        self.requests.append(request)
        self.under_way.add(request)
        try:
            fault = self.fault(request)
            if fault is not None:
                fault(connection, body)
            else:
                self._pass_on(request, connection, data)
        finally:
            self.under_way.discard(request)

    def _pass_on(self, request: Request, connection: socket.socket, data: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(self._path)
            engine.sendall(data)
            back = threading.Thread(target=_copy, args=(engine, connection), daemon=True)
            back.start()
            with suppress(OSError):
                while piece := connection.recv(PIECE):
                    request.sent += len(piece)
                    self.meanwhile(request)
                    engine.sendall(piece)
            with suppress(OSError):
                engine.shutdown(socket.SHUT_WR)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def answer(text: bytes) -> Fault:
    """Take all that comes, and answer with success and a text."""

    def run(connection: socket.socket, early: bytes) -> None:
        data = early
        while not data.endswith(b"0\r\n\r\n"):  # the body comes in chunks
            piece = connection.recv(PIECE)
            if not piece:
                return
            data = (data + piece)[-64:]
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(text) + text)

    return run


def refuse(connection: socket.socket, _early: bytes) -> None:
    """Forbid it."""
    connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")


def hang_up(_connection: socket.socket, _early: bytes) -> None:
    """Hang up at once."""


def say_nothing(connection: socket.socket, _early: bytes) -> None:
    """Take all that comes until the other side goes."""
    while connection.recv(PIECE):
        pass
