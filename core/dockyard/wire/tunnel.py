"""A server inside a call: the inner connection's bytes are the messages of an outer call.

BuildKit's ``Control.Session`` works like this: the daemon is the client of the connection
inside. Each outer message is a ``BytesMessage``, whose field 1 is any piece of the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dockyard.wire.call import Call, Handler, frame
from dockyard.wire.carrier import Carrier, Inbox, raiser
from dockyard.wire.connection import Connection
from dockyard.wire.errors import ConnectionLost, PeerError, WireError
from dockyard.wire.fields import Metadata
from dockyard.wire.grpc import Channel, Server
from dockyard.wire.limits import DEFAULT_LIMITS, Limits
from dockyard.wire.loop import Loop
from dockyard.wire.transport import Buffer

PIECE = 32 << 10
"""Bytes that make an outer message full."""

_DATA_TAG = 0x0A  # field 1, length-delimited


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
        except ValueError as error:
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
    tag = bytearray((_DATA_TAG,))
    left = size
    while left >= 0x80:
        tag.append(left & 0x7F | 0x80)
        left >>= 7
    tag.append(left)
    out.append(frame(len(tag) + size) + tag)
    out += group


def unwrap(message: memoryview) -> memoryview:
    """Find the data in a BytesMessage; empty when there is none.

    Raises:
        ValueError: It is malformed.
    """
    data = message[:0]
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == 2:
            size, position = _varint(message, position)
            if size > end - position:
                raise ValueError("a BytesMessage that ends too early")
            if tag == _DATA_TAG:
                data = message[position : position + size]
            position += size
        elif kind == 0:
            _value, position = _varint(message, position)
        elif kind in {1, 5} and end - position >= (8 if kind == 1 else 4):
            position += 8 if kind == 1 else 4
        else:
            raise ValueError("a malformed BytesMessage")
    return data


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a malformed BytesMessage")
