"""What a peer's SETTINGS say, and whom each of them concerns."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.wire import frames
from dockyard.wire.allowance import Allowance
from dockyard.wire.control import ControlQueue
from dockyard.wire.frames import ViolationError
from dockyard.wire.outflow import Outflow
from dockyard.wire.stream_table import StreamTable


class PeerSettings:
    """Obeys the peer's SETTINGS, and acknowledges them."""

    def __init__(
        self,
        control: ControlQueue,
        outflow: Outflow,
        table: StreamTable,
        allowance: Allowance,
        *,
        allowed: Callable[[], None],
    ) -> None:
        """Prepare to obey.

        Args:
            control: Has the size of frames and of the table of header fields.
            outflow: Has the windows.
            table: Has the number of streams.
            allowance: For SETTINGS.
            allowed: Called when another number of streams is allowed.
        """
        self.headers = frames.MAX_WINDOW
        """Bytes of the largest header list that the peer takes."""
        self._control = control
        self._outflow = outflow
        self._table = table
        self._allowance = allowance
        self._allowed = allowed

    def take(self, number: int, flags: int, data: memoryview) -> None:
        """Take a SETTINGS frame.

        Raises:
            ViolationError: It is malformed, or there are too many of them.
        """
        if number:
            raise ViolationError(frames.PROTOCOL_ERROR, "SETTINGS on a stream")
        if len(data) % 6 or (flags & frames.ACK and data):
            raise ViolationError(frames.FRAME_SIZE_ERROR, "malformed SETTINGS")
        if flags & frames.ACK:
            return
        self._allowance.spend("SETTINGS")
        for setting, value in frames.SETTING.iter_unpack(data):
            self._apply(setting, value)
        self._control.reply(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _apply(self, setting: int, value: int) -> None:
        if setting == frames.HEADER_TABLE_SIZE:
            self._control.resize_table(value)
        elif setting == frames.ENABLE_PUSH:
            if value > 1:
                raise ViolationError(frames.PROTOCOL_ERROR, f"ENABLE_PUSH of {value}")
        elif setting == frames.MAX_CONCURRENT_STREAMS:
            self._table.allowed = value
            self._allowed()
        elif setting == frames.INITIAL_WINDOW_SIZE:
            self._outflow.resize_windows(value)
        elif setting == frames.MAX_FRAME_SIZE:
            if not frames.DEFAULT_FRAME <= value < 1 << 24:
                raise ViolationError(frames.PROTOCOL_ERROR, f"MAX_FRAME_SIZE of {value}")
            self._control.frame_limit = value
        elif setting == frames.MAX_HEADER_LIST_SIZE:
            self.headers = value
