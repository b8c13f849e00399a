"""HTTPS on a loopback port: a thread for each connection, and an end for all of them at once."""

from __future__ import annotations

import gzip
import http
import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import cast

from support.kubernetes.access import ANONYMOUS, User
from support.kubernetes.api import Api
from support.kubernetes.call import Call, HangUp, Recorded, Reply, read_call
from support.kubernetes.watch import Cut
from support.kubernetes.websocket import ClosedError

_BIG = 128 << 10
"""Answers above this are compressed for clients that take it, as the real server does."""


class Server:
    """Listens, and serves the API; can be stopped and started again on the same port."""

    def __init__(self, api: Api, tls: ssl.SSLContext, users: Mapping[str, User]) -> None:
        """Begin to listen; ``users`` are found by their tokens."""
        self.api = api
        self.accepted = 0
        """Connections so far."""
        self._place = _take_place()
        self.port: int = self._place.getsockname()[1]
        self.certified_user: Callable[[str, tuple[str, ...]], User] = lambda name, groups: User(
            name, "", groups=groups
        )
        """Gives the user of a client certificate."""
        self._tls = tls
        self._users = users
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.start()

    def start(self) -> None:
        """Listen, on the port of before."""
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening, and cut all connections."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def close(self) -> None:
        """Stop, and let others have the port."""
        self.stop()
        self._place.close()

    def cut(self) -> None:
        """Cut all connections that are open now."""
        with self._lock:
            for connection in self._open:
                _shut(connection)

    def user_of(self, headers: Mapping[str, str], connection: ssl.SSLSocket) -> User | None:
        """Give who asks; None when the token is good for nothing."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            user = self._users.get(token.strip())
            return None if user is None or user.expired else user
        certificate = connection.getpeercert()
        if certificate:
            groups_of_pairs = cast(
                "tuple[tuple[tuple[str, str], ...], ...]", certificate["subject"]
            )
            subject = [pair for group in groups_of_pairs for pair in group]
            names = [value for key, value in subject if key == "commonName"]
            groups = tuple(value for key, value in subject if key == "organizationName")
            return self.certified_user(names[0] if names else "", groups)
        return ANONYMOUS

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
            if self._listener is None:
                _shut(connection)
        secured: ssl.SSLSocket | None = None
        # Whatever a client or a test does to a connection ends that connection alone.
        with suppress(OSError, ValueError, ClosedError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(30)
            secured = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
            with self._lock:
                self._open.discard(connection)
                self._open.add(secured)
                if self._listener is None:
                    _shut(secured)
            secured.do_handshake()
            secured.settimeout(None)
            _Handler(secured, self)
        with self._lock:
            self._open.discard(connection)
            if secured is not None:
                self._open.discard(secured)
        if secured is not None:
            secured.close()
        connection.close()


def _take_place() -> socket.socket:
    """Take a port, so that nobody else is given it while nobody listens there."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place


def _shut(connection: socket.socket) -> None:
    # The class's own: that of a TLS socket would pull TLS away from under the thread that uses it.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    connection: ssl.SSLSocket

    def __init__(self, connection: ssl.SSLSocket, server: Server) -> None:
        self._ours = server
        super().__init__(connection, connection.getpeername(), None)  # type: ignore[arg-type]

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: the requests are recorded."""

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or len(self.raw_requestline) > 65536:
            self.close_connection = True
            return
        if self.parse_request():
            self._serve()

    def _serve(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        data = self._body(headers)
        user = self._ours.user_of(headers, self.connection)
        call = read_call(self.command, self.path, headers, data, user)
        try:
            reply, recorded = self._ours.api.answer(call, self.path, self._gone)
            self._send(call, reply, recorded)
        except (HangUp, Cut):
            self.close_connection = True
        self.wfile.flush()

    def _body(self, headers: Mapping[str, str]) -> bytes:
        return self.rfile.read(int(headers.get("content-length", 0)))

    def _gone(self) -> bool:
        """Answer whether the client has left: only asked while nothing else can come from it."""
        try:
            return bool(select.select([self.connection], [], [], 0)[0])
        except (OSError, ValueError):
            return True

    def _send(self, call: Call, reply: Reply, recorded: Recorded) -> None:
        if reply.takeover is not None:
            self.close_connection = True
            self.wfile.flush()
            reply.takeover(self)
        elif reply.stream is not None:
            self._send_stream(reply, recorded)
        else:
            self._send_body(call, reply)

    def _send_stream(self, reply: Reply, recorded: Recorded) -> None:
        assert reply.stream is not None
        self._head(reply, "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        recorded.begun = True
        for piece in reply.stream:
            if piece:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _send_body(self, call: Call, reply: Reply) -> None:
        plain = isinstance(reply.body, bytes)
        body = (
            reply.body if plain else json.dumps(reply.body, separators=(",", ":")).encode() + b"\n"
        )
        self._head(reply, "text/plain; charset=utf-8" if plain else "application/json")
        if len(body) > _BIG and "gzip" in call.headers.get("accept-encoding", ""):
            body = gzip.compress(body, 1)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Vary", "Accept-Encoding")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if reply.truncated:
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def _head(self, reply: Reply, kind: str) -> None:
        words = http.HTTPStatus(reply.code).phrase
        self.send_response_only(reply.code, words)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-cache, private")
        for warning in reply.warnings:
            quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
            self.send_header("Warning", f'299 - "{quoted}"')
        if reply.retry_after is not None:
            self.send_header("Retry-After", str(reply.retry_after))

    def version_string(self) -> str:
        return "kubernetes"
