"""One gRPC call, as the side that made it and the side that serves it see it.

Callbacks run in the loop and must not block; what one raises ends its call, and comes out of
:meth:`.loop.Loop.run`.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from dockyard.wire import frames
from dockyard.wire.connection import Connection
from dockyard.wire.errors import CallError, WireError
from dockyard.wire.fields import (
    CONTENT_TYPE,
    Metadata,
    check_headers,
    is_grpc,
    not_grpc,
    parse_timeout,
    to_metadata,
)
from dockyard.wire.frames import ViolationError
from dockyard.wire.hpack import ENTRY_OVERHEAD, Header
from dockyard.wire.limits import MAX_MESSAGE
from dockyard.wire.loop import Loop, Timer
from dockyard.wire.status import (
    Code,
    code_of_reset,
    decode_details,
    encode_details,
    parse_code,
    percent_decode,
    percent_encode,
    reset_of_code,
)
from dockyard.wire.stream import Source, Stream
from dockyard.wire.transport import Buffer

Handler = Callable[["ServerCall"], None]

_PREFIX = Struct(">BI")
_JOINED = 4096  # messages up to this size are copied into one buffer
_FIRST_PART = 1 << 20  # memory taken for a message before more of it is there
_BODY_SHOWN = 1024


def frame(length: int) -> bytes:
    """Make the five bytes that precede a message of ``length`` bytes."""
    return _PREFIX.pack(0, length)


class Call(Stream):
    """One call, as either side sees it."""

    __slots__ = ("_filled", "_part", "_room", "_size", "_view", "on_message")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.on_message: Callable[[memoryview], None] | None = None
        self._part = b""  # of a message's prefix
        self._size = -1  # of the message that is being received; -1: none is
        self._filled = 0
        self._room = 0  # the length of _view
        self._view = memoryview(b"")

    def send(self, *buffers: Buffer) -> None:
        """Queue one message made of ``buffers``; the caller may change them afterwards."""
        size = sum(map(len, buffers))
        if size > MAX_MESSAGE:
            raise ValueError(f"a message of {size} bytes; at most {MAX_MESSAGE} are allowed")
        prefix = frame(size)
        self._before_sending()
        if size <= _JOINED:
            self.enqueue((b"".join((prefix, *buffers)),))
        else:
            self.enqueue((prefix, *map(_unchanging, buffers)))

    def set_source(self, source: Source) -> None:
        """Send what ``source`` gives when it is asked; messages queued before go first.

        It is called with a budget in bytes when the peer and the transport take more, and
        returns buffers that are framed already (see :func:`frame`), with any number of messages
        or any part of one. ``[]`` means that there is nothing now and :meth:`wake` will be
        called; ``None`` that there is no more. It may exceed the budget, at the price of memory.
        Buffers that it returned are its own again when it is next called.
        """
        if self.closed or self.ending:
            return
        self._before_sending()
        self.source = source
        self.wake()

    def wake(self) -> None:
        """Ask the source again: it has something."""
        self.stalled = False
        self.connection.ready(self)

    def half_close(self) -> None:
        """Tell the peer that no message comes after those that wait."""
        self.end()

    def pause(self) -> None:
        """Let the peer send no more than the window that it has already."""
        self.paused = True

    def resume(self) -> None:
        """Undo :meth:`pause`."""
        self.paused = False
        self.connection.give_credit(self)

    def cancel(self, code: Code = Code.CANCELLED) -> None:
        """End the call at once, in both directions; what waits is dropped."""
        self.connection.reset(self, reset_of_code(code))

    def data_received(self, data: memoryview, ended: bool) -> None:
        filled = self._filled
        after = filled + len(data)
        if after < self._size and after <= self._room:  # the hot path: the middle of a message
            self._view[filled:after] = data
            self._filled = after
        elif self._takes(data):
            self._take_messages(data)
        if ended and not self.closed:
            self._peer_ended()

    def _takes(self, data: memoryview) -> bool:
        """Whether received bytes are messages that somebody waits for."""
        raise NotImplementedError

    def _peer_ended(self) -> None:
        """Act on the peer's last byte."""
        raise NotImplementedError

    def _before_sending(self) -> None:
        """Send what must precede the first message."""

    def _take_messages(self, data: memoryview) -> None:
        """Cut bytes into messages and hand them on."""
        if self._size >= 0:
            data = self._go_on(data)
        elif self._part:
            missing = 5 - len(self._part)
            head = self._part + data[:missing]
            if len(head) < 5:
                self._part = head
                return
            self._part = b""
            data = data[missing:]
            size = self._check_prefix(*_PREFIX.unpack(head))
            if len(data) >= size:
                self._deliver(data[:size])
                data = data[size:]
            else:
                self._start_message(size)
                data = self._go_on(data)
        position, end = 0, len(data)
        unpack = _PREFIX.unpack_from
        while end - position >= 5 and not self.closed:
            flag, size = unpack(data, position)
            if flag or size > self.connection.limits.message:
                self._check_prefix(flag, size)
            start = position + 5
            position = start + size
            if position > end:
                self._start_message(size)
                self._go_on(data[start:])
                return
            self._deliver(data[start:position])
        if not self.closed:
            self._part = bytes(data[position:])

    def _check_prefix(self, flag: int, size: int) -> int:
        if flag:
            raise ViolationError(
                frames.PROTOCOL_ERROR,
                "a compressed message" if flag == 1 else f"a message with the flag {flag}",
            )
        limit = self.connection.limits.message
        if size > limit:
            raise ViolationError(
                frames.ENHANCE_YOUR_CALM, f"a message of {size} bytes; at most {limit} are allowed"
            )
        return size

    def _start_message(self, size: int) -> None:
        self._size = size
        self._filled = 0
        self._grow(min(size, _FIRST_PART))

    def _grow(self, size: int) -> None:
        """Have room for ``size`` bytes of the message. Memory follows what was received."""
        view = self._view
        if self._room < size:
            self.connection.hold(self, size - self._room)
            self._view = memoryview(bytearray(size))
            self._view[: self._filled] = view[: self._filled]
            self._room = size

    def _go_on(self, data: memoryview) -> memoryview:
        """Add bytes to the message that is being received; give those that are not part of it."""
        filled = self._filled
        missing = self._size - filled
        part = data[:missing]
        after = filled + len(part)
        if after > self._room:
            self._grow(min(self._size, max(after, 2 * self._room)))
        self._view[filled:after] = part
        self._filled = after
        if after == self._size:
            size, self._size = after, -1
            self._deliver(self._view[:size])
        return data[missing:]

    def _deliver(self, message: memoryview) -> None:
        if self.on_message is not None and not self.closed:
            self.on_message(message)

    def _inside_message(self) -> bool:
        return self._size >= 0 or bool(self._part)

    def released(self) -> None:
        self._view = memoryview(b"")
        self._room = 0
        self._size = -1


