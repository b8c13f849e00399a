"""A token server for the tests: real HTTP in a thread, with or without TLS, answers as scripted."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import attrs


@attrs.frozen(kw_only=True)
class Asked:
    """One request that reached the server."""

    method: str
    path: str
    query: dict[str, list[str]]
    form: dict[str, list[str]]
    authorization: str | None
    content_type: str | None
    host: str | None


@attrs.define(eq=False)
class TokenServer:
    """Keeps what was asked; each method's answer can be set."""

    url: str = ""
    asked: list[Asked] = attrs.field(factory=list)
    answers: dict[str, tuple[int, bytes, dict[str, str]]] = attrs.field(factory=dict)
    before: Callable[[], None] | None = None
    """Called before each answer."""

    def answer(self, method: str, status: int, body: object = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[method] = (status, data, headers)


@contextmanager
def serve(tls: ssl.SSLContext | None = None) -> Iterator[TokenServer]:
    """Run a server until the block ends."""
    server = TokenServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's name
            self.respond()

        def do_POST(self) -> None:  # http.server's name
            self.respond()

        def respond(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            server.asked.append(
                Asked(
                    method=self.command,
                    path=parts.path,
                    query=parse_qs(parts.query, keep_blank_values=True),
                    form=parse_qs(body, keep_blank_values=True),
                    authorization=self.headers.get("Authorization"),
                    content_type=self.headers.get("Content-Type"),
                    host=self.headers.get("Host"),
                )
            )
            if server.before is not None:
                server.before()
            status, data, headers = server.answers.get(self.command, (404, b"", {}))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients that break off are part of the tests."""

    httpd = Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        httpd.socket = tls.wrap_socket(httpd.socket, server_side=True)
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{httpd.server_port}/token"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()
