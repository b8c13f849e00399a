"""HTTP/1.1 with an API server: connections that are kept, bounded answers, deadlines.

Every wait obeys its cancellation. Threads may share a server.
"""

from __future__ import annotations

import re
import select
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from dockyard.engine.exchange import Exchange
from dockyard.engine.response import Head, HungUpError, MalformedError
from dockyard.engine.stream import SocketStream
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard_kubernetes.credential import Pem, Shown
from dockyard_kubernetes.dial import Dialer
from dockyard_kubernetes.failure import (
    ApiError,
    ClusterUnreachableError,
    KubeconfigError,
    NonsenseError,
    refusal,
    target_of,
)
from dockyard_kubernetes.kubeconfig import Access

Headers = Sequence[tuple[str, str]]

MAX_BODY = 32 << 20
"""Bytes of an answer that are taken."""

_MOST_IDLE = 4
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_UNAUTHORIZED = 401
_FORBIDDEN = 403


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    head: Head
    body: bytes


class BrokenError(ClusterUnreachableError):
    """A connection that stood broke before the answer was complete.

    ``unheard`` tells that not one byte came back: a kept connection that the server had closed.
    """

    def __init__(self, error: ClusterUnreachableError, *, unheard: bool) -> None:
        super().__init__(error.message, hint=error.hint, transient=error.transient)
        self.unheard = unheard


class Talk(Exchange):
    """A request, and its answer, whose head was waited for."""

    answer: Head

    def __init__(self, stream: SocketStream, wait: Wait, dialer: Dialer, shown: Shown) -> None:
        """Begin with nothing sent; see :class:`dockyard.engine.exchange.Exchange`."""
        super().__init__(stream, wait)
        self._dialer = dialer
        self.certificate = shown.certificate
        """Whose connection it is."""
        self._parts: list[bytes] = []

    def failure(self, error: Exception) -> BrokenError:
        if isinstance(error, HungUpError):
            error = OSError("it hung up")
        elif isinstance(error, MalformedError):
            error = NonsenseError(f"what answers there is no API server: {error}")
        return BrokenError(self._dialer.unreachable(error, self.wait), unheard=not self.started)

    def ask(self, request: bytes) -> None:
        """Send the request, and wait for the head of the answer."""
        self.send(request)
        while self.head is None:
            self._parts += self.step()
        self.answer = self.head

    def parts(self) -> list[bytes]:
        """Give what has come of the body; waits when nothing has."""
        parts, self._parts = self._parts, []
        return parts if parts or self.complete else self.step()

    def rest(self) -> bytes:
        """Read the body to its end.

        Raises:
            ClusterUnreachableError: The connection broke, or it is too long.
            CanceledError: It was canceled.
        """
        body = bytearray()
        while self._parts or not self.complete:
            for part in self.parts():
                body += part
            if len(body) > MAX_BODY:
                words = f"its answer is longer than {MAX_BODY >> 20} MiB"
                raise self._dialer.unreachable(NonsenseError(words), self.wait)
        return bytes(body)


class _Idle(NamedTuple):
    """A connection that nobody uses, and whose it is."""

    stream: SocketStream
    certificate: Pem | None


