"""Header lists out of the frames that carry them: HEADERS, and CONTINUATION for the rest."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.wire import frames
from dockyard.wire.frames import ViolationError
from dockyard.wire.hpack import Decoder, Header, HeaderError, HeaderListTooLargeError
from dockyard.wire.limits import Limits


class HeaderReader:
    """Joins the pieces of header blocks and decodes them."""

    def __init__(self, limits: Limits, deliver: Callable[[int, bool, list[Header]], None]) -> None:
        """Prepare to read.

        Args:
            limits: Bound a list and the number of its pieces.
            deliver: Gets the stream's number, whether its peer ends it so, and the list.
        """
        self.unfinished = 0
        """The stream whose header block goes on in the next frame; 0 when there is none."""
        self._limits = limits
        self._deliver = deliver
        self._decoder = Decoder(limits.headers)
        self._block = bytearray()
        self._ended = False
        self._continuations = 0

    def begin(self, number: int, flags: int, data: memoryview) -> None:
        """Take a HEADERS frame.

        Raises:
            ViolationError: It is malformed, or what ``deliver`` found wrong.
        """
        if not number & 1:
            raise ViolationError(frames.PROTOCOL_ERROR, f"HEADERS on stream {number}")
        if flags & frames.PADDED:
            data = frames.unpad(data)
        if flags & frames.PRIORITIZED:
            if len(data) < 5:
                raise ViolationError(frames.FRAME_SIZE_ERROR, "HEADERS are too short")
            data = data[5:]
        ended = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._deliver(number, ended, self._decode(bytes(data)))
            return
        self._block = bytearray(data)
        self.unfinished, self._ended, self._continuations = number, ended, 0

    def go_on(self, number: int, flags: int, data: memoryview) -> None:
        """Take a CONTINUATION frame.

        Raises:
            ViolationError: It continues nothing, or too long, or what ``deliver`` found wrong.
        """
        if not self.unfinished or number != self.unfinished:
            raise ViolationError(frames.PROTOCOL_ERROR, "CONTINUATION without HEADERS before it")
        self._continuations += 1
        self._block += data
        limits = self._limits
        if len(self._block) > limits.headers or self._continuations > limits.continuations:
            raise ViolationError(frames.ENHANCE_YOUR_CALM, "a header list that is too large")
        if flags & frames.END_HEADERS:
            block, self._block, self.unfinished = bytes(self._block), bytearray(), 0
            self._deliver(number, self._ended, self._decode(block))

    def _decode(self, block: bytes) -> list[Header]:
        try:
            return self._decoder.decode(block)
        except HeaderListTooLargeError as error:
            raise ViolationError(frames.ENHANCE_YOUR_CALM, str(error)) from None
        except HeaderError as error:
            raise ViolationError(frames.COMPRESSION_ERROR, str(error)) from None
