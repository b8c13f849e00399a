"""The two ends of a connection that speaks gRPC: channels make calls, servers answer them.

All of it belongs to the thread that runs the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic

from dockyard.wire.call import Call, frame
from dockyard.wire.carrier import Carrier, StreamCarrier
from dockyard.wire.client_call import ClientCall
from dockyard.wire.connection import Connection
from dockyard.wire.errors import CallError, ConnectionLost, WireError
from dockyard.wire.fields import (
    CONTENT_TYPE,
    Metadata,
    format_timeout,
    is_regular,
    make_header,
)
from dockyard.wire.limits import DEFAULT_LIMITS, MAX_MESSAGE, Limits
from dockyard.wire.loop import Loop, Timer
from dockyard.wire.server_call import Handler, ServerCall
from dockyard.wire.status import Code
from dockyard.wire.transport import ByteStream

__all__ = [
    "MAX_MESSAGE",
    "Call",
    "Channel",
    "Code",
    "Handler",
    "Limits",
    "Metadata",
    "Server",
    "ServerCall",
    "frame",
]


class Channel:
    """The client's end of a connection."""

    def __init__(
        self,
        loop: Loop,
        stream: ByteStream,
        *,
        authority: str = "localhost",
        limits: Limits = DEFAULT_LIMITS,
        keepalive: float | None = None,
    ) -> None:
        """Start to speak HTTP/2 on ``stream``.

        Args:
            loop: The loop of the thread that this channel belongs to.
            stream: What carries it; the channel closes it.
            authority: The host, as ``:authority`` names it.
            limits: What the peer may ask of us.
            keepalive: Ask an idle peer for a sign of life after so many seconds. Daemons written
                in Go take offence at less than five minutes.
        """
        self.on_close: Callable[[WireError | None], None] | None = None
        self._loop = loop
        self._head = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":authority", authority.encode()),
            (b"te", b"trailers"),
            CONTENT_TYPE,
            (b"user-agent", b"dockyard"),
        ]
        self._connection = Connection(limits=limits)
        self._carrier = StreamCarrier(loop, stream, self._connection, self._stopped)
        self._seen = 0  # bytes that had come in when we last looked
        self._give_up: float | None = None  # when to, if nothing comes in
        self._timer: Timer | None = None
        if keepalive is not None:
            self._timer = loop.call_later(keepalive, lambda: self._check_alive(keepalive))

    @property
    def closed(self) -> bool:
        """Whether no call can be made any more."""
        return self._connection.closed

    def unary(
        self, method: str, request: bytes, *, metadata: Metadata = (), timeout: float | None = None
    ) -> bytes:
        """Make a call of one message each way, running the loop until it is over.

        Raises:
            CallError: The peer's status, or DEADLINE_EXCEEDED after ``timeout`` seconds.
            ConnectionLost: The connection ended before.
            PeerError: The peer broke the protocol.
        """
        answers: list[bytes] = []
        ends: list[WireError | None] = []

        def on_message(message: memoryview) -> None:
            if answers:
                call.cancel(Code.INTERNAL)
            answers.append(bytes(message))

        timer: Timer | None = None
        if timeout is not None:
            metadata = (*metadata, ("grpc-timeout", format_timeout(timeout)))
        call = self.start(method, metadata=metadata, on_message=on_message, on_end=ends.append)
        call.send(request)
        call.half_close()
        if timeout is not None:
            timer = self._loop.call_later(timeout, lambda: call.cancel(Code.DEADLINE_EXCEEDED))
        try:
            self._loop.run(lambda: bool(ends))
        finally:
            if timer is not None:
                timer.cancel()
            call.cancel()
        if ends[0] is not None:
            raise ends[0]
        if len(answers) != 1:
            raise CallError(Code.INTERNAL, "the server ended the call without an answer")
        return answers[0]

    def start(
        self,
        method: str,
        *,
        metadata: Metadata = (),
        on_message: Callable[[memoryview], None],
        on_end: Callable[[WireError | None], None],
        on_headers: Callable[[Metadata], None] | None = None,
    ) -> Call:
        """Start a call.

        Args:
            method: ``/package.Service/Method``.
            metadata: Sent with the request.
            on_message: Gets each message as a view that is valid during the call only.
            on_end: Called once: with None after status OK, else with what went wrong.
            on_headers: Gets the metadata with which the response begins.
        """
        call = ClientCall(self._connection)
        call.on_message, call.on_end, call.on_headers = on_message, on_end, on_headers
        headers = [*self._head, (b":path", method.encode())]
        headers.sort(key=is_regular)
        headers += [make_header(name, value) for name, value in metadata]
        connection = self._connection
        if connection.closed or connection.goaway:
            call.closed = True
            error = ConnectionLost(str(connection.error or connection.farewell()))
            self._loop.call_soon(lambda: call.connection_lost(error))
        else:
            connection.open(call, headers)
        return call

    def close(self, error: WireError | None = None) -> None:
        """Close the connection; calls that are not over end with ``error``."""
        if not self._connection.closed:
            self._connection.shut_down(error or ConnectionLost("the connection was closed here"))
            self._carrier.stop(error)

    def _stopped(self, error: WireError | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close(error)

    def _check_alive(self, keepalive: float) -> None:
        received, now = self._carrier.received, monotonic()
        delay = keepalive
        if received != self._seen:
            self._seen, self._give_up = received, None
        elif self._give_up is None:
            self._give_up = now + self._connection.limits.keepalive_timeout
            self._connection.ping()
        if self._give_up is not None:
            if now >= self._give_up:
                self.close(ConnectionLost("the peer does not answer any more"))
                return
            delay = min(keepalive, self._give_up - now)
        self._timer = self._loop.call_later(delay, lambda: self._check_alive(keepalive))


class Server:
    """The server's end of a connection."""

    def __init__(
        self,
        loop: Loop,
        stream: ByteStream,
        handlers: Mapping[str, Handler],
        *,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Serve ``handlers``, by full method name, to the client on ``stream``."""
        self._begin(
            loop,
            handlers,
            limits,
            lambda connection: StreamCarrier(loop, stream, connection, self._stopped),
        )

    def _begin(
        self,
        loop: Loop,
        handlers: Mapping[str, Handler],
        limits: Limits,
        carry: Callable[[Connection], Carrier],
    ) -> None:
        self.on_close: Callable[[WireError | None], None] | None = None
        self._loop = loop
        self._handlers = handlers
        self._connection = Connection(limits=limits, accept=self._accept)
        self._carrier = carry(self._connection)

    @property
    def closed(self) -> bool:
        """Whether no call can arrive any more."""
        return self._connection.closed

    def close(self) -> None:
        """Close the connection; calls that are not over are canceled."""
        if not self._connection.closed:
            self._connection.shut_down(ConnectionLost("the connection was closed here"))
            self._carrier.stop(None)

    def _accept(self) -> ServerCall:
        return ServerCall(self._connection, self._loop, self._serve)

    def _serve(self, call: ServerCall) -> None:
        handler = self._handlers.get(call.method)
        if handler is None:
            call.finish(Code.UNIMPLEMENTED, f"unknown method {call.method}")
        else:
            handler(call)

    def _stopped(self, error: WireError | None) -> None:
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close(error)
