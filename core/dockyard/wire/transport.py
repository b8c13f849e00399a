"""What a connection runs on: a file descriptor with ``recv_into`` and ``sendmsg``."""

from __future__ import annotations

from collections.abc import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # importing typing costs more than this whole package

Buffer = bytes | bytearray | memoryview


class ByteStream(Protocol):
    """A non-blocking stream of bytes with a descriptor that ``poll`` can wait for."""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Fill ``buffer`` from its start; 0 means end of file.

        Raises:
            BlockingIOError: Nothing is there now.
            OSError: The connection broke.
        """

    def sendmsg(self, buffers: Sequence[Buffer], /) -> int:
        """Send from ``buffers`` as much as fits now, and return how many bytes that was.

        Raises:
            BlockingIOError: Nothing fits now.
            OSError: The connection broke.
        """

    def pending(self) -> int:
        """Return how many bytes can be had that ``poll`` will not announce."""

    def half_close(self) -> None:
        """Tell the peer that nothing more is sent."""

    def close(self) -> None:
        """Close both directions; safe to call twice."""
