"""A build context from a pipe: the daemon fetches it through the session, once (wire.md 4.6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import BinaryIO

from dockyard.buildkit.request import new_id
from dockyard.errors import ContextError
from dockyard.fsutil.name import reason
from dockyard.session.reader import StreamReader
from dockyard.wire.grpc import Code, Handler, ServerCall, frame
from dockyard.wire.loop import Loop
from dockyard.wire.packet import bytes_header
from dockyard.wire.transport import Buffer

_CHUNK = 1 << 20
_AHEAD = 2
"""Chunks that are read before the daemon took the first."""


class Upload:
    """Serves one stream, such as the standard input, at an address for the daemon."""

    def __init__(self, stream: BinaryIO, first_bytes: bytes = b"") -> None:
        """Take a stream, and what was read of it already."""
        self.failed: BaseException | None = None
        self.id = new_id()
        self._stream: BinaryIO | None = stream
        self._first = first_bytes

    @property
    def url(self) -> str:
        """The address, to be given to the daemon as the build context."""
        return f"http://buildkit-session/{self.id}"

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        return {"/moby.upload.v1.Upload/Pull": partial(self._pull, loop)}

    def _pull(self, loop: Loop, call: ServerCall) -> None:
        wanted = (call.get("urlpath") or "").rpartition("/")[2]
        stream = self._stream
        if wanted != self.id or stream is None:
            call.finish(Code.UNKNOWN, f"no http response from session for {wanted}")
            return
        self._stream = None  # it cannot be rewound
        first, self._first = self._first, b""
        _Transfer(loop, call, StreamReader(stream), first, self._fail)

    def _fail(self, error: ContextError) -> None:
        self.failed = self.failed or error


class _Transfer:
    """One call: a thread reads ahead, the connection takes what there is."""

    def __init__(
        self,
        loop: Loop,
        call: ServerCall,
        reader: StreamReader,
        first: bytes,
        fail: Callable[[ContextError], None],
    ) -> None:
        self._loop = loop
        self._call = call
        self._reader = reader
        self._fail = fail
        self._chunks: deque[bytes] = deque()
        self._reading = False
        self._ended = False
        for start in range(0, len(first), _CHUNK):
            self._chunks.append(first[start : start + _CHUNK])
        call.on_cancel = reader.give_up
        call.set_source(self._next)
        self._read()

    def _read(self) -> None:
        if not (self._reading or self._ended) and len(self._chunks) < _AHEAD:
            self._reading = True
            self._loop.in_thread(partial(self._reader.read, _CHUNK), self._have_read)

    def _have_read(self, data: bytes | None, error: BaseException | None) -> None:
        self._reading = False
        if error is not None and not isinstance(error, (OSError, ValueError)):
            self._ended = True
            self._call.finish(Code.INTERNAL, "the client failed")
            raise error
        if error is not None:
            self._ended = True
            failure = ContextError(f"cannot read the build context: {reason(error)}")
            self._fail(failure)
            self._call.finish(Code.UNKNOWN, failure.message)
            return
        if data:
            self._chunks.append(data)
            self._read()
        else:
            self._ended = True
            self._call.finish()
        self._call.wake()

    def _next(self, _budget: int) -> Sequence[Buffer] | None:
        if self._chunks:
            chunk = self._chunks.popleft()
            self._read()
            return [_head(len(chunk)), chunk]
        return None if self._ended else ()


def _head(size: int) -> bytes:
    """Make what precedes ``size`` bytes in a call that carries them as one BytesMessage."""
    header = bytes_header(size)
    return frame(len(header) + size) + header
