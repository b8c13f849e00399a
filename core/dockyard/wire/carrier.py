"""Joins an engine to what carries its bytes: reads into one buffer, pulls and sends.

A carrier owns its connection's way out. It pulls again only after everything that it pulled
before was sent, which is what allows sources to reuse their buffers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from dockyard.wire import frames
from dockyard.wire.connection import Connection
from dockyard.wire.errors import ConnectionLost, WireError
from dockyard.wire.loop import READ, WRITE, Loop
from dockyard.wire.outflow import TURN
from dockyard.wire.transport import Buffer, ByteStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

RECEIVE = 1 << 20
"""Bytes of a receive buffer."""

_BUDGET = 2 * TURN
_BATCH = 128  # buffers of one sendmsg: about what a socket takes at once
_ROUNDS = 8  # reads or writes before others have their turn


class Carrier(Protocol):
    """What a channel or a server needs of that which carries its bytes."""

    received: int
    """Bytes that have come in."""

    def stop(self, error: WireError | None) -> None:
        """Send what can be sent at once, and close; report ``error`` as the reason."""


class Inbox:
    """Received bytes that the engine has not used yet: less than a frame, after each feed."""

    __slots__ = ("connection", "filled", "view")

    def __init__(self, connection: Connection, size: int) -> None:
        self.connection = connection
        self.view = memoryview(bytearray(max(size, connection.limits.frame + frames.HEADER_SIZE)))
        self.filled = 0

    def feed(self, size: int) -> None:
        """Use ``size`` more bytes that were put behind those that are there."""
        view = self.view
        filled = self.filled + size
        used = self.connection.feed(view[:filled])
        self.filled = filled - used
        if used and used != filled:
            view[: filled - used] = view[used:filled]

    def offer(self, data: memoryview) -> None:
        """Use ``data``; copies only what is left of it."""
        view = self.view
        if not self.filled:
            data = data[self.connection.feed(data) :]
        while len(data):
            part = data[: len(view) - self.filled]
            view[self.filled : self.filled + len(part)] = part
            data = data[len(part) :]
            self.feed(len(part))


def raiser(loop: Loop) -> Callable[[BaseException], None]:
    """Make exceptions come out of the loop, once the engine is done with what it is doing."""

    def report(error: BaseException) -> None:
        def reraise() -> None:
            raise error

        loop.call_soon(reraise)

    return report


class StreamCarrier:
    """Carries a connection over a byte stream, in a loop."""

    def __init__(
        self,
        loop: Loop,
        stream: ByteStream,
        connection: Connection,
        stopped: Callable[[WireError | None], None],
    ) -> None:
        self.received = 0
        self._loop = loop
        self._stream = stream
        self._connection = connection
        self._stopped = stopped
        self._inbox = Inbox(connection, RECEIVE)
        self._out: list[Buffer] = []
        self._gone = 0  # how many buffers of _out were sent
        self._due = False
        self._busy = False
        self._over = False
        self._broken: WireError | None = None
        self._stopping: tuple[WireError | None] | None = None
        self._fd = stream.fileno()
        self._events = READ
        loop.register(self._fd, READ, self._on_event)
        connection.on_output = self._wanted
        connection.on_exception = raiser(loop)
        self._wanted()
        if stream.pending():
            loop.call_soon(self._go_on)

    def stop(self, error: WireError | None) -> None:
        if self._stopping is None:
            self._stopping = (error,)
        if not self._busy:
            self._conclude()

    def _wanted(self) -> None:
        if not self._due and not self._over:
            self._due = True
            if not self._busy:
                self._loop.call_soon(self._on_due)

    def _on_due(self) -> None:
        if self._due:
            self._work(reading=False)

    def _go_on(self) -> None:
        self._work(reading=True)

    def _on_event(self, events: int) -> None:
        self._work(reading=bool(events & ~WRITE))

    def _work(self, *, reading: bool) -> None:
        """Read what is there, then send what that and others gave rise to."""
        if self._over or self._busy:
            return
        self._busy = True
        try:
            if reading:
                self._read()
            if self._broken is None and not self._send():
                self._read()  # the peer may have said why it went away
        finally:
            self._busy = False
        self._conclude()
        if self._due and not self._over:  # a source woke itself, or another one, while it was asked
            self._loop.call_soon(self._on_due)

    def _conclude(self) -> None:
        """Close, if something in the meantime ended the connection."""
        connection = self._connection
        error = self._broken
        if error is None and connection.drained:
            error = ConnectionLost(connection.farewell())
        if error is not None:
            connection.end(error)
        if self._stopping is not None:
            self._finish(self._stopping[0])
        elif connection.closed:
            self._finish(connection.error)

    def _finish(self, error: WireError | None) -> None:
        if self._over:
            return
        self._over = True
        self._loop.unregister(self._fd)
        if self._broken is None:
            self._out += self._connection.pull(_BUDGET)
            self._write()
        with suppress(OSError):
            self._stream.half_close()
        with suppress(OSError):
            self._stream.close()
        self._out = []
        self._stopped(error)

    def _read(self) -> None:
        """Receive and use what has come, but leave the others their turn."""
        stream, inbox, connection = self._stream, self._inbox, self._connection
        for _ in range(_ROUNDS):
            if connection.closed:
                return
            space = inbox.view[inbox.filled :]
            try:
                size = stream.recv_into(space)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._broken = ConnectionLost(f"the connection broke: {error}")
                return
            if not size:
                self._broken = connection.at_end_of_file(inbox.view[: inbox.filled])
                return
            self.received += size
            inbox.feed(size)
            if size < len(space) and not stream.pending():
                return
        if stream.pending():
            self._loop.call_soon(self._go_on)

    def _send(self) -> bool:
        """Send what can be sent, but leave the others their turn; False if the stream broke."""
        self._due = False
        for _ in range(_ROUNDS):
            if not self._out:
                self._out = self._connection.pull(_BUDGET)
            if not self._out:
                self._watch(READ)
                return True
            if not self._write():
                break
        self._watch(READ | WRITE)
        return self._broken is None

    def _write(self) -> bool:
        """Send what was pulled; False if something is left."""
        out = self._out
        while self._gone < len(out):
            batch = out[self._gone : self._gone + _BATCH]
            try:
                sent = self._stream.sendmsg(batch)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                self._broken = ConnectionLost(f"the connection broke: {error}")
                return False
            for buffer in batch:
                size = len(buffer)
                if sent < size:
                    if sent:
                        out[self._gone] = memoryview(buffer)[sent:]
                    break
                sent -= size
                self._gone += 1
        self._out = []
        self._gone = 0
        return True

    def _watch(self, events: int) -> None:
        if events != self._events and not self._over:
            self._events = events
            self._loop.modify(self._fd, events)
