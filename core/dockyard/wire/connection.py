"""The HTTP/2 engine: bytes in, buffers out, no input or output of its own.

:meth:`Connection.feed` takes what was received and tells the streams; :meth:`Connection.pull`
gives what can be sent now. It is one piece because it is one state machine: both directions
share the streams, the windows and the order in which header blocks were compressed.

Sending is pulled. A stream that has something stands in a list; ``pull`` gives each one turn, in
order, so a small answer never waits behind more than one turn of each long transfer. In a turn
a stream sends what it has queued, or its source is asked once. A source may therefore reuse its
buffers as soon as it is asked again, if the caller pulls only after everything was sent.

The peer is not trusted. Whatever it may make us keep, answer or compute is bounded; the first
violation ends the connection with a GOAWAY that says why, and every stream with a PeerError.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

from dockyard.wire import frames
from dockyard.wire.errors import ConnectionLost, PeerError, WireError
from dockyard.wire.frames import ViolationError
from dockyard.wire.hpack import Decoder, Encoder, Header, HeaderError, HeaderListTooLargeError
from dockyard.wire.limits import Limits
from dockyard.wire.stream import Stream
from dockyard.wire.transport import Buffer

TURN = 512 << 10
"""Bytes that one stream may send before the next one has its turn."""

_LEAST_ASKED = 5  # a source must be able to return at least the prefix of a message
_REMEMBERED_RESETS = 1000
_FEW = 8  # up to so many buffers of a frame are sent as they are
_SMALL = 2048  # more of them are joined, if they are smaller than this on average


class Connection:
    """One HTTP/2 connection, of a client or a server."""

    def __init__(
        self,
        *,
        limits: Limits,
        accept: Callable[[], Stream] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Prepare a connection; its greeting waits to be pulled.

        Args:
            limits: What the peer may ask of us.
            accept: Makes a stream when the peer opens one. Without it we are the client.
            clock: Seconds, for limits that are rates.
        """
        self.client = accept is None
        self.limits = limits
        self.streams: dict[int, Stream] = {}
        self.consumed = 0
        self.closed = False
        self.error: WireError | None = None
        self.goaway: tuple[int, int, str] | None = None  # last stream, code, reason
        self.on_output: Callable[[], None] = _nothing
        self.on_exception: Callable[[BaseException], None] = _raise
        self._accept = accept
        self._encoder = Encoder()
        self._decoder = Decoder(limits.headers)
        # receiving
        self._greeted = False
        self._preface_seen = self.client
        self._frame_limit = limits.frame
        self._stream_window = max(limits.stream_window, frames.DEFAULT_WINDOW)
        self._connection_window = max(limits.connection_window, frames.DEFAULT_WINDOW)
        self._recv_window = self._connection_window
        self._last_peer = 0  # the last stream that the peer opened
        self._block = bytearray()  # a header block that CONTINUATION frames go on with
        self._block_of = 0
        self._block_ends = False
        self._block_frames = 0
        self._buffered = 0
        self._resets: dict[int, None] = {}  # streams on which frames may still arrive
        self._allowance = _Allowance(limits.churn, limits.churn_rate, clock)
        # sending
        self._control: list[bytes] = []
        self._replies = 0
        self._ready: deque[Stream] = deque()
        self._waiting: deque[tuple[Stream, list[Header]]] = deque()
        self._next_id = 1
        self._send_window = frames.DEFAULT_WINDOW
        self._peer_window = frames.DEFAULT_WINDOW
        self._peer_frame = frames.DEFAULT_FRAME
        self._peer_streams = frames.MAX_STREAM_ID
        self.peer_headers = frames.MAX_WINDOW
        self._handlers: tuple[Callable[[int, int, memoryview], None], ...] = (
            self._on_data,
            self._on_headers,
            self._on_priority,
            self._on_reset,
            self._on_settings,
            self._on_push,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
            self._on_continuation,
        )
        self._greet()

    # What the peer sent

    def feed(self, data: memoryview) -> int:
        """Take received bytes; give how many were used. The rest must be fed again, with more.

        Whatever the bytes are, nothing is raised. What a stream's callback raises resets that
        stream and goes to ``on_exception``.
        """
        self.consumed = 0
        if self.closed:
            self.consumed = len(data)
            return self.consumed
        try:
            self._parse(data)
        except ViolationError as violation:
            self.consumed = len(data)
            self._fail(violation)
        if self.closed:
            self.consumed = len(data)
        return self.consumed

    def _parse(self, data: memoryview) -> None:
        if not self._greeted and not self._check_greeting(data):
            return
        position, end = self.consumed, len(data)
        unpack, limit, streams = frames.HEADER.unpack_from, self._frame_limit, self.streams
        while end - position >= 9 and not self.closed:
            high, low, kind, flags, number = unpack(data, position)
            size = high << 16 | low
            if size > limit:
                raise ViolationError(
                    frames.FRAME_SIZE_ERROR, f"a frame of {size} bytes; at most {limit} are allowed"
                )
            start = position + 9
            stop = start + size
            if stop > end:
                return
            self.consumed = position = stop
            number &= 0x7FFFFFFF
            if not kind and not flags and size and number in streams:
                self._on_plain_data(streams[number], data[start:stop])
            else:
                self._on_frame(kind, flags, number, data[start:stop])

    def _on_frame(self, kind: int, flags: int, number: int, data: memoryview) -> None:
        if self._block_of and kind != frames.CONTINUATION:
            raise ViolationError(frames.PROTOCOL_ERROR, "another frame inside a header block")
        if kind < len(self._handlers):
            self._handlers[kind](number, flags, data)
        elif not data:
            self._count_churn("frames without meaning")

    def _check_greeting(self, data: memoryview) -> bool:
        """Check how the peer's bytes begin; False when there are too few to know."""
        if not self._preface_seen:
            head = bytes(data[: len(frames.PREFACE)])
            if not frames.PREFACE.startswith(head):
                raise ViolationError(frames.PROTOCOL_ERROR, _stranger(bytes(data[:64])))
            if len(head) < len(frames.PREFACE):
                return False
            self._preface_seen = True
            self.consumed = len(head)
        head = bytes(data[self.consumed : self.consumed + 9])
        expected = head[3:4] in (b"", b"\4") and not head[0:1].strip(b"\0")
        if not expected or head[5:9].strip(b"\0"):
            raise ViolationError(frames.PROTOCOL_ERROR, _stranger(bytes(data[:64])))
        self._greeted = len(head) == 9
        return self._greeted

    def _on_plain_data(self, stream: Stream, data: memoryview) -> None:
        """Take DATA that neither ends the stream nor is padded: the hot path."""
        size = len(data)
        self._recv_window -= size
        stream.recv_window -= size
        if self._recv_window < self._connection_window >> 1:
            self._give_connection_credit()
        if stream.recv_window < self._stream_window >> 1:
            self.give_credit(stream)
        if self._block_of:
            raise ViolationError(frames.PROTOCOL_ERROR, "another frame inside a header block")
        if stream.got_end:
            raise ViolationError(frames.STREAM_CLOSED, f"DATA after the end of stream {stream.id}")
        try:
            stream.data_received(data, False)
        except ViolationError:
            raise
        except BaseException as error:  # noqa: BLE001 (reported)
            self._blame(stream, error)

    def _on_data(self, number: int, flags: int, data: memoryview) -> None:
        size = len(data)
        self._recv_window -= size
        if self._recv_window < self._connection_window >> 1:
            self._give_connection_credit()
        stream = self.streams.get(number)
        if stream is None:
            self._check_closed(number, "DATA")
            return
        if stream.got_end:
            raise ViolationError(frames.STREAM_CLOSED, f"DATA after the end of stream {number}")
        stream.recv_window -= size
        if flags & frames.PADDED:
            data = frames.unpad(data)
        if flags & frames.END_STREAM:
            stream.got_end = True
        elif not data:
            self._count_churn("DATA frames without data")
        self.give_credit(stream)
        try:
            stream.data_received(data, stream.got_end)
        except ViolationError:
            raise
        except BaseException as error:  # noqa: BLE001 (reported)
            self._blame(stream, error)
        if stream.got_end:
            self._settle(stream)

    def _give_connection_credit(self) -> None:
        if self._recv_window < 0:
            raise ViolationError(frames.FLOW_CONTROL_ERROR, "more data than the window allows")
        self._control.append(frames.window_update(0, self._connection_window - self._recv_window))
        self._recv_window = self._connection_window
        self.on_output()

    def _on_headers(self, number: int, flags: int, data: memoryview) -> None:
        if not number & 1:
            raise ViolationError(frames.PROTOCOL_ERROR, f"HEADERS on stream {number}")
        if flags & frames.PADDED:
            data = frames.unpad(data)
        if flags & frames.PRIORITIZED:
            if len(data) < 5:
                raise ViolationError(frames.FRAME_SIZE_ERROR, "HEADERS are too short")
            data = data[5:]
        ended = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._take_headers(number, ended, bytes(data))
            return
        self._block = bytearray(data)
        self._block_of, self._block_ends, self._block_frames = number, ended, 0

    def _on_continuation(self, number: int, flags: int, data: memoryview) -> None:
        if not self._block_of or number != self._block_of:
            raise ViolationError(frames.PROTOCOL_ERROR, "CONTINUATION without HEADERS before it")
        self._block_frames += 1
        self._block += data
        if len(self._block) > self.limits.headers or self._block_frames > self.limits.continuations:
            raise ViolationError(frames.ENHANCE_YOUR_CALM, "a header list that is too large")
        if flags & frames.END_HEADERS:
            block, self._block, self._block_of = bytes(self._block), bytearray(), 0
            self._take_headers(number, self._block_ends, block)

    def _take_headers(self, number: int, ended: bool, block: bytes) -> None:
        try:
            headers = self._decoder.decode(block)
        except HeaderListTooLargeError as error:
            raise ViolationError(frames.ENHANCE_YOUR_CALM, str(error)) from None
        except HeaderError as error:
            raise ViolationError(frames.COMPRESSION_ERROR, str(error)) from None
        stream = self.streams.get(number)
        if stream is None:
            if self.client or number <= self._last_peer:
                self._check_closed(number, "HEADERS")
                return
            stream = self._accept_stream(number)
            if stream is None:
                return
        elif stream.got_end:
            raise ViolationError(frames.STREAM_CLOSED, f"HEADERS after the end of stream {number}")
        stream.got_end = ended
        try:
            stream.headers_received(headers, ended)
        except ViolationError:
            raise
        except BaseException as error:  # noqa: BLE001 (reported)
            self._blame(stream, error)
        if ended:
            self._settle(stream)

    def _accept_stream(self, number: int) -> Stream | None:
        self._last_peer = number
        if self._accept is None or len(self.streams) >= self.limits.streams:
            self._remember_reset(number)
            self._count_churn("streams beyond the limit")
            self._reply(frames.reset(number, frames.REFUSED_STREAM))
            return None
        stream = self._accept()
        self._attach(stream, number)
        return stream

    def _on_priority(self, number: int, _flags: int, data: memoryview) -> None:
        if not number or len(data) != 5:
            raise ViolationError(frames.FRAME_SIZE_ERROR, "a malformed PRIORITY")

    def _on_reset(self, number: int, _flags: int, data: memoryview) -> None:
        if len(data) != 4:
            raise ViolationError(frames.FRAME_SIZE_ERROR, "a malformed RST_STREAM")
        self._check_opened(number, "RST_STREAM")
        if not self.client:
            self._count_churn("streams reset")
        stream = self.streams.get(number)
        if stream is not None:
            self._release(stream)
            try:
                stream.reset_received(frames.WORD.unpack(data)[0])
            except BaseException as error:  # noqa: BLE001 (reported)
                self._blame(stream, error)

    def _on_settings(self, number: int, flags: int, data: memoryview) -> None:
        if number:
            raise ViolationError(frames.PROTOCOL_ERROR, "SETTINGS on a stream")
        if len(data) % 6 or (flags & frames.ACK and data):
            raise ViolationError(frames.FRAME_SIZE_ERROR, "malformed SETTINGS")
        if flags & frames.ACK:
            return
        self._count_churn("SETTINGS")
        for setting, value in frames.SETTING.iter_unpack(data):
            self._apply(setting, value)
        self._reply(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _apply(self, setting: int, value: int) -> None:
        if setting == frames.HEADER_TABLE_SIZE:
            self._encoder.resize(value)
        elif setting == frames.ENABLE_PUSH:
            if value > 1:
                raise ViolationError(frames.PROTOCOL_ERROR, f"ENABLE_PUSH of {value}")
        elif setting == frames.MAX_CONCURRENT_STREAMS:
            self._peer_streams = value
            self._open_waiting()
        elif setting == frames.INITIAL_WINDOW_SIZE:
            self._change_windows(value)
        elif setting == frames.MAX_FRAME_SIZE:
            if not frames.DEFAULT_FRAME <= value < 1 << 24:
                raise ViolationError(frames.PROTOCOL_ERROR, f"MAX_FRAME_SIZE of {value}")
            self._peer_frame = value
        elif setting == frames.MAX_HEADER_LIST_SIZE:
            self.peer_headers = value

    def _change_windows(self, value: int) -> None:
        if value > frames.MAX_WINDOW:
            raise ViolationError(frames.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE of {value}")
        change = value - self._peer_window
        self._peer_window = value
        for stream in self.streams.values():
            self._widen(stream, change)

    def _widen(self, stream: Stream, change: int) -> None:
        stream.send_window += change
        if stream.send_window > frames.MAX_WINDOW:
            raise ViolationError(frames.FLOW_CONTROL_ERROR, "a window that is too large")
        if change > 0 and stream.can_send():
            self.ready(stream)

    def _on_push(self, _number: int, _flags: int, _data: memoryview) -> None:
        raise ViolationError(frames.PROTOCOL_ERROR, "PUSH_PROMISE, which we do not allow")

    def _on_ping(self, number: int, flags: int, data: memoryview) -> None:
        if number or len(data) != 8:
            raise ViolationError(frames.FRAME_SIZE_ERROR, "a malformed PING")
        if not flags & frames.ACK:
            self._reply(frames.frame(frames.PING, frames.ACK, 0, bytes(data)))

    def _on_goaway(self, number: int, _flags: int, data: memoryview) -> None:
        if number or len(data) < 8:
            raise ViolationError(frames.FRAME_SIZE_ERROR, "a malformed GOAWAY")
        self._count_churn("GOAWAY")
        last, code = frames.WORD.unpack_from(data)[0] & 0x7FFFFFFF, frames.WORD.unpack_from(data, 4)
        reason = bytes(data[8:1032]).decode("utf-8", "replace")
        self.goaway = (last, code[0], reason)
        if self.client:
            lost = [stream for number, stream in self.streams.items() if number > last]
            lost += [stream for stream, _headers in self._waiting]
            self._waiting.clear()
            self._lose(lost, ConnectionLost(self.farewell()))

    def _on_window_update(self, number: int, _flags: int, data: memoryview) -> None:
        if len(data) != 4:
            raise ViolationError(frames.FRAME_SIZE_ERROR, "a malformed WINDOW_UPDATE")
        increment = frames.WORD.unpack(data)[0] & 0x7FFFFFFF
        if not increment:
            raise ViolationError(frames.PROTOCOL_ERROR, "a WINDOW_UPDATE of nothing")
        if number:
            self._check_opened(number, "WINDOW_UPDATE")
            stream = self.streams.get(number)
            if stream is not None:
                self._widen(stream, increment)
            return
        self._send_window += increment
        if self._send_window > frames.MAX_WINDOW:
            raise ViolationError(frames.FLOW_CONTROL_ERROR, "a window that is too large")
        if self._ready:
            self.on_output()

    def _check_opened(self, number: int, what: str) -> None:
        """Refuse a frame on the connection itself, or on a stream that nobody has opened."""
        mine = bool(number & 1) == self.client
        opened = number < self._next_id if mine else number <= self._last_peer
        if not number or not opened:
            raise ViolationError(frames.PROTOCOL_ERROR, f"{what} on stream {number}, which is idle")

    def _check_closed(self, number: int, what: str) -> None:
        """Refuse a frame on a closed stream, unless it crossed our reset of that stream."""
        self._check_opened(number, what)
        if number not in self._resets:
            raise ViolationError(
                frames.STREAM_CLOSED, f"{what} on stream {number}, which is closed"
            )

    def _count_churn(self, what: str) -> None:
        if not self._allowance.take():
            raise ViolationError(frames.ENHANCE_YOUR_CALM, f"too many {what}")

    def _reply(self, frame: bytes) -> None:
        self._replies += 1
        if self._replies > self.limits.queued_replies:
            raise ViolationError(
                frames.ENHANCE_YOUR_CALM, "too many control frames whose answers are not read"
            )
        self._control.append(frame)
        self.on_output()

    # What is sent

    def pull(self, budget: int) -> list[Buffer]:
        """Give buffers to send, in order, of about ``budget`` bytes; none if nothing can be sent.

        The windows are charged and the buffers are the caller's: all of them must be sent.
        """
        out: list[Buffer] = []
        if self._control:
            self._flush_control(out)
        for _ in range(len(self._ready)):
            if budget <= 0 or not self._ready:
                break
            stream = self._ready.popleft()
            stream.listed = False
            budget -= self._turn(stream, out, budget)
            if self._control:
                self._flush_control(out)
            if not stream.listed and stream.can_send():
                stream.listed = True
                self._ready.append(stream)
        return out

    def _flush_control(self, out: list[Buffer]) -> None:
        out += self._control
        self._control.clear()
        self._replies = 0

    def _turn(self, stream: Stream, out: list[Buffer], budget: int) -> int:
        room = min(budget, TURN, self._send_window, stream.send_window)
        if not stream.queue and stream.source is not None and not stream.stalled and room > 0:
            self._ask(stream, room)
        size = 0
        if stream.queue and room > 0:
            size = min(room, stream.queued)
            self._emit(stream, out, size)
        if stream.ending and not stream.sent_end and not stream.queue and stream.source is None:
            self._emit_end(stream)
        return size

    def _ask(self, stream: Stream, room: int) -> None:
        source = stream.source
        if source is None:
            return
        stream.stalled = True  # before the call: the source may call wake() in it
        try:
            buffers = source(max(room, _LEAST_ASKED))
        except BaseException as error:  # noqa: BLE001 (reported)
            self._blame(stream, error)
            return
        if stream.closed or stream.source is not source:
            return
        if buffers is None:
            stream.source = None
            return
        for buffer in buffers:
            if len(buffer):
                stream.queue.append(buffer)
                stream.queued += len(buffer)
                stream.stalled = False

    def _emit(self, stream: Stream, out: list[Buffer], total: int) -> None:
        """Move ``total`` queued bytes of a stream into DATA frames."""
        number, queue, limit = stream.id, stream.queue, self._peer_frame
        stream.queued -= total
        stream.send_window -= total
        self._send_window -= total
        last = not stream.queued and stream.ending and stream.trailers is None
        last = last and stream.source is None
        full = frames.data_header(limit, 0, number)
        while total:
            size = min(total, limit)
            total -= size
            if last and not total:
                out.append(frames.data_header(size, frames.END_STREAM, number))
                stream.sent_end = True
            else:
                out.append(full if size == limit else frames.data_header(size, 0, number))
            buffer = queue[0]
            length = len(buffer)
            if length <= size:
                self._gather(queue, out, size)
                continue
            view = memoryview(buffer)
            out.append(view[:size])
            while total > limit and length - size > limit:  # the hot path: one large buffer
                out.append(full)
                out.append(view[size : size + limit])
                size += limit
                total -= limit
            queue[0] = view[size:]
        if stream.sent_end and stream.got_end:
            self._release(stream)

    def _gather(self, queue: deque[Buffer], out: list[Buffer], size: int) -> None:
        """Take ``size`` bytes from several buffers; join them when they are many and small."""
        parts: list[Buffer] = []
        left = size
        while left:
            buffer = queue[0]
            if len(buffer) <= left:
                left -= len(buffer)
                parts.append(queue.popleft())
            else:
                view = memoryview(buffer)
                parts.append(view[:left])
                queue[0] = view[left:]
                left = 0
        if len(parts) > _FEW and size < _SMALL * len(parts):
            out.append(b"".join(parts))
        else:
            out += parts

    def _emit_end(self, stream: Stream) -> None:
        stream.sent_end = True
        if stream.trailers is None:
            self._control.append(frames.data_header(0, frames.END_STREAM, stream.id))
        else:
            self._put_headers(stream, stream.trailers, frames.END_STREAM)
        if stream.got_end:
            self._release(stream)
        elif not self.client:
            self.reset(stream, frames.NO_ERROR)  # what the client still sends is of no use

    def _put_headers(self, stream: Stream, headers: list[Header], flags: int) -> None:
        # Blocks must be sent in the order in which they were compressed: all go through _control.
        block = self._encoder.encode(headers)
        self._control.append(frames.header_block(stream.id, block, self._peer_frame, flags))

    def ready(self, stream: Stream) -> None:
        """Note that a stream has something to send."""
        if not stream.listed and stream.id and not stream.closed:
            stream.listed = True
            self._ready.append(stream)
            self.on_output()

    # What our side does

    def _greet(self) -> None:
        limits = self.limits
        values = [
            (frames.INITIAL_WINDOW_SIZE, self._stream_window),
            (frames.MAX_FRAME_SIZE, limits.frame),
            (frames.MAX_HEADER_LIST_SIZE, limits.headers),
        ]
        if self.client:
            self._control.append(frames.PREFACE)
            values.append((frames.ENABLE_PUSH, 0))
        else:
            values.append((frames.MAX_CONCURRENT_STREAMS, limits.streams))
        self._control.append(frames.settings(values))
        more = self._connection_window - frames.DEFAULT_WINDOW
        if more > 0:
            self._control.append(frames.window_update(0, more))

    def open(self, stream: Stream, headers: list[Header]) -> None:
        """Open a stream as the client; it waits if the peer allows no more of them now."""
        self._waiting.append((stream, headers))
        self._open_waiting()

    def _open_waiting(self) -> None:
        while self._waiting and len(self.streams) < self._peer_streams and not self.goaway:
            stream, headers = self._waiting.popleft()
            if self._next_id > frames.MAX_STREAM_ID:
                self._lose([stream], ConnectionLost("the connection has no stream numbers left"))
                continue
            self._attach(stream, self._next_id)
            self._next_id += 2
            self._put_headers(stream, headers, 0)
            self.on_output()
            if stream.can_send():
                self.ready(stream)

    def _attach(self, stream: Stream, number: int) -> None:
        stream.id = number
        stream.send_window = self._peer_window
        stream.recv_window = self._stream_window
        self.streams[number] = stream

    def send_headers(self, stream: Stream, headers: list[Header]) -> None:
        """Send a header list that does not end the stream."""
        if not stream.closed:
            self._put_headers(stream, headers, 0)
            self.on_output()

    def reset(self, stream: Stream, code: int) -> None:
        """End a stream at once, in both directions; what waits on it is dropped."""
        if stream.closed:
            return
        if stream.id:
            self._control.append(frames.reset(stream.id, code))
            self._remember_reset(stream.id)
            self.on_output()
        else:
            self._waiting = deque(pair for pair in self._waiting if pair[0] is not stream)
        self._release(stream)

    def give_credit(self, stream: Stream) -> None:
        """Open a stream's window again when half of it is used up, unless it is paused.

        Raises:
            ViolationError: The peer has sent more than the window allowed.
        """
        left = stream.recv_window
        if left < 0:
            raise ViolationError(
                frames.FLOW_CONTROL_ERROR, f"more data than the window of stream {stream.id} allows"
            )
        if left < self._stream_window >> 1 and not (
            stream.paused or stream.closed or stream.got_end
        ):
            self._control.append(frames.window_update(stream.id, self._stream_window - left))
            stream.recv_window = self._stream_window
            self.on_output()

    def hold(self, stream: Stream, size: int) -> None:
        """Count memory that a stream keeps for its peer's bytes.

        Raises:
            ViolationError: All streams together keep more than the limit.
        """
        stream.held += size
        self._buffered += size
        if self._buffered > self.limits.buffered:
            raise ViolationError(
                frames.ENHANCE_YOUR_CALM, "too many bytes of unfinished messages and headers"
            )

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self._control.append(frames.frame(frames.PING, 0, 0, b"dockyard"))
        self.on_output()

    def shut_down(self, error: WireError) -> None:
        """End the connection from our side; every stream learns of it by ``error``."""
        if not self.closed:
            self._control.append(frames.goaway(self._last_peer, frames.NO_ERROR, ""))
            self.end(error)

    def end(self, error: WireError) -> None:
        """Close all streams because the connection is gone, or is about to be."""
        if self.closed:
            return
        self.closed = True
        self.error = error
        streams = [*self.streams.values(), *(stream for stream, _headers in self._waiting)]
        self._waiting.clear()
        self._lose(streams, error)
        self._ready.clear()

    def farewell(self) -> str:
        """Say in words that the peer is gone, with the reason that it gave, if any."""
        if self.goaway is None:
            return "the peer closed the connection"
        _last, code, reason = self.goaway
        words = f": {reason}" if reason else ""
        return f"the peer closed the connection with {frames.error_name(code)}{words}"

    def at_end_of_file(self, rest: memoryview) -> WireError:
        """Say what it means that the peer's bytes end here; ``rest`` was not used yet."""
        if not self._greeted and rest:
            return PeerError(f"the peer broke the protocol: {_stranger(bytes(rest[:64]))}")
        return ConnectionLost(self.farewell())

    @property
    def drained(self) -> bool:
        """Whether the peer said good-bye and the last call that it still served is over."""
        return self.client and self.goaway is not None and not self.streams

    def _fail(self, violation: ViolationError) -> None:
        self._control.append(frames.goaway(self._last_peer, violation.code, violation.reason))
        self.on_output()
        self.end(PeerError(f"the peer broke the protocol: {violation.reason}", violation.code))

    def _settle(self, stream: Stream) -> None:
        """Forget a stream whose peer has ended, if our side is done with it too."""
        if stream.closed:
            return
        if stream.sent_end:
            self._release(stream)
        elif self.client:
            self.reset(stream, frames.NO_ERROR)  # the call has its status; our half is moot

    def _release(self, stream: Stream) -> None:
        if stream.closed:
            return
        stream.closed = True
        stream.queue.clear()
        stream.queued = 0
        stream.source = None
        self._buffered -= stream.held
        stream.held = 0
        self.streams.pop(stream.id, None)
        stream.released()
        if self._waiting and not self.closed:
            self._open_waiting()

    def _lose(self, streams: list[Stream], error: WireError) -> None:
        """Close streams because of an error of the connection, and tell each."""
        for stream in streams:
            if stream.closed:
                continue
            self._release(stream)
            try:
                stream.connection_lost(error)
            except BaseException as caught:  # noqa: BLE001 (reported)
                self._blame(stream, caught)

    def _blame(self, stream: Stream, error: BaseException) -> None:
        """End a stream whose callback raised, and have the exception raised elsewhere."""
        self.reset(stream, frames.INTERNAL_ERROR)
        self.on_exception(error)

    def _remember_reset(self, number: int) -> None:
        self._resets[number] = None
        if len(self._resets) > _REMEMBERED_RESETS:
            del self._resets[next(iter(self._resets))]


class _Allowance:
    """So many events at once, and so many a second after that."""

    def __init__(self, burst: int, rate: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._rate = rate
        self._clock = clock
        self._left = float(burst)
        self._at = clock()

    def take(self) -> bool:
        if self._left < 1:
            now = self._clock()
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
            self._at = now
        self._left -= 1
        return self._left >= 0


_HTTP1 = (b"HTTP/", b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ")


def _stranger(head: bytes) -> str:
    """Say what a peer seems to speak whose first bytes are not HTTP/2."""
    if head.startswith(_HTTP1):
        line = head.partition(b"\r\n")[0].decode("latin-1")
        return f"it speaks HTTP/1, not HTTP/2: {line!r}"
    if head[:1] in (b"\x15", b"\x16") and head[1:2] == b"\x03":
        return "it speaks TLS, not plain HTTP/2"
    return f"its first bytes are not HTTP/2: {head[:32]!r}"


def _nothing() -> None:
    pass


def _raise(error: BaseException) -> None:
    raise error
