"""All that is sent but data: control frames and header lists, in their order, before any data."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.wire import frames
from dockyard.wire.frames import ViolationError
from dockyard.wire.hpack import Encoder, Header
from dockyard.wire.transport import Buffer


class ControlQueue:
    """Frames that wait to be sent. A peer cannot make them many."""

    def __init__(self, most_replies: int) -> None:
        """Prepare an empty queue, for so many answers to what the peer asks."""
        self.on_output: Callable[[], None] = _nothing
        """Called when there is something to send. Putting a frame alone does not call it."""
        self.frame_limit = frames.DEFAULT_FRAME
        """Bytes of the largest frame that the peer takes."""
        self._frames: list[bytes] = []
        self._replies = 0
        self._most_replies = most_replies
        self._encoder = Encoder()

    def __bool__(self) -> bool:
        return bool(self._frames)

    def put(self, frame: bytes) -> None:
        """Let a frame wait."""
        self._frames.append(frame)

    def put_headers(self, number: int, headers: list[Header], flags: int) -> None:
        """Let a header list wait. Lists must be sent in the order in which they were compressed."""
        block = self._encoder.encode(headers)
        self._frames.append(frames.header_block(number, block, self.frame_limit, flags))

    def reply(self, frame: bytes) -> None:
        """Let an answer wait to what the peer sent, and say that there is something.

        Raises:
            ViolationError: Too many answers wait already: the peer asks and does not read.
        """
        self._replies += 1
        if self._replies > self._most_replies:
            raise ViolationError(
                frames.ENHANCE_YOUR_CALM, "too many control frames whose answers are not read"
            )
        self._frames.append(frame)
        self.on_output()

    def resize_table(self, size: int) -> None:
        """Keep the table of header fields as small as the peer wants it."""
        self._encoder.resize(size)

    def move_to(self, out: list[Buffer]) -> None:
        """Give up all that waits."""
        out += self._frames
        self._frames.clear()
        self._replies = 0


def _nothing() -> None:
    pass
