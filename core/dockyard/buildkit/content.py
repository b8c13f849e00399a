"""Blobs out of BuildKit's own content store: the layers and configurations of what it built."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from dockyard.buildkit.client import Client
from dockyard.cancellation import Cancellation
from dockyard.errors import DaemonError, DockyardError
from dockyard.wire.codec import CodecError, decode, encode
from dockyard.wire.errors import CallError, WireError
from dockyard.wire.grpc import Call, Code
from dockyard.wire.messages import READ_CONTENT_REQUEST, READ_CONTENT_RESPONSE

_METHOD = "/containerd.services.content.v1.Content/Read"
_MUCH = 4 << 20
"""Bytes that wait to be read, above which the daemon gets no more room."""
_SILENCE = 30.0
"""Seconds for which the daemon may send nothing of a blob."""
_PIECE = 256 << 10


def open_blob(
    client: Client, digest: str, size: int, *, cancel: Cancellation, silence: float = _SILENCE
) -> BinaryIO:
    """Give a blob of the daemon's store as a file to read from, which has to be closed.

    Reading runs the client's loop, so it belongs to the client's thread, while nothing else runs
    there. No more than a few MiB wait in memory. The last bytes are given only when the whole
    has the digest.

    Args:
        client: The connection.
        digest: What to read.
        size: Its size.
        cancel: Ends it.
        silence: Seconds for which the daemon may send nothing.

    Raises:
        DaemonError: When it is read: the daemon has no such blob, or sends another one.
        ConnectionLostError: When it is read: the connection broke.
        CanceledError: When it is read: ``cancel`` was turned.
    """
    return io.BufferedReader(_Blob(client, digest, size, cancel, silence), _PIECE)


def serves_blobs(client: Client, timeout: float = 20) -> bool:
    """Say whether blobs can be read from the daemon at all.

    Raises:
        ConnectionLostError: The connection broke.
    """
    request = encode(READ_CONTENT_REQUEST, {"digest": f"sha256:{'0' * 64}"})
    try:
        client.channel.unary(_METHOD, request, timeout=timeout)
    except CallError as error:
        return error.code is Code.NOT_FOUND
    except WireError as error:
        raise client.error(error) from error
    return True


class _Blob(io.RawIOBase):
    """One blob that is coming."""

    def __init__(
        self, client: Client, digest: str, size: int, cancel: Cancellation, silence: float
    ) -> None:
        super().__init__()
        import hashlib

        self._client = client
        self._digest = digest
        self._size = size
        self._cancel = cancel
        self._silence = silence
        self._hash = hashlib.sha256()
        self._received = 0
        self._front = memoryview(b"")  # is being given out
        self._behind = bytearray()  # came since
        self._call: Call | None = None
        self._ended = False
        self._error: DockyardError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401  # any writable buffer
        if not self._front:
            self._await_more()
        count = min(len(buffer), len(self._front))
        buffer[:count] = self._front[:count]
        self._front = self._front[count:]
        return count

    def close(self) -> None:
        if not self.closed and self._call is not None and not self._ended:
            self._ended = True
            self._call.cancel()
        super().close()

    def _await_more(self) -> None:
        """Wait until there are bytes to give, or it is known that none will come."""
        self._cancel.check()
        if self._call is None:
            self._start()
        loop = self._client.loop
        forget = self._cancel.on_cancel(lambda: loop.call_soon(lambda: None))
        try:
            before = -1
            while before != self._received and not self._ready():
                before = self._received
                loop.run(self._ready, timeout=self._silence)
            if not self._ready():
                self._fail(f"stopped for {self._silence:g} s", "DeadlineExceeded")
        except WireError as error:
            raise self._client.error(error) from error
        finally:
            forget()
        self._cancel.check()
        if self._error is not None:
            raise self._error
        self._front, self._behind = memoryview(self._behind), bytearray()
        if self._call is not None and not self._ended:
            self._call.resume()

    def _ready(self) -> bool:
        """Say whether to wait no longer.

        What came last is kept back until the call's end, when the whole was compared.
        """
        some = bool(self._behind) and self._received < self._size
        return self._ended or some or self._cancel.canceled

    def _start(self) -> None:
        self._call = self._client.channel.start(
            _METHOD, on_message=self._on_message, on_end=self._on_end
        )
        self._call.send(encode(READ_CONTENT_REQUEST, {"digest": self._digest}))
        self._call.half_close()

    def _on_message(self, message: memoryview) -> None:
        if self._ended:
            return
        try:
            data = decode(READ_CONTENT_RESPONSE, message).get("data", b"")
        except CodecError as error:
            self._fail(f"made no sense: {error}", "DataLoss")
            return
        self._received += len(data)
        if self._received > self._size:
            self._fail(f"is longer than its {self._size} bytes", "DataLoss")
            return
        self._hash.update(data)
        self._behind += data
        if len(self._behind) >= _MUCH and self._call is not None:
            self._call.pause()

    def _on_end(self, error: WireError | None) -> None:
        if self._ended:
            return
        if error is not None:
            self._ended = True
            self._error = self._client.error(error)
        elif self._received != self._size:
            self._fail(f"has {self._received} bytes instead of {self._size}", "DataLoss")
        elif f"sha256:{self._hash.hexdigest()}" != self._digest:
            self._fail("has another digest", "DataLoss")
        self._ended = True

    def _fail(self, what: str, code: str) -> None:
        self._ended = True
        self._error = DaemonError(f"BuildKit's blob {self._digest} {what}", code=code)
        if self._call is not None:
            self._call.cancel()
