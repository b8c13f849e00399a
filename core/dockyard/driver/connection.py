"""The way to BuildKit's API that a driver opens: a byte stream, and how to treat it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import define

Buffer = bytes | bytearray | memoryview
Headers = Sequence[tuple[str, str]]


class ByteStream(Protocol):
    """A non-blocking, full-duplex byte stream that a poll loop can wait for."""

    def fileno(self) -> int:
        """The descriptor to poll, for reading and for writing."""
        ...

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Read into the buffer; 0 is the end; BlockingIOError when nothing is there."""
        ...

    def sendmsg(self, buffers: Sequence[Buffer], /) -> int:
        """Write some of the buffers' bytes; BlockingIOError when nothing fits."""
        ...

    def pending(self) -> int:
        """Bytes that were already read from the descriptor, so that polling won't tell of them."""
        ...

    def half_close(self) -> None:
        """Say that nothing more will be written, where the stream can."""
        ...

    def close(self) -> None:
        """Release everything, child processes included. May be called twice."""
        ...


@define(eq=False, kw_only=True)
class Connection:
    """An open connection to BuildKit's gRPC API. Closing it is the receiver's duty."""

    stream: ByteStream
    """Speaks HTTP/2 with prior knowledge, the daemon being the server."""
    authority: str = "localhost"
    """The ``:authority`` of the calls."""
    open_session: Callable[[Headers], ByteStream] | None = None
    """Open a stream of its own for a session announced by these headers.

    None when sessions go through the API's Session call.
    """
    diagnostics: Callable[[], str] | None = None
    """The last words of a helper process, for the message when the connection breaks."""

    def close(self) -> None:
        self.stream.close()
