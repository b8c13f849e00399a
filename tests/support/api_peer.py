"""A small API server on real sockets that answers each request as a test tells it to.

Not the cluster double: it knows nothing of Kubernetes. It speaks HTTP/1.1 and WebSocket by hand,
which makes it a peer that shares no code with what is tested.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from dockyard.driver import Node
from support.peer import Peer, Script, with_tls

TOKEN = "the-secret-token"
V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Request(NamedTuple):
    """A request that came."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    connection: int
    """Which connection it came over, counted from 0."""


class Line:
    """A connection, to answer over."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""

    # --- HTTP ---

    def read_request(self, number: int) -> Request | None:
        """Read a request; None when there is none any more."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
        body = self.exactly(int(headers.get("content-length", "0")))
        return Request(method, target, headers, body, number)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer; ``_`` in a header's name is ``-``."""
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "\r\n"]).encode() + body)

    def json(self, content: object, status: int = 200, **headers: str) -> None:
        self.answer(
            status, json.dumps(content).encode(), Content_Type="application/json", **headers
        )

    def status(self, code: int, reason: str, message: str, **more: Any) -> None:  # noqa: ANN401
        """Refuse as an API server does."""
        content = {"kind": "Status", "code": code, "reason": reason, "message": message, **more}
        self.json(content, code)

    def begin_chunks(self) -> None:
        self.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )

    def chunk(self, data: bytes) -> None:
        """Send a chunk; an empty one is the last."""
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def event(self, kind: str, content: object) -> None:
        """Send an event of a watch."""
        self.chunk(json.dumps({"type": kind, "object": content}).encode() + b"\n")

    # --- WebSocket ---

    def upgrade(self, request: Request, protocol: str = V5) -> None:
        """Accept a WebSocket."""
        key = request.headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {accept}", f"Sec-WebSocket-Protocol: {protocol}"]
        self.send("\r\n".join([*lines, "\r\n"]).encode())

    def message(self, channel: int, data: bytes) -> None:
        self.send(frame(BINARY, bytes([channel]) + data))

    def end(self, status: object = None) -> None:
        """End a command: its status, and the close."""
        self.message(3, json.dumps(status or {"status": "Success"}).encode())
        self.send(frame(CLOSE, b"\x03\xe8"))

    def read_frame(self) -> tuple[int, bytes]:
        """Read a frame, which has to be masked, as a client's are."""
        first, second = self.exactly(2)
        assert second & 0x80, "a client has to mask its frames"
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", self.exactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.exactly(8))[0]
        mask = self.exactly(4)
        data = self.exactly(size)
        key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        plain = (int.from_bytes(data, "big") ^ key).to_bytes(size, "big")
        return first & 0x0F, plain

    def read_data(self) -> bytes:
        """Read the next data frame's content: the channel, and what is on it."""
        while True:
            opcode, data = self.read_frame()
            if opcode == BINARY:
                return data

    # --- bytes ---

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._more():
                raise OSError("the client is gone")
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _more(self) -> bool:
        data = self.socket.recv(1 << 18)
        self._buffer += data
        return bool(data)


def frame(opcode: int, data: bytes, *, last: bool = True, mask: bool = False) -> bytes:
    """Make a frame, as a server does; with a mask, which it must not have, if told so."""
    size = len(data)
    high = 0x80 if mask else 0
    if size < 126:
        length = bytes([high | size])
    elif size < 1 << 16:
        length = bytes([high | 126]) + struct.pack(">H", size)
    else:
        length = bytes([high | 127]) + struct.pack(">Q", size)
    return bytes([opcode | (0x80 if last else 0)]) + length + (b"\0\0\0\0" if mask else b"") + data


Handler = Callable[[Request, Line], None]


class Api:
    """A server that answers with a handler, over as many connections as there are."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.requests: list[Request] = []
        self.authority = trustme.CA()
        self._stack = stack
        self._connections = 0

    def serve(self, handler: Handler, *, tls: bool = False, clients: bool = False) -> str:
        """Serve on a loopback port, and give the URL.

        Args:
            handler: Answers a request.
            tls: Whether to use it.
            clients: Whether clients have to show a certificate of ours.
        """
        listener = socket.create_server(("127.0.0.1", 0))
        script = self.script(handler)
        if tls:
            script = with_tls(self.context(clients=clients), script)
        self._stack.callback(Peer(listener, script).close)
        return f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"

    def peer(self, script: Script) -> int:
        """Serve connections by a script, and give the port."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._stack.callback(Peer(listener, script).close)
        port: int = listener.getsockname()[1]
        return port

    def script(self, handler: Handler) -> Script:
        def run(connection: socket.socket) -> None:
            number, self._connections = self._connections, self._connections + 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = Line(connection)
            while (request := line.read_request(number)) is not None:
                self.requests.append(request)
                with suppress(StopIteration):
                    handler(request, line)

        return run

    def context(self, *, clients: bool = False, name: str = "127.0.0.1") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        if clients:
            self.authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def kubeconfig(
        self,
        url: str,
        *,
        user: object = None,
        cluster: Mapping[str, object] | None = None,
        context: Mapping[str, object] | None = None,
    ) -> Path:
        """Write a kubeconfig that leads to a server."""
        found: dict[str, object] = {"server": url}
        if url.startswith("https:"):
            data = self.authority.cert_pem.bytes()
            found["certificate-authority-data"] = base64.b64encode(data).decode()
        content = {
            "current-context": "here",
            "contexts": [
                {"name": "here", "context": {"cluster": "c", "user": "u", **(context or {})}}
            ],
            "clusters": [{"name": "c", "cluster": found | dict(cluster or {})}],
            "users": [{"name": "u", "user": {"token": TOKEN} if user is None else user}],
        }
        path = self.folder / "kubeconfig"
        path.write_text(json.dumps(content))
        return path

    def node(self, url: str, **more: Any) -> Node:  # noqa: ANN401  # as kubeconfig has them
        """Make a node whose cluster is the server."""
        variables = more.pop("variables", {})
        return node_of(self.kubeconfig(url, **more), variables)


def node_of(kubeconfig: Path, variables: Mapping[str, str] | None = None) -> Node:
    return Node(
        name="k0",
        driver="kubernetes",
        endpoint=f"kubernetes:///k?deployment=k0&kubeconfig={kubeconfig}",
        variables=variables or {},
    )


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """Make servers that end with the test."""
    with ExitStack() as stack:
        yield Api(tmp_path, stack)
