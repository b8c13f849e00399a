"""Which streams there are: the open ones, those that wait to be opened, those closed of late."""

from __future__ import annotations

from collections import deque

from dockyard.wire import frames
from dockyard.wire.frames import ViolationError
from dockyard.wire.hpack import Header
from dockyard.wire.stream import Stream

_REMEMBERED_RESETS = 1000


class StreamTable:
    """The streams of a connection by their numbers: a client's are odd, and only it opens any."""

    def __init__(self, *, client: bool) -> None:
        """Prepare an empty table, of the client or the server."""
        self.open: dict[int, Stream] = {}
        self.allowed = frames.MAX_STREAM_ID
        """How many the peer lets us have open."""
        self.last_peer = 0
        """The last stream that the peer opened."""
        self._client = client
        self._waiting: deque[tuple[Stream, list[Header]]] = deque()
        self._next = 1
        self._resets: dict[int, None] = {}  # streams on which frames may still arrive

    def add(self, stream: Stream, number: int) -> None:
        """Note that a stream is open."""
        stream.id = number
        self.open[number] = stream

    def next_number(self) -> int | None:
        """Give a number for a stream of ours, or None if all have been used."""
        number = self._next
        if number > frames.MAX_STREAM_ID:
            return None
        self._next += 2
        return number

    def wait(self, stream: Stream, headers: list[Header]) -> None:
        """Let a stream of ours wait until the peer allows it."""
        self._waiting.append((stream, headers))

    def next_waiting(self) -> tuple[Stream, list[Header]] | None:
        """Give the stream that may be opened next, and the list to open it with."""
        if self._waiting and len(self.open) < self.allowed:
            return self._waiting.popleft()
        return None

    def withdraw(self, stream: Stream) -> None:
        """Let a stream wait no longer."""
        self._waiting = deque(pair for pair in self._waiting if pair[0] is not stream)

    def withdraw_all(self) -> list[Stream]:
        """Let none wait any longer; give those that did."""
        streams = [stream for stream, _headers in self._waiting]
        self._waiting.clear()
        return streams

    def remember_reset(self, number: int) -> None:
        """Note that we reset a stream: what the peer had sent by then may still come."""
        self._resets[number] = None
        if len(self._resets) > _REMEMBERED_RESETS:
            del self._resets[next(iter(self._resets))]

    def check_opened(self, number: int, what: str) -> None:
        """Refuse a frame on the connection itself, or on a stream that nobody has opened."""
        mine = bool(number & 1) == self._client
        opened = number < self._next if mine else number <= self.last_peer
        if not number or not opened:
            raise ViolationError(frames.PROTOCOL_ERROR, f"{what} on stream {number}, which is idle")

    def check_closed(self, number: int, what: str) -> None:
        """Refuse a frame on a closed stream, unless it crossed our reset of that stream."""
        self.check_opened(number, what)
        if number not in self._resets:
            raise ViolationError(
                frames.STREAM_CLOSED, f"{what} on stream {number}, which is closed"
            )
