"""A registry in this process that does what it is told: logins, wrong bytes, silence."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import attrs
import trustme

INDEX = "application/vnd.oci.image.index.v1+json"


@attrs.frozen(kw_only=True)
class Answer:
    """What the registry answers to one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict)
    slowly: threading.Event | None = None
    """Set: not all of it comes before this is."""


@attrs.define(eq=False, kw_only=True)
class FakeRegistry:
    """What it has, and what was asked of it."""

    url: str = ""
    challenge: str = ""
    """What it wants before it says anything."""
    accepts: str = ""
    """The ``Authorization`` that it takes; empty takes all."""
    answers: dict[str, Answer] = attrs.field(factory=dict)
    """By method and path."""
    asked: list[tuple[str, str, str]] = attrs.field(factory=list)
    """Method, path and authorization of each request."""
    stored: dict[str, tuple[str, bytes]] = attrs.field(factory=dict)
    """By path: what was put there, and of which type."""
    busy: int = 0
    """How often it says that it is busy before it answers."""
    forms: list[dict[str, str]] = attrs.field(factory=list)
    """What its token server was sent."""

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]

    def give(self, path: str, body: bytes, kind: str = INDEX) -> str:
        """Have something in the registry, and give its digest."""
        self.answers[f"GET {path}"] = Answer(body=body, headers={"Content-Type": kind})
        return digest_of(body)

    def answer(self, method: str, path: str, authorization: str, body: bytes) -> Answer:
        self.asked.append((method, path, authorization))
        if self.busy and path != "/v2/":
            self.busy -= 1
            return Answer(status=429)
        if path == "/token":
            self.forms.append({key: value[0] for key, value in parse_qs(body.decode()).items()})
        elif self.accepts and authorization != self.accepts:
            return self.answers.get("401") or Answer(
                status=401, headers={"WWW-Authenticate": self.challenge}
            )
        found = self.answers.get(f"{method} {path}")
        if found is not None or method != "PUT":
            return found or Answer(status=200 if path == "/v2/" else 404)
        return Answer(status=201, headers={"Docker-Content-Digest": digest_of(body)})


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def tokens(registry: FakeRegistry, answer: object = None) -> None:
    """Have the registry want a token from its own token server."""
    registry.challenge = f'Bearer realm="{registry.url}/token",service="yard"'
    registry.accepts = "Bearer the-token"
    body = json.dumps(answer or {"token": "the-token"}).encode()
    for method in ("GET", "POST"):
        registry.answers[f"{method} /token"] = Answer(body=body)


@contextmanager
def serve(certificate: trustme.LeafCert | None = None) -> Iterator[FakeRegistry]:
    """Run a registry, over TLS when there is a certificate."""
    registry = FakeRegistry()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(lambda: registry))
    registry.url = f"http://127.0.0.1:{server.server_port}"
    if certificate is not None:
        registry.url = f"https://127.0.0.1:{server.server_port}"
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(tls)
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(registry: Callable[[], FakeRegistry]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # it spoke no TLS, or went away
                super().handle()

        def do(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            path = self.path.partition("?")[0]
            authorization = self.headers["Authorization"] or ""
            found = registry().answer(self.command, path, authorization, body)
            if found.status == 201:
                registry().stored[path] = (self.headers["Content-Type"], body)
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            if found.slowly is not None:
                self.wfile.write(found.body[:1])
                self.wfile.flush()
                found.slowly.wait(60)
                self.wfile.write(found.body[1:])
            else:
                self.wfile.write(found.body)

        do_GET = do_POST = do_PUT = do  # noqa: N815  # http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    return Handler
