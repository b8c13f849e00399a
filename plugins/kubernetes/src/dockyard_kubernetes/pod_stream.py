"""The standard input and output of a command in a pod, as a byte stream.

Every message begins with a byte that says which of the command's channels it is of. What ended
the command comes last, as a ``Status``. Of the protocols the fifth can say that the command's
input is over; with the fourth it only ends with the connection.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dockyard.engine.exec import shown_lines
from dockyard_kubernetes.failure import one_line
from dockyard_kubernetes.websocket import Buffer, WebSocket, WebSocketError

if TYPE_CHECKING:
    from websockets.frames import Frame

V5 = "v5.channel.k8s.io"
V4 = "v4.channel.k8s.io"

PING_AFTER = 5
"""Seconds of silence after which the API server is asked for a sign of life."""
PATIENCE = 10
"""Seconds that it has for that."""
_KEPT_ERRORS = 8 << 10
"""Bytes of standard error that are kept."""

_STDIN, _STDOUT, _STDERR, _STATUS, _CLOSE = 0, 1, 2, 3, 255
_TO_STDIN = bytes([_STDIN])
_END_OF_STDIN = bytes([_CLOSE, _STDIN])
_TICK = 1.0
_KEPT_STATUS = 64 << 10
_LONGEST_WORDS = 1 << 10
_LAST_LINES = 5


class PodExec:
    """The standard input and output of a command in a pod.

    A :class:`dockyard.driver.ByteStream`. Standard error is kept for :meth:`last_words`. An API
    server that says nothing for 5 s is asked for a sign of life, and given up 10 s later: then
    reading fails.
    """

    def __init__(self, websocket: WebSocket, protocol: str) -> None:
        """Take over the connection.

        Args:
            websocket: Connected; closing the stream closes it.
            protocol: What is spoken.
        """
        self.protocol = protocol
        self._websocket = websocket
        self._ready: list[memoryview] = []
        """Standard output that was received and not yet read."""
        self._size = 0
        self._channel: int | None = None
        """That of the message whose frames are coming."""
        self._errors = bytearray()
        self._status = bytearray()
        self._fault = ""
        self._ended = False
        self._told = False
        # Reading and writing may be done in two threads, and keeping alive is in a third.
        self._lock = threading.Lock()
        self._heard = True
        self._silent = 0
        self._closing = threading.Event()
        _start_keeping_alive(self)

    @property
    def errors(self) -> bytes:
        """The end of what the command wrote to standard error so far."""
        return bytes(self._errors)

    def fileno(self) -> int:
        return self._websocket.fileno()

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Read standard output into the buffer, as a socket would.

        Raises:
            OSError: The connection broke, fell silent, or carries nonsense.
        """
        view = memoryview(buffer)
        with self._lock:
            while not self._ready:
                self._told = bool(self._fault or self._ended)
                if self._fault:
                    raise OSError(self._fault)
                if self._ended:
                    return 0
                self._receive()
                # The descriptor tells when there is more, except of what was read already.
                if not (self._ready or self._ended or self._websocket.pending()):
                    raise BlockingIOError
            return self._take(view)

    def sendmsg(self, buffers: Sequence[Buffer], /) -> int:
        """Write some of the buffers' bytes.

        After a BlockingIOError, what is offered next has to start with the same bytes.
        """
        with self._lock:
            if self._fault:
                raise OSError(self._fault)
            if self._ended:
                raise BrokenPipeError("the command has ended")
            if not any(buffers):
                return 0
            return self._websocket.send(_TO_STDIN, buffers)

    def pending(self) -> int:
        with self._lock:
            unseen = int(bool(self._ended or self._fault) and not self._told)
            return self._size + self._websocket.pending() + unseen

    def half_close(self) -> None:
        """End the command's standard input, where the protocol can: the fourth cannot."""
        with self._lock, contextlib.suppress(OSError):
            if self.protocol == V5 and not (self._ended or self._fault):
                self._websocket.queue(_END_OF_STDIN)

    def give_up(self, words: str) -> bool:
        """Break the connection, from any thread; whoever reads or writes is told why.

        False when it was over already.
        """
        with self._lock:
            if self._closing.is_set() or self._ended or self._fault:
                return False
            self._fault = words
            self._websocket.hang_up()
        return True

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            self._fault = self._fault or "the stream is closed"
            self._websocket.close()

    def last_words(self) -> str:
        """Say how the command ended, and what it wrote to standard error at last."""
        parts = shown_lines(self.errors)[-_LAST_LINES:]
        is_over = self._ended or self._fault
        told = _read_status(bytes(self._status)) if self._status and is_over else ""
        parts.append(told or self._websocket.farewell)
        return "; ".join(filter(None, parts))

    # --- receiving --------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            frames = self._websocket.receive()
            self._heard = True
            for frame in frames:
                self._sort(frame)
        except BlockingIOError:
            raise
        except OSError as error:
            if self._status and not isinstance(error, WebSocketError):
                self._ended = True  # what there was to say had been said
                return
            self._fault = str(error)
            if self._ready:
                return  # first what came before
            raise
        self._ended = self._websocket.closed_by_peer

    def _sort(self, frame: Frame) -> None:
        """Put a frame's content where it belongs."""
        data = memoryview(frame.data)
        if self._channel is None:
            if not data:
                return  # an empty message, or the empty beginning of one
            self._channel = data[0]
            data = data[1:]
        channel = self._channel
        if frame.fin:
            self._channel = None
        if channel == _STDOUT:
            if data:
                self._ready.append(data)
                self._size += len(data)
        elif channel == _STDERR:
            self._errors += data
            del self._errors[:-_KEPT_ERRORS]
        elif channel == _STATUS:
            self._status += data
            del self._status[_KEPT_STATUS:]
        elif channel != _CLOSE:
            raise WebSocketError(f"the API server sent data of an unknown channel, {channel}")

    def _take(self, view: memoryview) -> int:
        size = 0
        ready = self._ready
        while ready and size < len(view):
            part = ready[0][: len(view) - size]
            view[size : size + len(part)] = part
            size += len(part)
            if len(part) < len(ready[0]):
                ready[0] = ready[0][len(part) :]
            else:
                del ready[0]
        self._size -= size
        return size

    # --- keeping alive ----------------------------------------------------------------------

    def _tick(self) -> None:
        """Look after the connection; called once a second, from a thread of its own.

        Seconds are counted, not measured: a laptop that slept for an hour has heard nothing for
        one second.
        """
        with self._lock:
            if self._closing.is_set() or self._ended or self._fault:
                return
            if self._heard or self._websocket.readable():
                self._heard = False
                self._silent = 0
                return
            if self._websocket.busy:
                return  # nothing can be asked now; TCP looks after what was sent
            self._silent += 1
            with contextlib.suppress(OSError):  # whoever reads is told
                self._look_after()

    def _look_after(self) -> None:
        if self._silent >= PING_AFTER + PATIENCE:
            self._fault = f"the API server was silent for {self._silent} s"
            self._websocket.hang_up()
        elif self._silent == PING_AFTER:
            self._websocket.ping()
        else:
            self._websocket.flush()


