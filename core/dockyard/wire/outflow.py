"""Data that waits to be sent: whose turn it is, and how much the peer's windows take.

Sending is pulled. A stream that has something stands in a list; a pull gives each one turn, in
order, so a small answer never waits behind more than one turn of each long transfer. In a turn
a stream sends what it has queued, or its source is asked once. A source may therefore reuse its
buffers as soon as it is asked again, if the caller pulls only after everything was sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from dockyard.wire import frames
from dockyard.wire.control import ControlQueue
from dockyard.wire.data_frame import cut
from dockyard.wire.frames import ViolationError
from dockyard.wire.stream import Stream
from dockyard.wire.stream_table import StreamTable
from dockyard.wire.transport import Buffer

TURN = 512 << 10
"""Bytes that one stream may send before the next one has its turn."""

_LEAST_ASKED = 5  # a source must be able to return at least the prefix of a message


class Outflow:
    """Cuts what the streams have to send into frames, as far as the peer takes them."""

    def __init__(
        self,
        control: ControlQueue,
        table: StreamTable,
        *,
        ended: Callable[[Stream], None],
        blame: Callable[[Stream, BaseException], None],
    ) -> None:
        """Prepare to send.

        Args:
            control: What goes before any data.
            table: Knows the streams.
            ended: Called when a stream's last byte was pulled.
            blame: Called when a stream's source raised.
        """
        self._control = control
        self._table = table
        self._ended = ended
        self._blame = blame
        self._ready: deque[Stream] = deque()
        self._window = frames.DEFAULT_WINDOW  # of the connection
        self._stream_window = frames.DEFAULT_WINDOW  # of a new stream

    def begin(self, stream: Stream) -> None:
        """Give a new stream the window that the peer gives each."""
        stream.send_window = self._stream_window

    def ready(self, stream: Stream) -> None:
        """Note that a stream has something to send."""
        if not stream.listed and stream.id and not stream.closed:
            stream.listed = True
            self._ready.append(stream)
            self._control.on_output()

    def pull(self, budget: int) -> list[Buffer]:
        """Give buffers to send, in order, of about ``budget`` bytes; none if nothing can be sent.

        The windows are charged and the buffers are the caller's: all of them must be sent.
        """
        out: list[Buffer] = []
        if self._control:
            self._control.move_to(out)
        for _ in range(len(self._ready)):
            if budget <= 0 or not self._ready:
                break
            stream = self._ready.popleft()
            stream.listed = False
            budget -= self._turn(stream, out, budget)
            if self._control:
                self._control.move_to(out)
            if not stream.listed and stream.can_send():
                stream.listed = True
                self._ready.append(stream)
        return out

    def clear(self) -> None:
        """Forget who has something to send."""
        self._ready.clear()

    # The peer's windows

    def take_window_update(self, number: int, _flags: int, data: memoryview) -> None:
        """Take a WINDOW_UPDATE frame.

        Raises:
            ViolationError: It is malformed, or the window larger than one may be.
        """
        if len(data) != 4:
            raise ViolationError(frames.FRAME_SIZE_ERROR, "a malformed WINDOW_UPDATE")
        increment = frames.WORD.unpack(data)[0] & 0x7FFFFFFF
        if not increment:
            raise ViolationError(frames.PROTOCOL_ERROR, "a WINDOW_UPDATE of nothing")
        if number:
            self._table.check_opened(number, "WINDOW_UPDATE")
            stream = self._table.open.get(number)
            if stream is not None:
                self._widen(stream, increment)
            return
        self._window += increment
        if self._window > frames.MAX_WINDOW:
            raise ViolationError(frames.FLOW_CONTROL_ERROR, "a window that is too large")
        if self._ready:
            self._control.on_output()

    def resize_windows(self, size: int) -> None:
        """Make the window of new streams ``size``; change that of the open ones by as much.

        Raises:
            ViolationError: One is larger than a window may be.
        """
        if size > frames.MAX_WINDOW:
            raise ViolationError(frames.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE of {size}")
        change = size - self._stream_window
        self._stream_window = size
        for stream in self._table.open.values():
            self._widen(stream, change)

    def _widen(self, stream: Stream, change: int) -> None:
        stream.send_window += change
        if stream.send_window > frames.MAX_WINDOW:
            raise ViolationError(frames.FLOW_CONTROL_ERROR, "a window that is too large")
        if change > 0 and stream.can_send():
            self.ready(stream)

    # One stream's turn

    def _turn(self, stream: Stream, out: list[Buffer], budget: int) -> int:
        room = min(budget, TURN, self._window, stream.send_window)
        if not stream.queue and stream.source is not None and not stream.stalled and room > 0:
            self._ask(stream, room)
        size = 0
        if stream.queue and room > 0:
            size = min(room, stream.queued)
            self._emit(stream, out, size)
        if stream.ending and not stream.sent_end and not stream.queue and stream.source is None:
            self._emit_end(stream)
        return size

    def _ask(self, stream: Stream, room: int) -> None:
        source = stream.source
        if source is None:
            return
        stream.stalled = True  # before the call: the source may call wake() in it
        try:
            buffers = source(max(room, _LEAST_ASKED))
        except BaseException as error:  # noqa: BLE001 (reported)
            self._blame(stream, error)
            return
        if stream.closed or stream.source is not source:
            return
        if buffers is None:
            stream.source = None
            return
        for buffer in buffers:
            if len(buffer):
                stream.queue.append(buffer)
                stream.queued += len(buffer)
                stream.stalled = False

    def _emit(self, stream: Stream, out: list[Buffer], size: int) -> None:
        """Send ``size`` bytes of what a stream has queued, and its end if that can go with them."""
        stream.queued -= size
        stream.send_window -= size
        self._window -= size
        last = not stream.queued and stream.ending and stream.trailers is None
        last = last and stream.source is None
        cut(stream.queue, out, size, stream.id, self._control.frame_limit, last=last)
        if last:
            stream.sent_end = True
            self._ended(stream)

    def _emit_end(self, stream: Stream) -> None:
        stream.sent_end = True
        if stream.trailers is None:
            self._control.put(frames.data_header(0, frames.END_STREAM, stream.id))
        else:
            self._control.put_headers(stream.id, stream.trailers, frames.END_STREAM)
        self._ended(stream)
