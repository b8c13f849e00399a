"""Streams that are opened to see whether a daemon is there, and kept for whoever connects next."""

from __future__ import annotations

import select
import time

from dockyard.engine.stream import SocketStream

_FRESH_SECONDS = 5.0
"""How long a stream is good for: engines hang up when 10 s long nothing is said."""
_HUNG_UP = getattr(select, "POLLRDHUP", 0)
"""What tells that a peer on the network has closed; Linux has it. Other ends show by themselves."""


class KeptStream:
    """A stream that waits to be used. It closes itself when it is forgotten."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream: SocketStream | None = stream
        self._until = time.monotonic() + _FRESH_SECONDS

    @property
    def usable(self) -> bool:
        """Whether the stream is there, fresh, and connected."""
        if self._stream is None or time.monotonic() >= self._until:
            return False
        poll = select.poll()
        poll.register(self._stream.fileno(), _HUNG_UP)
        return not poll.poll(0)

    def take(self) -> SocketStream:
        """Give the stream away, once."""
        stream, self._stream = self._stream, None
        assert stream is not None
        return stream

    def __del__(self) -> None:
        if self._stream is not None:
            self._stream.close()
