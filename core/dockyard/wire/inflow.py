"""Data that a peer sends: the windows that we give it for that, and the memory that it costs us."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.wire import frames
from dockyard.wire.allowance import Allowance
from dockyard.wire.control import ControlQueue
from dockyard.wire.frames import ViolationError
from dockyard.wire.limits import Limits
from dockyard.wire.stream import Stream
from dockyard.wire.stream_table import StreamTable


class Inflow:
    """Takes DATA frames, hands their data to the streams, and gives the peer new window."""

    def __init__(
        self,
        limits: Limits,
        control: ControlQueue,
        table: StreamTable,
        allowance: Allowance,
        *,
        ended: Callable[[Stream], None],
        blame: Callable[[Stream, BaseException], None],
    ) -> None:
        """Prepare to receive.

        Args:
            limits: Bound windows and memory.
            control: Takes the new window.
            table: Knows the streams.
            allowance: For frames that carry nothing.
            ended: Called when a stream got its peer's last byte.
            blame: Called when a stream's callback raised.
        """
        self._stream_window = max(limits.stream_window, frames.DEFAULT_WINDOW)
        self._whole_window = max(limits.connection_window, frames.DEFAULT_WINDOW)
        self._window = self._whole_window  # of the connection
        self._most_held = limits.buffered
        self._held = 0
        self._control = control
        self._table = table
        self._streams = table.open
        self._allowance = allowance
        self._ended = ended
        self._blame = blame

    def begin(self, stream: Stream) -> None:
        """Give a new stream its window."""
        stream.recv_window = self._stream_window

    def take(self, number: int, flags: int, data: memoryview) -> None:
        """Take a DATA frame. This is the hot path.

        Raises:
            ViolationError: It is malformed, not due, or more than a window allows.
        """
        size = len(data)
        self._window -= size
        if self._window < self._whole_window >> 1:
            self._give_connection_credit()
        stream = self._streams.get(number)
        if stream is None:
            self._table.check_closed(number, "DATA")
            return
        if stream.got_end:
            raise ViolationError(frames.STREAM_CLOSED, f"DATA after the end of stream {number}")
        stream.recv_window -= size
        if flags or not size:
            data = self._unwrap(stream, flags, data)
        if stream.recv_window < self._stream_window >> 1:
            self.give_credit(stream)
        try:
            stream.data_received(data, stream.got_end)
        except ViolationError:
            raise
        except BaseException as error:  # noqa: BLE001 (reported)
            self._blame(stream, error)
        if stream.got_end:
            self._ended(stream)

    def _unwrap(self, stream: Stream, flags: int, data: memoryview) -> memoryview:
        """Obey a frame's flags; give what it carries."""
        if flags & frames.PADDED:
            data = frames.unpad(data)
        if flags & frames.END_STREAM:
            stream.got_end = True
        elif not data:
            self._allowance.spend("DATA frames without data")
        return data

    def give_credit(self, stream: Stream) -> None:
        """Open a stream's window again when half of it is used up, unless it is paused.

        Raises:
            ViolationError: The peer has sent more than the window allowed.
        """
        left = stream.recv_window
        if left < 0:
            raise ViolationError(
                frames.FLOW_CONTROL_ERROR, f"more data than the window of stream {stream.id} allows"
            )
        if left < self._stream_window >> 1 and not (
            stream.paused or stream.closed or stream.got_end
        ):
            self._control.put(frames.window_update(stream.id, self._stream_window - left))
            stream.recv_window = self._stream_window
            self._control.on_output()

    def _give_connection_credit(self) -> None:
        if self._window < 0:
            raise ViolationError(frames.FLOW_CONTROL_ERROR, "more data than the window allows")
        self._control.put(frames.window_update(0, self._whole_window - self._window))
        self._window = self._whole_window
        self._control.on_output()

    def hold(self, stream: Stream, size: int) -> None:
        """Count memory that a stream keeps for its peer's bytes.

        Raises:
            ViolationError: All streams together keep more than the limit.
        """
        stream.held += size
        self._held += size
        if self._held > self._most_held:
            raise ViolationError(
                frames.ENHANCE_YOUR_CALM, "too many bytes of unfinished messages and headers"
            )

    def let_go(self, stream: Stream) -> None:
        """Count no more what a stream kept, because it is closed."""
        self._held -= stream.held
        stream.held = 0
