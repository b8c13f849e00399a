"""Received bytes cut into frames, each handed to whoever knows its kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dockyard.wire import frames
from dockyard.wire.allowance import Allowance
from dockyard.wire.frames import ViolationError
from dockyard.wire.greeting import Greeting
from dockyard.wire.header_reader import HeaderReader

FrameHandler = Callable[[int, int, memoryview], None]
"""Takes a frame's stream, flags and payload, which is valid during the call only."""


class FrameReader:
    """Cuts what a peer sent into frames; no frame may stand inside a header block."""

    def __init__(
        self,
        *,
        limit: int,
        greeting: Greeting,
        headers: HeaderReader,
        handlers: Sequence[FrameHandler],
        allowance: Allowance,
    ) -> None:
        """Prepare to read.

        Args:
            limit: Bytes of the largest frame.
            greeting: What must come first.
            headers: Knows whether a header block is unfinished.
            handlers: By the frame's kind. Frames of other kinds are passed over.
            allowance: For frames of other kinds that carry nothing.
        """
        self.stopped = False
        """Whether the connection is over, so that no more frames are handed on."""
        self._limit = limit
        self._greeting = greeting
        self._headers = headers
        self._handlers = handlers
        self._allowance = allowance

    def read(self, data: memoryview) -> int:
        """Hand on the whole frames in ``data``; give how many bytes that was.

        Raises:
            ViolationError: A rule is broken, by the frames themselves or in a handler's eyes.
        """
        position, end = 0, len(data)
        if not self._greeting.over:
            position = self._greeting.take(data)
            if not self._greeting.over:
                return position
        unpack, limit, headers = frames.HEADER.unpack_from, self._limit, self._headers
        take_data = self._handlers[frames.DATA]
        while end - position >= 9 and not self.stopped:
            high, low, kind, flags, number = unpack(data, position)
            size = high << 16 | low
            if size > limit:
                raise ViolationError(
                    frames.FRAME_SIZE_ERROR, f"a frame of {size} bytes; at most {limit} are allowed"
                )
            start = position + 9
            stop = start + size
            if stop > end:
                break
            position = stop
            if kind or headers.unfinished:
                self._hand_on(kind, flags, number & 0x7FFFFFFF, data[start:stop])
            else:
                take_data(number & 0x7FFFFFFF, flags, data[start:stop])
        return position

    def _hand_on(self, kind: int, flags: int, number: int, data: memoryview) -> None:
        if self._headers.unfinished and kind != frames.CONTINUATION:
            raise ViolationError(frames.PROTOCOL_ERROR, "another frame inside a header block")
        if kind < len(self._handlers):
            self._handlers[kind](number, flags, data)
        elif not data:
            self._allowance.spend("frames without meaning")
