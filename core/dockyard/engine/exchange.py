"""One HTTP/1.1 request and its response, over a stream, both directions at once.

Turns everything that can go wrong on the way into one of our errors.
"""

from __future__ import annotations

import re
import select
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dockyard.engine.context import split_tcp
from dockyard.engine.dial import unreachable
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.response import Head, MalformedError, ResponseParser
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import DockyardError, EngineError

if TYPE_CHECKING:
    from dockyard.engine.stream import Buffer, SocketStream

Headers = Sequence[tuple[str, str]]

_RECEIVED = 256 << 10
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT = re.compile(r"[\t\x20-\x7e]*")


class Exchange:
    """A request that is being sent and a response that is being received."""

    def __init__(self, stream: SocketStream, wait: Wait, *, without_body: bool = False) -> None:
        """Begin with nothing sent.

        Args:
            stream: Where nothing is under way. Closing it stays the caller's duty.
            wait: What all waiting keeps to.
            without_body: The request's method is ``HEAD``.
        """
        self.stream = stream
        self.wait = wait
        self._parser = ResponseParser(without_body=without_body)
        self._unsent: list[memoryview] = []
        self._received = bytearray(_RECEIVED)

    def failure(self, error: Exception) -> Exception:
        """Make the error that says what went wrong: ``error``, for whoever waits."""
        raise NotImplementedError

    @property
    def head(self) -> Head | None:
        """The response's first part, once it came."""
        return self._parser.head

    @property
    def started(self) -> bool:
        """Whether anything of the response came."""
        return self._parser.started

    @property
    def complete(self) -> bool:
        """Whether the response came to its end."""
        return self._parser.complete

    @property
    def leftover(self) -> bytes:
        """What was received after the response."""
        return self._parser.leftover

    @property
    def sending(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._unsent)

    def send(self, *buffers: Buffer) -> None:
        """Queue bytes. They go out in the steps to come."""
        self._unsent += [memoryview(buffer) for buffer in buffers if buffer]

    def step(self) -> list[bytes]:
        """Wait until something can be sent or received, do that, and give parts of the body.

        Raises:
            DockyardError: What :meth:`failure` makes of what went wrong.
            CanceledError: The wait was canceled.
        """
        try:
            return self._step()
        except (MalformedError, OutOfTimeError, OSError) as error:
            raise self.failure(error) from error

    def _step(self) -> list[bytes]:
        ready = select.POLLIN
        if not self.stream.pending():
            wanted = select.POLLIN | (select.POLLOUT if self._unsent else 0)
            ready = self.wait.until_ready(self.stream.fileno(), wanted)
        if ready & select.POLLOUT:
            self._send()
        return self._receive() if ready & ~select.POLLOUT else []

    def _send(self) -> None:
        try:
            count = self.stream.sendmsg(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()  # who hangs up while we talk has often answered before
            return
        while count:
            first = self._unsent[0]
            if count < len(first):
                self._unsent[0] = first[count:]
                return
            count -= len(first)
            del self._unsent[0]

    def _receive(self) -> list[bytes]:
        try:
            count = self.stream.recv_into(self._received)
        except BlockingIOError:
            return []
        if not count:
            self._parser.end()
            return []
        return self._parser.feed(memoryview(self._received)[:count])


class EngineExchange(Exchange):
    """One with an engine.

    Fails with ``EngineUnreachableError`` when what is there does not answer as an engine does,
    with ``EngineError`` when the engine broke off in the middle.
    """

    def __init__(
        self,
        endpoint: EngineEndpoint,
        stream: SocketStream,
        wait: Wait,
        *,
        without_body: bool = False,
    ) -> None:
        super().__init__(stream, wait, without_body=without_body)
        self._endpoint = endpoint

    def failure(self, error: Exception) -> DockyardError:
        endpoint, head = self._endpoint, self._parser.head
        if head is not None:
            reason = f"after {self.wait.seconds:g} s of silence"
            if not isinstance(error, OutOfTimeError):
                reason = str(error)
            return EngineError(f"the docker API at {endpoint.host} broke off its answer: {reason}")
        if isinstance(error, OutOfTimeError):
            return unreachable(
                endpoint,
                f"no answer within {self.wait.seconds:g} s",
                "something accepts connections there, but it is silent",
            )
        words = self.stream.last_words()
        if words:
            return unreachable(endpoint, f"ssh failed: {words}")
        if isinstance(error, MalformedError) and self._parser.started:
            return unreachable(
                endpoint,
                f"what answers there is no docker engine: {error}",
                "check the address, and whether TLS has to be used",
            )
        return unreachable(endpoint, "the connection was closed before an answer came")


def request_head(endpoint: EngineEndpoint, method: str, path: str, headers: Headers) -> bytes:
    """Write a request's first part.

    Raises:
        ValueError: A header cannot be sent.
    """
    scheme, _, address = endpoint.host.partition("://")
    authority, prefix = "docker", ""
    if scheme == "tcp":
        prefix = split_tcp(address)[2].rstrip("/")
        authority = address.partition("/")[0]
    lines = [f"{method} {prefix}{path} HTTP/1.1"]
    for name, value in (("Host", authority), ("User-Agent", "dockyard"), *headers):
        if not _TOKEN.fullmatch(name) or not _TEXT.fullmatch(value):
            raise ValueError(f"header {name!r} cannot be sent")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "\r\n"]).encode("ascii")


def refusal(endpoint: EngineEndpoint, path: str, head: Head, body: bytes) -> EngineError:
    """Make the error for an answer that is no success, in the engine's own words."""
    is_json = head.get("content-type").startswith("application/json")
    words = " ".join(_message(head, body).split())
    if not (is_json and words):  # a proxy's words, or of something that is no engine at all
        bare = f"the docker API at {endpoint.host} answers {path} with status {head.status}"
        words = f"{bare}: {words}" if words else bare
    hint = None
    if "HTTP request to an HTTPS server" in words:
        hint = f"{endpoint.host} wants TLS: use a docker context with certificates"
    return EngineError(words, status=head.status, hint=hint)


def _message(head: Head, body: bytes) -> str:
    text = body.decode(errors="replace")
    if head.get("content-type").startswith("application/json"):
        import json

        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return ""
        message = content.get("message") if isinstance(content, dict) else None
        return message if isinstance(message, str) else ""
    text = "".join(character if character.isprintable() else " " for character in text)
    return text[:400] if "<html" not in text.lower() else ""
