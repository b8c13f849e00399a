"""The server's side of a WebSocket: the handshake, and messages without blocking.

Frames are those of the package ``websockets``, so that clients meet an implementation that is not
their own. Two habits of the real server are kept: every frame is a message of its own to it, also
one that goes on with another, and it takes none above 32 MiB.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Mapping, Sequence

from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol, State

V5 = "v5.channel.k8s.io"
V4 = "v4.channel.k8s.io"
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MOST = 32 << 20
_PIECE = 256 << 10


class ClosedError(Exception):
    """The connection is over."""


def negotiate(headers: Mapping[str, str], known: Sequence[str]) -> str | None:
    """Choose the first of the client's protocols that is known."""
    for word in headers.get("sec-websocket-protocol", "").split(","):
        if word.strip() in known:
            return word.strip()
    return None


def accept_key(headers: Mapping[str, str], protocol: str) -> bytes:
    """Give the head of the answer that makes a connection a WebSocket."""
    key = headers.get("sec-websocket-key", "") + _MAGIC
    digest = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {digest}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    ).encode()


class WebSocket:
    """One connection, which never blocks; the caller polls."""

    def __init__(self, connection: ssl.SSLSocket, early: bytes) -> None:
        """Take a connection whose handshake is done; ``early`` is what came after it."""
        connection.setblocking(False)
        self.connection = connection
        self.pings = 0
        """How many came."""
        self.deaf = False
        """Turn it, and nothing is answered to pings."""
        self._protocol = Protocol(SERVER, state=State.OPEN, max_size=_MOST)
        self._out: list[memoryview] = []
        self._waiting = 0
        self._received: list[bytes] = []
        self._closing = False
        if early:
            self._take(early)

    @property
    def waiting(self) -> int:
        """Bytes that have not gone out yet."""
        return self._waiting

    def send(self, channel: int, data: bytes) -> None:
        """Send a message; :meth:`flush` until nothing waits.

        Raises:
            ClosedError: The client has said goodbye: it takes no more.
        """
        if self._protocol.state is not State.OPEN:
            raise ClosedError
        self._protocol.send_binary(bytes([channel]) + data)
        self._collect()

    def ping(self) -> None:
        self._protocol.send_ping(b"are you there")
        self._collect()

    def close(self, code: int = 1000) -> None:
        """Say that it is over; :meth:`flush` until nothing waits."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code)
            self._collect()

    def receive(self) -> list[bytes]:
        """Give the messages that have come.

        Raises:
            ClosedError: There will be no more.
        """
        if not self._received:
            while True:
                try:
                    data = self.connection.recv(_PIECE)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                    break
                except OSError as error:
                    raise ClosedError from error
                if not data:
                    raise ClosedError
                self._take(data)
                if self._received or not self.connection.pending():
                    break
        found, self._received = self._received, []
        if self._closing and not found:
            raise ClosedError
        return found

    def flush(self) -> None:
        """Send what can be sent now."""
        try:
            while self._out:
                sent = self.connection.send(self._out[0])
                self._waiting -= sent
                if sent < len(self._out[0]):
                    self._out[0] = self._out[0][sent:]
                else:
                    del self._out[0]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return
        except OSError as error:
            raise ClosedError from error

    def _take(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)
            if event.opcode is Opcode.PING:
                self.pings += 1
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._received.append(bytes(event.data))
        if self._protocol.state is not State.OPEN:
            self._closing = True
        if self.deaf:
            self._protocol.data_to_send()
        self._collect()

    def _collect(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._out.append(memoryview(data))
                self._waiting += len(data)
