"""Talk HTTP/1.1 to an engine: upgrades, small requests, and streams in and out.

Every call opens a connection of its own. What an engine refuses becomes an ``EngineError`` in the
engine's words; what is no engine becomes an ``EngineUnreachableError``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.engine.dial import TIMEOUT, dial
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.exchange import EngineExchange, Exchange, Headers, refusal, request_head
from dockyard.engine.response import Head
from dockyard.engine.stream import SocketStream
from dockyard.engine.wait import Wait
from dockyard.errors import EngineError

MAX_BODY = 16 << 20
"""Bytes of a whole answer that are kept."""
SILENCE = 600.0
"""Seconds that an engine may be silent while it works on what it was sent."""

_PIECE = 256 << 10


class Response(NamedTuple):
    """An engine's whole answer."""

    status: int
    headers: Headers
    body: bytes

    def json(self) -> Any:  # noqa: ANN401  # it is whatever JSON the engine sent
        """Give the body's content.

        Raises:
            EngineError: It is no JSON.
        """
        import json

        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise EngineError(f"the docker engine answered with malformed JSON: {error}") from error


def upgrade(
    endpoint: EngineEndpoint,
    path: str,
    *,
    protocol: str = "h2c",
    headers: Headers = (),
    body: bytes = b"",
    timeout: float = TIMEOUT,
    cancel: Cancellation | None = None,
) -> SocketStream:
    """Make a connection to the engine's HTTP API into a byte stream of another protocol.

    Raises:
        EngineUnreachableError: No engine answers.
        EngineError: The engine does not upgrade, and says why.
        CanceledError: ``cancel`` was turned.
    """
    own = (("Connection", "Upgrade"), ("Upgrade", protocol), ("Content-Length", str(len(body))))
    with Wait(timeout, cancel) as wait:
        stream = dial(endpoint, timeout=timeout, cancel=cancel)
        try:
            exchange = EngineExchange(endpoint, stream, wait)
            exchange.send(request_head(endpoint, "POST", path, (*own, *headers)), body)
            _await_upgrade(endpoint, path, protocol, exchange)
            stream.unread(exchange.leftover)
        except BaseException:
            stream.close()
            raise
    return stream


def request(
    endpoint: EngineEndpoint,
    method: str,
    path: str,
    *,
    headers: Headers = (),
    body: bytes | None = None,
    timeout: float = TIMEOUT,
    cancel: Cancellation | None = None,
) -> Response:
    """Send a small request and give the whole answer.

    Raises:
        EngineUnreachableError: No engine answers.
        EngineError: The engine refuses; ``status`` says how.
        CanceledError: ``cancel`` was turned.
    """
    own = [("Connection", "close")]
    if body is not None or method == "POST":
        own.append(("Content-Length", str(len(body or b""))))
    with Wait(timeout, cancel) as wait:
        stream = dial(endpoint, timeout=timeout, cancel=cancel)
        try:
            exchange = EngineExchange(endpoint, stream, wait, without_body=method == "HEAD")
            exchange.send(request_head(endpoint, method, path, (*own, *headers)), body or b"")
            head, early = _receive_head(exchange)
            content = _receive_body(exchange, early)
        finally:
            stream.close()
    if head.status >= 300:
        raise refusal(endpoint, path, head, content)
    return Response(status=head.status, headers=head.headers, body=content)


def upload(
    endpoint: EngineEndpoint,
    path: str,
    source: BinaryIO,
    *,
    on_data: Callable[[bytes], None],
    headers: Headers = (),
    silence: float = SILENCE,
    cancel: Cancellation | None = None,
) -> None:
    """Send everything that the source gives, and pass on the answer while it comes.

    Ends before the source does when the engine answers with an error.

    Args:
        endpoint: The engine.
        path: Where to post to.
        source: Read in pieces, in this thread.
        on_data: Takes the parts of a successful answer's body.
        headers: More headers.
        silence: Seconds for which nothing need move.
        cancel: Ends it.

    Raises:
        EngineUnreachableError: No engine answers.
        EngineError: The engine refuses, or breaks off.
        CanceledError: ``cancel`` was turned.
    """
    own = (("Connection", "close"), ("Transfer-Encoding", "chunked"))
    stream = dial(endpoint, cancel=cancel)
    try:
        with Wait(silence, cancel) as wait:
            exchange = EngineExchange(endpoint, stream, wait)
            exchange.send(request_head(endpoint, "POST", path, (*own, *headers)))
            refused = bytearray()
            finished = False
            while not exchange.complete:
                if not finished and not exchange.sending:
                    finished = _send_piece(exchange, source)
                    wait.restart()
                for part in exchange.step():
                    wait.restart()
                    if exchange.head is not None and exchange.head.status < 300:
                        on_data(part)
                    elif len(refused) < MAX_BODY:
                        refused += part
            _check(endpoint, path, exchange.head, bytes(refused))
    finally:
        stream.close()


