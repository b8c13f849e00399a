"""Byte streams to an engine: over a socket, over TLS, and through a child process.

Each has the shape of :class:`dockyard.driver.ByteStream`: not blocking, with one descriptor to
poll. What was read too far can be put back with ``unread``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import _socket
    import socket
    import ssl
    import subprocess

Buffer = bytes | bytearray | memoryview

_RECORD = 16 << 10
"""Bytes that one TLS record holds at most."""
_MOST_BUFFERS = 512
"""Buffers that go into one system call; the kernel takes no more than 1024."""
_KEPT_WORDS = 8 << 10
"""Bytes of a child's last words that are kept."""
_LISTEN_SECONDS = 0.5
"""How long the last words of a child that has ended are waited for."""


class SocketStream:
    """A connected socket."""

    def __init__(self, sock: _socket.socket, leftover: bytes = b"") -> None:
        """Take over the socket.

        Args:
            sock: Connected; closing the stream closes it. Of the kind that module ``socket``
                builds on does: to import that module takes longer than to ask an engine.
            leftover: Bytes that were already read from it.
        """
        sock.setblocking(False)
        self._socket = sock
        self._leftover = leftover

    @property
    def socket(self) -> socket.socket:
        """The socket itself, for a client library that wants one. Holds no put-back bytes."""
        import socket

        if not isinstance(self._socket, socket.socket):
            self._socket = socket.socket(fileno=self._socket.detach())
            self._socket.setblocking(False)
        return self._socket

    def fileno(self) -> int:
        return self._socket.fileno()

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        if self._leftover:
            return self._take_leftover(buffer)
        return self._socket.recv_into(buffer)

    def sendmsg(self, buffers: Sequence[Buffer], /) -> int:
        if len(buffers) > _MOST_BUFFERS:
            buffers = buffers[:_MOST_BUFFERS]
        return self._socket.sendmsg(buffers)

    def pending(self) -> int:
        return len(self._leftover)

    def unread(self, data: bytes) -> None:
        """Put bytes back, to be read again before all others."""
        self._leftover = data + self._leftover

    def last_words(self) -> str:
        """Give what a helper process said at last; a socket has none."""
        return ""

    def half_close(self) -> None:
        import _socket

        with contextlib.suppress(OSError):  # the peer was faster
            self._socket.shutdown(_socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()

    def _take_leftover(self, buffer: bytearray | memoryview) -> int:
        count = min(len(buffer), len(self._leftover))
        memoryview(buffer)[:count] = self._leftover[:count]
        self._leftover = self._leftover[count:]
        return count


class TLSStream(SocketStream):
    """A TLS connection whose handshake is done."""

    _socket: ssl.SSLSocket

    def __init__(self, sock: ssl.SSLSocket, leftover: bytes = b"") -> None:
        super().__init__(sock, leftover)
        self._begun = b""

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        import ssl

        if self._leftover:
            return self._take_leftover(buffer)
        try:
            return self._socket.recv_into(buffer)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error

    def sendmsg(self, buffers: Sequence[Buffer], /) -> int:
        """Write some of the buffers' bytes.

        TLS encrypts a record before it knows whether it fits. After a BlockingIOError the record
        waits inside, so what is offered next has to start with the same bytes.
        """
        import ssl

        record = self._begun or _gather(buffers, _RECORD)
        if self._begun and _gather(buffers, len(record)) != record:
            raise OSError("bytes that a TLS record already holds were not offered again")
        try:
            self._socket.send(record)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            self._begun = record
            raise BlockingIOError from error
        self._begun = b""
        return len(record)

    def pending(self) -> int:
        return len(self._leftover) + self._socket.pending()

    def half_close(self) -> None:
        """Do nothing: TLS ends both directions at once."""


class PipeStream(SocketStream):
    """The standard input and output of a child process, as one descriptor.

    The child gets one end of a socket pair as both. Its standard error is collected for
    :meth:`last_words`. Closing ends the child and everything it started in its process group.
    """

    def __init__(self, command: Sequence[str]) -> None:
        """Start the child.

        Args:
            command: The program, looked up in ``PATH``, and its arguments.

        Raises:
            OSError: The program cannot be started.
        """
        import socket
        import subprocess
        import threading

        ours, theirs = socket.socketpair()
        try:
            # A session of its own: Ctrl-C is for us, and we end the child when we are done.
            self._child: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        super().__init__(ours)
        self._words = b""
        # A thread, because a child that nobody listens to stops one day.
        self._listener = threading.Thread(target=self._listen, name="dockyard-ssh", daemon=True)
        self._listener.start()

    def last_words(self) -> str:
        """Give the last lines that the child wrote to its standard error."""
        import subprocess

        # Its output ends a moment before it does, and only then has it said everything.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_LISTEN_SECONDS)
            self._listener.join(_LISTEN_SECONDS)
        text = self._words.decode(errors="replace")
        lines = (" ".join(line.split()) for line in text.splitlines())
        return "; ".join([line for line in lines if line and line.isprintable()][-5:])

    def close(self) -> None:
        super().close()
        if self._child.returncode is None:
            self._end_child()
        # What the child left behind, ssh's shared connection, may hold its standard error open:
        # then the thread waits on and ends with the process.
        self._listener.join(_LISTEN_SECONDS)

    def _listen(self) -> None:
        assert self._child.stderr is not None  # PIPE was asked for
        with self._child.stderr as errors:
            while words := os.read(errors.fileno(), 1 << 16):
                self._words = (self._words + words)[-_KEPT_WORDS:]

    def _end_child(self) -> None:
        import signal
        import subprocess

        for sent in (signal.SIGTERM, signal.SIGKILL):
            # Often it has ended by itself when its input did.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, sent)
            try:
                self._child.wait(timeout=1)
            except subprocess.TimeoutExpired:
                continue
            return
        self._child.wait()


def _gather(buffers: Sequence[Buffer], limit: int) -> bytes:
    """Join the buffers' first bytes."""
    parts: list[Buffer] = []
    for buffer in buffers:
        part = memoryview(buffer)[:limit]
        parts.append(part)
        limit -= len(part)
        if not limit:
            break
    return b"".join(parts)