class ClientCall(Call):
    """A call that we made."""

    __slots__ = ("_answered", "_body", "_failure", "on_end", "on_headers")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.on_end: Callable[[WireError | None], None] | None = None
        self.on_headers: Callable[[Metadata], None] | None = None
        self._answered = False
        self._failure: CallError | None = None  # the response is none of gRPC
        self._body = b""  # and this is how its text begins

    def cancel(self, code: Code = Code.CANCELLED) -> None:
        """End the call at once; ``on_end`` gets a CallError with ``code``."""
        if not self.closed:
            super().cancel(code)
            late = code is Code.DEADLINE_EXCEEDED
            why = "no answer came in time" if late else "the call was canceled here"
            self._finish(CallError(code, why))

    def headers_received(self, headers: list[Header], ended: bool) -> None:
        status = check_headers(headers, (b":status",), trailers=self._answered).get(b":status")
        if status is not None:
            if not status.isdigit() or len(status) != 3:
                raise ViolationError(frames.PROTOCOL_ERROR, f"a response of status {status!r}")
            if status[:1] == b"1" and not ended:
                return
            self._answered = True
            self._failure = not_grpc(int(status), headers)
            if not ended and self._failure is None and self.on_headers is not None:
                self.on_headers(to_metadata(headers))
        elif not ended:
            raise ViolationError(frames.PROTOCOL_ERROR, "trailers that do not end the stream")
        if ended:
            self._finish(self._status(headers))

    def reset_received(self, code: int) -> None:
        self._finish(
            CallError(
                code_of_reset(code), f"the server reset the stream: {frames.error_name(code)}"
            )
        )

    def connection_lost(self, error: WireError) -> None:
        self._finish(error)

    def _takes(self, data: memoryview) -> bool:
        if not self._answered:
            raise ViolationError(frames.PROTOCOL_ERROR, "DATA before HEADERS")
        if self._failure is not None and len(self._body) < _BODY_SHOWN:
            self._body += data[:_BODY_SHOWN]
        return self._failure is None

    def _peer_ended(self) -> None:
        self._finish(
            self._http_failure()
            or CallError(Code.INTERNAL, "the server ended the call without a status")
        )

    def _status(self, headers: list[Header]) -> WireError | None:
        fields = dict(headers)
        if b"grpc-status" not in fields:
            return self._http_failure() or CallError(
                Code.UNKNOWN, "the server ended the call without a status"
            )
        code = parse_code(fields[b"grpc-status"])
        if code is not Code.OK:
            return CallError(
                code,
                percent_decode(fields.get(b"grpc-message", b"")),
                decode_details(fields.get(b"grpc-status-details-bin", b"")),
            )
        if self._inside_message():
            return CallError(Code.INTERNAL, "the server ended the call inside a message")
        return None

    def _http_failure(self) -> CallError | None:
        if self._failure is not None and self._body:
            text = self._body[:_BODY_SHOWN].decode("utf-8", "replace").strip()
            return CallError(self._failure.code, f"{self._failure.message}: {text}")
        return self._failure

    def _finish(self, error: WireError | None) -> None:
        on_end, self.on_end = self.on_end, None
        self.on_message = self.on_headers = None
        if on_end is not None:
            on_end(error)