def download(
    endpoint: EngineEndpoint,
    path: str,
    *,
    silence: float = SILENCE,
    cancel: Cancellation | None = None,
) -> BinaryIO:
    """Ask for something long, and give it as a file to read from, which has to be closed.

    Reading from it raises our own errors.

    Raises:
        EngineUnreachableError: No engine answers.
        EngineError: The engine refuses.
        CanceledError: ``cancel`` was turned.
    """
    stream = dial(endpoint, cancel=cancel)
    wait = Wait(silence, cancel)
    wait.__enter__()
    body = _Download(stream, wait)
    try:
        exchange = EngineExchange(endpoint, stream, wait)
        exchange.send(request_head(endpoint, "GET", path, (("Connection", "close"),)))
        body.begin(exchange, _await_success(endpoint, path, exchange))
    except BaseException:
        body.close()
        raise
    return io.BufferedReader(body, _PIECE)


class _Download(io.RawIOBase):
    """The body of an answer that is still coming."""

    def __init__(self, stream: SocketStream, wait: Wait) -> None:
        super().__init__()
        self._stream = stream
        self._wait = wait
        self._exchange: Exchange | None = None
        self._parts: list[bytes] = []

    def begin(self, exchange: Exchange, early: list[bytes]) -> None:
        self._exchange = exchange
        self._parts = early

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401  # any writable buffer
        if self._exchange is None:
            return 0
        while not self._parts and not self._exchange.complete:
            self._wait.restart()
            self._parts = self._exchange.step()
        if not self._parts:
            return 0
        part = self._parts[0]
        count = min(len(buffer), len(part))
        buffer[:count] = part[:count]
        self._parts[:1] = [part[count:]] if count < len(part) else []
        return count

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._wait.__exit__(None, None, None)
        super().close()


def _await_upgrade(endpoint: EngineEndpoint, path: str, protocol: str, exchange: Exchange) -> None:
    head, early = _receive_head(exchange)
    if head.status != 101:
        raise refusal(endpoint, path, head, _receive_body(exchange, early))
    if head.get("upgrade").lower() != protocol:
        raise EngineError(
            f"the docker API at {endpoint.host} upgrades {path} to "
            f"{head.get('upgrade')!r} instead of {protocol!r}"
        )


def _await_success(endpoint: EngineEndpoint, path: str, exchange: Exchange) -> list[bytes]:
    head, early = _receive_head(exchange)
    if head.status >= 300:
        raise refusal(endpoint, path, head, _receive_body(exchange, early))
    return early


def _receive_head(exchange: Exchange) -> tuple[Head, list[bytes]]:
    """Send everything, and wait for the first part of the answer and what comes along with it."""
    early: list[bytes] = []
    while exchange.head is None:
        early += exchange.step()
    return exchange.head, early


def _receive_body(exchange: Exchange, early: list[bytes]) -> bytes:
    body = bytearray().join(early)
    while not exchange.complete:
        for part in exchange.step():
            body += part
        if len(body) > MAX_BODY:
            raise EngineError("the docker engine's answer is longer than 16 MiB")
    return bytes(body)


def _send_piece(exchange: Exchange, source: BinaryIO) -> bool:
    """Queue the source's next piece as a chunk, and say whether it was the last."""
    piece = source.read(_PIECE)
    if not piece:
        exchange.send(b"0\r\n\r\n")
        return True
    exchange.send(f"{len(piece):x}\r\n".encode(), piece, b"\r\n")
    return False


def _check(endpoint: EngineEndpoint, path: str, head: Head | None, body: bytes) -> None:
    if head is not None and head.status >= 300:
        raise refusal(endpoint, path, head, body)
