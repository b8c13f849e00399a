"""A stand-in for the cache service of GitHub Actions, version 1, on a loopback port."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import attrs

_PATH = "/_apis/artifactcache/"


@attrs.define
class ActionsCache:
    """The service: what it holds, and who asked."""

    url: str = ""
    entries: list[tuple[str, bytearray]] = attrs.field(factory=list)
    """Keys and contents, the oldest first."""
    tokens: set[str] = attrs.field(factory=set)
    """The tokens of all requests that change or search something."""
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    """BuildKit writes several entries at a time."""

    def find(self, prefixes: list[str]) -> tuple[str, int] | None:
        """Give the key and the number of the newest entry that begins as asked."""
        for prefix in prefixes:
            for number, (key, _) in reversed(list(enumerate(self.entries))):
                if key.startswith(prefix):
                    return key, number
        return None

    def add(self, key: str) -> int | None:
        """Make an entry, and give its number; None when there is one of the key."""
        with self._lock:
            if any(other == key for other, _ in self.entries):
                return None
            self.entries.append((key, bytearray()))
            return len(self.entries) - 1

    def write(self, number: int, start: int, data: bytes) -> None:
        """Put a part of an entry where it belongs; parts come in any order."""
        end = start + len(data)
        with self._lock:
            content = self.entries[number][1]
            content.extend(bytes(max(0, end - len(content))))
            content[start:end] = data


def make_token() -> str:
    """Make a token that lets its holder read and write for ever; nobody checks its signature."""
    scopes = json.dumps([{"Scope": "refs/heads/main", "Permission": 3}])
    claims = {"ac": scopes, "nbf": 0, "exp": 4_000_000_000}
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(
        [
            *(
                base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode()
                for p in parts
            ),
            "x",
        ]
    )


@contextmanager
def actions_cache() -> Iterator[ActionsCache]:
    """Serve a cache that is empty at first."""
    service = ActionsCache()

    class Handler(_Handler):
        cache = service

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    cache: ActionsCache
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        if target.path != f"{_PATH}cache":
            self._give_entry(int(target.path.rpartition("/")[2]))
            return
        self._note_token()
        found = self.cache.find(parse_qs(target.query)["keys"][0].split(","))
        if found is None:
            self._answer(204)
        else:
            key, number = found
            self._answer(200, {"cacheKey": key, "archiveLocation": f"{self.cache.url}e/{number}"})

    def do_POST(self) -> None:
        self._note_token()
        body = json.loads(self._body())
        if self.path != f"{_PATH}caches":
            self._answer(204)  # the end of an entry
            return
        number = self.cache.add(body["key"])
        if number is None:
            self._answer(409, {"message": "already exists"})
        else:
            self._answer(201, {"cacheId": number + 1})

    def do_PATCH(self) -> None:
        self._note_token()
        number = int(self.path.rpartition("/")[2]) - 1
        start = self.headers["Content-Range"].removeprefix("bytes ").partition("-")[0]
        self.cache.write(number, int(start), self._body())
        self._answer(204)

    def _give_entry(self, number: int) -> None:
        content = bytes(self.cache.entries[number][1])
        start = int((self.headers["Range"] or "bytes=0-")[6:].partition("-")[0])
        self.send_response(206 if start else 200)
        if start:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:])

    def _note_token(self) -> None:
        self.cache.tokens.add(self.headers["Authorization"].removeprefix("Bearer "))

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, values: object = None) -> None:
        data = b"" if values is None else json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