class Server:
    """One API server."""

    def __init__(self, access: Access, dialer: Dialer) -> None:
        self.access = access
        self._dialer = dialer
        self._lock = threading.Lock()
        self._idle: list[_Idle] = []
        self.heard = False
        """Whether it has ever answered."""
        self._allowed: set[tuple[str, str]] = set()
        """Which verbs were allowed on what."""

    def request(
        self, method: str, target: str, wait: Wait, *, headers: Headers = (), body: bytes = b""
    ) -> Answer:
        """Send a request and give the whole answer, whatever its status.

        Raises:
            ClusterUnreachableError: No answer came.
            CanceledError: It was canceled.
        """
        # One that may not be sent twice does not go over a connection that may just be ending.
        may_be_kept = method != "POST"
        talk = self.open(method, target, wait, headers=headers, body=body, kept=may_be_kept)
        self.heard = True
        try:
            content = talk.rest()
        except BaseException:
            talk.stream.close()
            raise
        if talk.leftover or "close" in talk.answer.get("connection").lower():
            talk.stream.close()
        else:
            self._keep(_Idle(talk.stream, talk.certificate))
        return Answer(talk.answer.status, talk.answer, content)

    def open(
        self,
        method: str,
        target: str,
        wait: Wait,
        *,
        headers: Headers = (),
        body: bytes = b"",
        kept: bool = False,
    ) -> Talk:
        """Send a request, and wait for the head of the answer.

        On a connection of its own, or one that was ``kept``. Closing it is the caller's duty.

        Raises:
            ClusterUnreachableError: No answer came.
            CanceledError: It was canceled.
        """
        shown = self._show(wait)
        talk = self._open(self._write(method, target, headers, body, shown), wait, shown, kept)
        if talk.answer.status == _UNAUTHORIZED and self.access.credential.refused(shown):
            talk.stream.close()
            shown = self._show(wait)
            talk = self._open(self._write(method, target, headers, body, shown), wait, shown, kept)
        return talk

    def allow(self, verb: str, path: str) -> None:
        """Remember that something was allowed."""
        self._allowed.add((verb, target_of(path).resource))

    def refusal(self, verb: str, path: str, head: Head, body: bytes) -> ApiError:
        """Make the error of an answer that is no success.

        What was allowed before and is forbidden now may be allowed again in a moment: a server
        that has just started does not know the roles yet.
        """
        error = refusal(verb, path, head, body)
        if error.status == _FORBIDDEN and (verb, error.resource) in self._allowed:
            error.transient = True
        return error

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for each in idle:
            each.stream.close()

    def __del__(self) -> None:
        self.close()

    def _show(self, wait: Wait) -> Shown:
        # As kubectl does: what goes over a network unprotected tells nobody who we are.
        if self._dialer.address.scheme == "http":
            return Shown()
        try:
            return self.access.credential.show(wait)
        except OutOfTimeError as error:
            raise self._dialer.unreachable(error, wait) from error

    def _open(self, request: bytes, wait: Wait, shown: Shown, kept: bool) -> Talk:
        stream = self._take(shown.certificate) if kept else None
        if stream is not None:
            try:
                return self._ask(stream, request, wait, shown)
            except BrokenError as error:
                if not error.unheard or not wait.left:
                    raise
        return self._ask(self._dialer.dial(shown, wait), request, wait, shown)

    def _ask(self, stream: SocketStream, request: bytes, wait: Wait, shown: Shown) -> Talk:
        talk = Talk(stream, wait, self._dialer, shown)
        try:
            talk.ask(request)
        except BaseException:
            stream.close()
            raise
        return talk

    def _write(
        self, method: str, target: str, headers: Headers, body: bytes, shown: Shown
    ) -> bytes:
        address = self._dialer.address
        lines = [f"{method} {address.prefix}{target} HTTP/1.1"]
        fields = [("Host", address.authority), ("User-Agent", "dockyard"), *headers]
        if shown.authorization:
            fields.append(("Authorization", shown.authorization))
        if body or method in ("POST", "PUT", "PATCH"):
            fields.append(("Content-Length", str(len(body))))
        for name, value in (*fields, *self.access.impersonation):
            if not _VALUE.fullmatch(value):
                raise KubeconfigError(
                    f"what {self.access.source} has for the header {name} cannot be sent: "
                    "there are line breaks or foreign letters in it"
                )
            lines.append(f"{name}: {value}")
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1") + body

    # --- connections ------------------------------------------------------------------------

    def _take(self, certificate: Pem | None) -> SocketStream | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                stream, owner = self._idle.pop()
            poll = select.poll()
            poll.register(stream.fileno(), select.POLLIN)
            if owner is certificate and not poll.poll(0) and not stream.pending():
                return stream
            stream.close()  # it is not ours any more, was closed there, or says what nobody asked

    def _keep(self, idle: _Idle) -> None:
        with self._lock:
            if len(self._idle) < _MOST_IDLE:
                self._idle.append(idle)
                return
        idle.stream.close()


def with_query(path: str, query: Mapping[str, str]) -> str:
    """Add those parameters that are not empty to a path, which may have some."""
    fields = urlencode({name: value for name, value in query.items() if value})
    if not fields:
        return path
    return f"{path}{'&' if '?' in path else '?'}{fields}"
