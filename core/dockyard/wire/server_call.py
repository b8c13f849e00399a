"""One gRPC call as the side sees it that serves it."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.wire import frames
from dockyard.wire.call import Call
from dockyard.wire.connection import Connection
from dockyard.wire.errors import WireError
from dockyard.wire.fields import (
    CONTENT_TYPE,
    Metadata,
    check_headers,
    is_grpc,
    parse_timeout,
    to_metadata,
)
from dockyard.wire.frames import ViolationError
from dockyard.wire.hpack import ENTRY_OVERHEAD, Header
from dockyard.wire.loop import Loop, Timer
from dockyard.wire.status import Code, encode_details, percent_encode

Handler = Callable[["ServerCall"], None]


class ServerCall(Call):
    """A call that the peer made. The handler sets what it wants to hear of, while it is called.

    A handler that sets no ``on_message`` gets no messages. ``on_half_close`` comes after the
    last message. ``on_cancel`` comes when the peer gave up, its deadline passed or the
    connection broke; the call is over then, and whatever is sent on it is dropped.
    """

    __slots__ = (
        "_loop",
        "_serve",
        "_started",
        "_timer",
        "metadata",
        "method",
        "on_cancel",
        "on_half_close",
    )

    def __init__(self, connection: Connection, loop: Loop, serve: Handler) -> None:
        super().__init__(connection)
        self.method = ""
        self.metadata: Metadata = ()
        self.on_half_close: Callable[[], None] | None = None
        self.on_cancel: Callable[[], None] | None = None
        self._loop = loop
        self._serve = serve
        self._started = False
        self._timer: Timer | None = None

    def get(self, key: str) -> str | None:
        """Return the first value of ``key`` (in lower case) in the metadata."""
        return next((value for name, value in self.metadata if name == key), None)

    def get_all(self, key: str) -> list[str]:
        """Return all values of ``key`` (in lower case), in their order."""
        return [value for name, value in self.metadata if name == key]

    def finish(self, code: Code = Code.OK, message: str = "", details: bytes = b"") -> None:
        """End the call with a status, once everything queued was sent.

        With OK the source goes on until it returns None. With another code it is not asked any
        more; it should stand between two messages then.
        """
        if self.closed or self.ending:
            return
        if code is not Code.OK:
            self.source = None
        trailers = [(b"grpc-status", b"%d" % code)]
        if message:
            trailers.append((b"grpc-message", percent_encode(message)))
        if details:
            trailers.append((b"grpc-status-details-bin", encode_details(details)))
        if not self._started and self.source is None:
            self._started = True
            trailers[:0] = [(b":status", b"200"), CONTENT_TYPE]
        self._before_sending()
        self.end(self._shorten(trailers))

    def cancel(self, code: Code = Code.CANCELLED) -> None:
        """End the call at once, without a status; ``on_cancel`` is not called."""
        self._mute()
        super().cancel(code)

    def headers_received(self, headers: list[Header], ended: bool) -> None:
        if self.method:
            check_headers(headers, (), trailers=True)
            if not ended:
                raise ViolationError(frames.PROTOCOL_ERROR, "trailers that do not end the stream")
            self._peer_ended()
            return
        fields = check_headers(headers, (b":method", b":scheme", b":path"), trailers=False)
        self.connection.inflow.hold(self, sum(len(n) + len(v) + ENTRY_OVERHEAD for n, v in headers))
        self.method = fields[b":path"].decode("utf-8", "replace")
        self.metadata = to_metadata(headers)
        if fields[b":method"] != b"POST" or not is_grpc(headers):
            self._started = True
            self.connection.send_headers(self, [(b":status", b"415")])
            self.end([(b"grpc-status", b"2"), (b"grpc-message", b"not a gRPC request")])
            return
        timeout = self.get("grpc-timeout")
        if timeout is not None:
            self._timer = self._loop.call_later(parse_timeout(timeout), self._expire)
        self._serve(self)
        if ended:
            self._peer_ended()

    def reset_received(self, code: int) -> None:
        self._canceled()

    def connection_lost(self, error: WireError) -> None:
        self._canceled()

    def released(self) -> None:
        super().released()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _before_sending(self) -> None:
        if not self._started:
            self._started = True
            self.connection.send_headers(self, [(b":status", b"200"), CONTENT_TYPE])

    def _takes(self, _data: memoryview) -> bool:
        return not self.ending

    def _peer_ended(self) -> None:
        if self._inside_message() and not self.ending:
            raise ViolationError(frames.PROTOCOL_ERROR, "a stream that ends inside a message")
        on_half_close, self.on_half_close = self.on_half_close, None
        if on_half_close is not None and not (self.closed or self.ending):
            on_half_close()

    def _expire(self) -> None:
        # A status, not a reset: when the peer's clock is behind ours it would take a reset for
        # a cancellation by somebody else.
        if not self.closed:
            self.drop()
            self.finish(Code.DEADLINE_EXCEEDED, "context deadline exceeded")
            self._canceled()

    def _canceled(self) -> None:
        on_cancel = self.on_cancel
        self._mute()
        if on_cancel is not None:
            on_cancel()

    def _mute(self) -> None:
        self.on_message = self.on_half_close = self.on_cancel = None

    def _shorten(self, trailers: list[Header]) -> list[Header]:
        """Leave out what the peer would not accept: first the details, then the message."""
        while len(trailers) > 1:
            size = sum(len(name) + len(value) + ENTRY_OVERHEAD for name, value in trailers)
            if size <= self.connection.settings.headers or trailers[-1][0] == b"grpc-status":
                break
            trailers.pop()
        return trailers
