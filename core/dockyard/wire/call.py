"""One gRPC call, as far as both sides see it alike: the messages that are sent and received.

Callbacks run in the loop and must not block; what one raises ends its call, and comes out of
:meth:`.loop.Loop.run`.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from dockyard.wire import frames
from dockyard.wire.connection import Connection
from dockyard.wire.frames import ViolationError
from dockyard.wire.limits import MAX_MESSAGE
from dockyard.wire.status import Code, reset_of_code
from dockyard.wire.stream import Source, Stream
from dockyard.wire.transport import Buffer

_PREFIX = Struct(">BI")
_JOINED = 4096  # messages up to this size are copied into one buffer
_FIRST_PART = 1 << 20  # memory taken for a message before more of it is there


def frame(length: int) -> bytes:
    """Make the five bytes that precede a message of ``length`` bytes."""
    return _PREFIX.pack(0, length)


class Call(Stream):
    """One call, as either side sees it."""

    __slots__ = ("_filled", "_part", "_room", "_size", "_view", "on_message")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.on_message: Callable[[memoryview], None] | None = None
        self._part = b""  # of a message's prefix
        self._size = -1  # of the message that is being received; -1: none is
        self._filled = 0
        self._room = 0  # the length of _view
        self._view = memoryview(b"")

    def send(self, *buffers: Buffer) -> None:
        """Queue one message made of ``buffers``; the caller may change them afterwards."""
        size = sum(map(len, buffers))
        if size > MAX_MESSAGE:
            raise ValueError(f"a message of {size} bytes; at most {MAX_MESSAGE} are allowed")
        prefix = frame(size)
        self._before_sending()
        if size <= _JOINED:
            self.enqueue((b"".join((prefix, *buffers)),))
        else:
            self.enqueue((prefix, *map(_unchanging, buffers)))

    def set_source(self, source: Source) -> None:
        """Send what ``source`` gives when it is asked; messages queued before go first.

        It is called with a budget in bytes when the peer and the transport take more, and
        returns buffers that are framed already (see :func:`frame`), with any number of messages
        or any part of one. ``[]`` means that there is nothing now and :meth:`wake` will be
        called; ``None`` that there is no more. It may exceed the budget, at the price of memory.
        Buffers that it returned are its own again when it is next called.
        """
        if self.closed or self.ending:
            return
        self._before_sending()
        self.source = source
        self.wake()

    def wake(self) -> None:
        """Ask the source again: it has something."""
        self.stalled = False
        self.connection.outflow.ready(self)

    def half_close(self) -> None:
        """Tell the peer that no message comes after those that wait."""
        self.end()

    def pause(self) -> None:
        """Let the peer send no more than the window that it has already."""
        self.paused = True

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        self.paused = False
        self.connection.inflow.give_credit(self)

    def cancel(self, code: Code = Code.CANCELLED) -> None:
        """End the call at once, in both directions; what waits is dropped."""
        self.connection.reset(self, reset_of_code(code))

    def data_received(self, data: memoryview, ended: bool) -> None:
        filled = self._filled
        after = filled + len(data)
        if after < self._size and after <= self._room:  # the hot path: the middle of a message
            self._view[filled:after] = data
            self._filled = after
        elif self._takes(data):
            self._take_messages(data)
        if ended and not self.closed:
            self._peer_ended()

    def _takes(self, data: memoryview) -> bool:
        """Whether received bytes are messages that somebody waits for."""
        raise NotImplementedError

    def _peer_ended(self) -> None:
        """Act on the peer's last byte."""
        raise NotImplementedError

    def _before_sending(self) -> None:
        """Send what must precede the first message."""

    def _take_messages(self, data: memoryview) -> None:
        """Cut bytes into messages and hand them on."""
        if self._size >= 0:
            data = self._go_on(data)
        elif self._part:
            missing = 5 - len(self._part)
            head = self._part + data[:missing]
            if len(head) < 5:
                self._part = head
                return
            self._part = b""
            data = data[missing:]
            size = self._check_prefix(*_PREFIX.unpack(head))
            if len(data) >= size:
                self._deliver(data[:size])
                data = data[size:]
            else:
                self._start_message(size)
                data = self._go_on(data)
        position, end = 0, len(data)
        unpack = _PREFIX.unpack_from
        while end - position >= 5 and not self.closed:
            flag, size = unpack(data, position)
            if flag or size > self.connection.limits.message:
                self._check_prefix(flag, size)
            start = position + 5
            position = start + size
            if position > end:
                self._start_message(size)
                self._go_on(data[start:])
                return
            self._deliver(data[start:position])
        if not self.closed:
            self._part = bytes(data[position:])

    def _check_prefix(self, flag: int, size: int) -> int:
        if flag:
            raise ViolationError(
                frames.PROTOCOL_ERROR,
                "a compressed message" if flag == 1 else f"a message with the flag {flag}",
            )
        limit = self.connection.limits.message
        if size > limit:
            raise ViolationError(
                frames.ENHANCE_YOUR_CALM, f"a message of {size} bytes; at most {limit} are allowed"
            )
        return size

    def _start_message(self, size: int) -> None:
        self._size = size
        self._filled = 0
        self._grow(min(size, _FIRST_PART))

    def _grow(self, size: int) -> None:
        """Have room for ``size`` bytes of the message. Memory follows what was received."""
        view = self._view
        if self._room < size:
            self.connection.inflow.hold(self, size - self._room)
            self._view = memoryview(bytearray(size))
            self._view[: self._filled] = view[: self._filled]
            self._room = size

    def _go_on(self, data: memoryview) -> memoryview:
        """Add bytes to the message that is being received; give those that are not part of it."""
        filled = self._filled
        missing = self._size - filled
        part = data[:missing]
        after = filled + len(part)
        if after > self._room:
            self._grow(min(self._size, max(after, 2 * self._room)))
        self._view[filled:after] = part
        self._filled = after
        if after == self._size:
            size, self._size = after, -1
            self._deliver(self._view[:size])
        return data[missing:]

    def _deliver(self, message: memoryview) -> None:
        if self.on_message is not None and not self.closed:
            self.on_message(message)

    def _inside_message(self) -> bool:
        return self._size >= 0 or bool(self._part)

    def released(self) -> None:
        self._view = memoryview(b"")
        self._room = 0
        self._size = -1


def _unchanging(buffer: Buffer) -> Buffer:
    """Give a buffer that cannot change under us; copies one that can."""
    if type(buffer) is bytes or (type(buffer) is memoryview and type(buffer.obj) is bytes):
        return buffer
    return bytes(buffer)