def _start_keeping_alive(stream: PodExec) -> None:
    closing, known = stream._closing, weakref.ref(stream)  # noqa: SLF001  # the same module

    def keep_alive() -> None:
        while not closing.wait(_TICK):
            found = known()
            if found is None:
                return
            found._tick()  # noqa: SLF001
            del found

    threading.Thread(target=keep_alive, name="dockyard-keep-alive", daemon=True).start()


def _read_status(data: bytes) -> str:
    """Say how a command ended, from the ``Status`` by which an API server tells."""
    import json

    try:
        status = json.loads(data)
    except (ValueError, RecursionError):
        status = None
    if not isinstance(status, dict):
        return one_line(data[:_LONGEST_WORDS].decode(errors="replace"))
    if status.get("status") == "Success":
        return "exit code 0"
    code = _exit_code(status) if status.get("reason") == "NonZeroExitCode" else None
    if code is not None:
        return f"exit code {code}"
    message = status.get("message")
    return one_line(message) if isinstance(message, str) else "the command could not be run"


def _exit_code(status: Mapping[str, Any]) -> int | None:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    for cause in causes if isinstance(causes, list) else ():
        if isinstance(cause, dict) and cause.get("reason") == "ExitCode":
            text = cause.get("message")
            if isinstance(text, str) and text.isdigit() and len(text) < 6:
                return int(text)
    return None
