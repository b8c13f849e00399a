"""Reading from a pipe or a terminal, whose other end may never say anything."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from typing import BinaryIO

from dockyard.cancellation import Cancellation

_PIECE = 256 << 10
_LOOK_AGAIN = 100
"""Milliseconds after which a read that waits looks whether it is still wanted."""


class StreamReader:
    """Reads a blocking stream, in a thread; a read that waits can be given up."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._given_up = False
        # Only what has a descriptor can be waited for. What such a stream keeps in its own buffer
        # is had with the next bytes, or at the end: nobody waits for us to take it.
        try:
            self._descriptor: int | None = stream.fileno()
        except (OSError, AttributeError, ValueError):
            self._descriptor = None

    def give_up(self) -> None:
        """End a read, and all that follow, from any thread."""
        self._given_up = True

    def read(self, most: int) -> bytes:
        """Give some bytes as soon as there are any; none at the end, or when given up.

        Raises:
            OSError: It cannot be read.
            ValueError: It is closed.
        """
        if self._descriptor is not None:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            while not self._given_up and not poll.poll(_LOOK_AGAIN):
                pass
        if self._given_up:
            return b""
        read = getattr(self._stream, "read1", self._stream.read)
        return bytes(read(most) or b"")


def read_pieces(stream: BinaryIO, cancel: Cancellation, most: int = sys.maxsize) -> Iterator[bytes]:
    """Read a stream to its end, or as many bytes as are wanted.

    Raises:
        CanceledError: ``cancel`` was turned.
        OSError: It cannot be read.
        ValueError: It is closed.
    """
    reader = StreamReader(stream)
    forget = cancel.on_cancel(reader.give_up)
    try:
        while most > 0 and (piece := reader.read(min(most, _PIECE))):
            most -= len(piece)
            yield piece
    finally:
        forget()
    cancel.check()