class ServerCall(Call):
    """A call that the peer made. The handler sets what it wants to hear of, while it is called.

    A handler that sets no ``on_message`` gets no messages. ``on_half_close`` comes after the
    last message. ``on_cancel`` comes when the peer gave up, its deadline passed or the
    connection broke; the call is over then, and whatever is sent on it is dropped.
    """

    __slots__ = (
        "_loop",
        "_serve",
        "_started",
        "_timer",
        "metadata",
        "method",
        "on_cancel",
        "on_half_close",
    )

    def __init__(self, connection: Connection, loop: Loop, serve: Handler) -> None:
        super().__init__(connection)
        self.method = ""
        self.metadata: Metadata = ()
        self.on_half_close: Callable[[], None] | None = None
        self.on_cancel: Callable[[], None] | None = None
        self._loop = loop
        self._serve = serve
        self._started = False
        self._timer: Timer | None = None

    def get(self, key: str) -> str | None:
        """Return the first value of ``key`` (in lower case) in the metadata."""
        return next((value for name, value in self.metadata if name == key), None)

    def get_all(self, key: str) -> list[str]:
        """Return all values of ``key`` (in lower case), in their order."""
        return [value for name, value in self.metadata if name == key]

    def finish(self, code: Code = Code.OK, message: str = "", details: bytes = b"") -> None:
        """End the call with a status, once everything queued was sent.

        With OK the source goes on until it returns None. With another code it is not asked any
        more; it should stand between two messages then.
        """
        if self.closed or self.ending:
            return
        if code is not Code.OK:
            self.source = None
        trailers = [(b"grpc-status", b"%d" % code)]
        if message:
            trailers.append((b"grpc-message", percent_encode(message)))
        if details:
            trailers.append((b"grpc-status-details-bin", encode_details(details)))
        if not self._started and self.source is None:
            self._started = True
            trailers[:0] = [(b":status", b"200"), CONTENT_TYPE]
        self._before_sending()
        self.end(self._shorten(trailers))

    def cancel(self, code: Code = Code.CANCELLED) -> None:
        """End the call at once, without a status; ``on_cancel`` is not called."""
        self._mute()
        super().cancel(code)

    def headers_received(self, headers: list[Header], ended: bool) -> None:
        if self.method:
            check_headers(headers, (), trailers=True)
            if not ended:
                raise ViolationError(frames.PROTOCOL_ERROR, "trailers that do not end the stream")
            self._peer_ended()
            return
        fields = check_headers(headers, (b":method", b":scheme", b":path"), trailers=False)
        self.connection.hold(self, sum(len(n) + len(v) + ENTRY_OVERHEAD for n, v in headers))
        self.method = fields[b":path"].decode("utf-8", "replace")
        self.metadata = to_metadata(headers)
        if fields[b":method"] != b"POST" or not is_grpc(headers):
            self._started = True
            self.connection.send_headers(self, [(b":status", b"415")])
            self.end([(b"grpc-status", b"2"), (b"grpc-message", b"not a gRPC request")])
            return
        timeout = self.get("grpc-timeout")
        if timeout is not None:
            self._timer = self._loop.call_later(parse_timeout(timeout), self._expire)
        self._serve(self)
        if ended:
            self._peer_ended()

    def reset_received(self, code: int) -> None:
        self._canceled()

    def connection_lost(self, error: WireError) -> None:
        self._canceled()

    def released(self) -> None:
        super().released()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _before_sending(self) -> None:
        if not self._started:
            self._started = True
            self.connection.send_headers(self, [(b":status", b"200"), CONTENT_TYPE])

    def _takes(self, _data: memoryview) -> bool:
        return not self.ending

    def _peer_ended(self) -> None:
        if self._inside_message() and not self.ending:
            raise ViolationError(frames.PROTOCOL_ERROR, "a stream that ends inside a message")
        on_half_close, self.on_half_close = self.on_half_close, None
        if on_half_close is not None and not (self.closed or self.ending):
            on_half_close()

    def _expire(self) -> None:
        # A status, not a reset: when the peer's clock is behind ours it would take a reset for
        # a cancellation by somebody else.
        if not self.closed:
            self.drop()
            self.finish(Code.DEADLINE_EXCEEDED, "context deadline exceeded")
            self._canceled()

    def _canceled(self) -> None:
        on_cancel = self.on_cancel
        self._mute()
        if on_cancel is not None:
            on_cancel()

    def _mute(self) -> None:
        self.on_message = self.on_half_close = self.on_cancel = None

    def _shorten(self, trailers: list[Header]) -> list[Header]:
        """Leave out what the peer would not accept: first the details, then the message."""
        while len(trailers) > 1:
            size = sum(len(name) + len(value) + ENTRY_OVERHEAD for name, value in trailers)
            if size <= self.connection.peer_headers or trailers[-1][0] == b"grpc-status":
                break
            trailers.pop()
        return trailers


def _unchanging(buffer: Buffer) -> Buffer:
    """Give a buffer that cannot change under us; copies one that can."""
    if type(buffer) is bytes or (type(buffer) is memoryview and type(buffer.obj) is bytes):
        return buffer
    return bytes(buffer)
