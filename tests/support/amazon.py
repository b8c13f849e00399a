"""Those of Amazon's services that give credentials, over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

EXPIRY = "2100-01-01T00:00:00Z"


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


class Amazon(NamedTuple):
    """Where the services are, and what they were asked."""

    url: str
    requests: list[Asked]


def role(name: str) -> tuple[str, str, str]:
    """Give the credentials that are given for one kind of request."""
    return f"id-{name}", f"secret-{name}", f"token-{name}"


@contextmanager
def amazon(*, refusal: str = "") -> Iterator[Amazon]:
    """Serve them all under one address.

    Args:
        refusal: What the service for roles says instead of giving credentials.
    """
    requests: list[Asked] = []

    class Handler(_Handler):
        seen = requests
        words = refusal

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Amazon(f"http://127.0.0.1:{server.server_port}", requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    seen: list[Asked]
    words: str

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self._note().path
        if path.startswith("/federation/credentials"):
            key, secret, token = role("sso")
            names = ("accessKeyId", "secretAccessKey", "sessionToken")
            values: dict[str, object] = dict(zip(names, (key, secret, token), strict=True))
            self._json({"roleCredentials": {**values, "expiration": 4102444800000}})
        elif path.endswith("/security-credentials/"):
            self._answer(200, b"machine")
        elif path in {"/container", "/latest/meta-data/iam/security-credentials/machine"}:
            name = path.rpartition("/")[2]
            names = ("AccessKeyId", "SecretAccessKey", "Token")
            self._json({**dict(zip(names, role(name), strict=True)), "Expiration": EXPIRY})
        else:
            self._answer(404)

    def do_PUT(self) -> None:
        self._note()
        self._answer(200, b"session")

    def do_POST(self) -> None:
        action = self._note().form["Action"]
        if self.words:
            self._answer(
                403,
                "<ErrorResponse><Error><Code>AccessDenied</Code>"
                f"<Message>{escape(self.words)}</Message></Error>"
                "</ErrorResponse>".encode(),
            )
            return
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        fields = zip((*names, "Expiration"), (*role(action), EXPIRY), strict=True)
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields)
        self._answer(
            200,
            f"<{action}Response><{action}Result><Credentials>{inner}</Credentials>"
            f"</{action}Result></{action}Response>".encode(),
        )

    def _note(self) -> Asked:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        path = urlsplit(self.path).path
        self.seen.append(Asked(self.command, path, dict(self.headers), form))
        return self.seen[-1]

    def _json(self, values: object) -> None:
        self._answer(200, json.dumps(values).encode())

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
