"""A server inside a call: the inner connection's bytes are the messages of an outer call.

BuildKit's ``Control.Session`` works like this: the daemon is the client of the connection
inside. Each outer message is a ``BytesMessage``, whose field 1 is any piece of the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dockyard.wire.call import Call, frame
from dockyard.wire.carrier import Carrier, Inbox, raiser
from dockyard.wire.codec import CodecError
from dockyard.wire.connection import Connection
from dockyard.wire.errors import ConnectionLost, PeerError, WireError
from dockyard.wire.fields import Metadata
from dockyard.wire.grpc import Channel, Server
from dockyard.wire.limits import DEFAULT_LIMITS, Limits
from dockyard.wire.loop import Loop
from dockyard.wire.packet import bytes_header, parse_bytes
from dockyard.wire.server_call import Handler
from dockyard.wire.transport import Buffer

PIECE = 32 << 10
"""Bytes that make an outer message full."""


def serve_in_call(
    loop: Loop,
    channel: Channel,
    method: str,
    metadata: Metadata,
    handlers: Mapping[str, Handler],
    *,
    limits: Limits = DEFAULT_LIMITS,
    on_close: Callable[[WireError | None], None] | None = None,
) -> Server:
    """Start a call of ``method`` on ``channel`` and serve ``handlers`` inside it.

    ``on_close`` gets what ended the server, None when that was :meth:`.grpc.Server.close`.
    """
    return TunnelServer(loop, channel, method, metadata, handlers, limits, on_close)


class TunnelServer(Server):
    """A server whose connection runs inside a call."""

    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        method: str,
        metadata: Metadata,
        handlers: Mapping[str, Handler],
        limits: Limits,
        on_close: Callable[[WireError | None], None] | None,
    ) -> None:
        self._begin(
            loop,
            handlers,
            limits,
            lambda connection: CallCarrier(
                loop, channel, method, metadata, connection, self._stopped
            ),
        )
        self.on_close = on_close


class CallCarrier(Carrier):
    """Carries a connection over a call, which it makes."""

    def __init__(
        self,
        loop: Loop,
        channel: Channel,
        method: str,
        metadata: Metadata,
        connection: Connection,
        stopped: Callable[[WireError | None], None],
    ) -> None:
        self.received = 0
        self._connection = connection
        self._stopped = stopped
        self._over = False
        self._inbox = Inbox(connection, 0)
        connection.on_exception = raiser(loop)
        self._call: Call = channel.start(
            method, metadata=metadata, on_message=self._on_message, on_end=self._on_end
        )
        connection.on_output = self._call.wake
        self._call.set_source(self._source)

    def stop(self, error: WireError | None) -> None:
        if not self._over:
            self._over = True
            self._call.wake()  # the source gives what is left, and then its end
            self._call.half_close()
            self._stopped(error)

    def _on_message(self, message: memoryview) -> None:
        try:
            data = unwrap(message)
        except CodecError as error:
            self._end(PeerError(f"the peer broke the protocol: {error}"))
            return
        self.received += len(data)
        self._inbox.offer(data)
        if self._connection.closed:
            self.stop(self._connection.error)

    def _on_end(self, error: WireError | None) -> None:
        if error is None:
            self._end(ConnectionLost("the peer ended the call that carries the connection"))
        else:
            self._end(ConnectionLost(f"the call that carries the connection ended: {error}"))

    def _end(self, error: WireError) -> None:
        self._connection.end(error)
        self.stop(self._connection.error)

    def _source(self, budget: int) -> list[Buffer] | None:
        buffers = self._connection.pull(budget)
        if not buffers:
            return None if self._connection.closed else []
        return wrap(buffers)


def wrap(buffers: list[Buffer]) -> list[Buffer]:
    """Make framed messages of the buffers, each less than twice ``PIECE``, without copying."""
    out: list[Buffer] = []
    group: list[Buffer] = []
    size = 0
    for buffer in buffers:
        for part in (buffer,) if len(buffer) <= PIECE else _pieces(memoryview(buffer)):
            group.append(part)
            size += len(part)
            if size >= PIECE:
                _close_group(out, group, size)
                group, size = [], 0
    if group:
        _close_group(out, group, size)
    return out


def _pieces(buffer: memoryview) -> list[memoryview]:
    return [buffer[start : start + PIECE] for start in range(0, len(buffer), PIECE)]


def _close_group(out: list[Buffer], group: list[Buffer], size: int) -> None:
    header = bytes_header(size)
    out.append(frame(len(header) + size) + header)
    out += group


def unwrap(message: memoryview) -> memoryview:
    """Find the data in a BytesMessage; empty when there is none.

    Raises:
        CodecError: It is malformed.
    """
    try:
        return parse_bytes(message)
    except CodecError as error:
        raise CodecError(f"a malformed BytesMessage: {error}") from error
