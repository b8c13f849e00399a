"""One HTTP/2 stream, as the engine keeps it; calls derive from it.

What the engine and the stream share is plain data in slots: this is the hot path. Everything
here belongs to :class:`.connection.Connection` and its parts, except the four methods at the end,
by which a call learns what happened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from dockyard.wire.errors import WireError
from dockyard.wire.hpack import Header
from dockyard.wire.transport import Buffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dockyard.wire.connection import Connection

Source = Callable[[int], Sequence[Buffer] | None]


class Stream:
    """The state of one stream, and what waits to be sent on it."""

    __slots__ = (
        "closed",
        "connection",
        "ending",
        "got_end",
        "held",
        "id",
        "listed",
        "paused",
        "queue",
        "queued",
        "recv_window",
        "send_window",
        "sent_end",
        "source",
        "stalled",
        "trailers",
    )

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.id = 0  # 0: not opened yet
        self.send_window = 0
        self.recv_window = 0
        self.held = 0  # bytes of memory that count against Limits.buffered
        self.queue: deque[Buffer] = deque()  # never holds an empty buffer
        self.queued = 0
        self.source: Source | None = None
        self.stalled = False  # the source had nothing; it says when it has again
        self.trailers: list[Header] | None = None
        self.ending = False  # nothing is queued after what is queued
        self.listed = False  # it stands in the connection's list of streams that can send
        self.paused = False
        self.sent_end = False
        self.got_end = False
        self.closed = False

    def enqueue(self, buffers: Sequence[Buffer]) -> None:
        """Send these bytes; they must not change any more."""
        if self.closed or self.ending:
            return
        for buffer in buffers:
            if len(buffer):
                self.queue.append(buffer)
                self.queued += len(buffer)
        self.connection.outflow.ready(self)

    def end(self, trailers: list[Header] | None = None) -> None:
        """End the stream, with trailers if given, once all that waits was sent."""
        if self.closed or self.ending:
            return
        self.ending = True
        self.trailers = trailers
        self.connection.outflow.ready(self)

    def drop(self) -> None:
        """Forget what waits to be sent, also the end."""
        self.queue.clear()
        self.queued = 0
        self.source = None
        self.ending = False

    def can_send(self) -> bool:
        """Whether a turn would get anything out, were the connection's window large enough."""
        if self.closed or not self.id:
            return False
        if self.queue or (self.source is not None and not self.stalled):
            return self.send_window > 0
        return self.ending and not self.sent_end and self.source is None

    def headers_received(self, headers: list[Header], ended: bool) -> None:
        """Take a header list: the peer's first, or its trailers."""
        raise NotImplementedError

    def data_received(self, data: memoryview, ended: bool) -> None:
        """Take bytes, which are valid during this call only."""
        raise NotImplementedError

    def reset_received(self, code: int) -> None:
        """Learn that the peer reset the stream, which is closed already."""
        raise NotImplementedError

    def connection_lost(self, error: WireError) -> None:
        """Learn that the connection is gone, and the stream closed with it."""
        raise NotImplementedError

    def released(self) -> None:
        """Learn that the engine has forgotten the stream, for whatever reason."""
