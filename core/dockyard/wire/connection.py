"""The HTTP/2 engine: bytes in, buffers out, no input or output of its own.

:meth:`Connection.feed` takes what was received and tells the streams; :meth:`Connection.pull`
gives what can be sent now. What this module knows is the life of the streams and of the
connection, and what the frames mean that have to do with it. The rest is known elsewhere:

- received: ``frame_reader`` cuts bytes into frames, after the ``greeting``; ``header_reader`` makes
  header lists of some; ``inflow`` takes data and gives window.
- sent: ``control`` has what goes first, ``outflow`` the turns of the streams.
- about the peer: ``peer_settings`` knows what it wants, ``stream_table`` which streams there are,
  ``allowance`` what it does too often.

The peer is not trusted. Whatever it may make us keep, answer or compute is bounded; the first
violation ends the connection with a GOAWAY that says why, and every stream with a PeerError.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from dockyard.wire import frames
from dockyard.wire.allowance import Allowance
from dockyard.wire.control import ControlQueue
from dockyard.wire.errors import ConnectionLost, PeerError, WireError
from dockyard.wire.frame_reader import FrameHandler, FrameReader
from dockyard.wire.frames import ViolationError
from dockyard.wire.greeting import Greeting, greeting, stranger
from dockyard.wire.header_reader import HeaderReader
from dockyard.wire.hpack import Header
from dockyard.wire.inflow import Inflow
from dockyard.wire.limits import Limits
from dockyard.wire.outflow import Outflow
from dockyard.wire.peer_settings import PeerSettings
from dockyard.wire.stream import Stream
from dockyard.wire.stream_table import StreamTable
from dockyard.wire.transport import Buffer


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
        self.closed = False
        self.error: WireError | None = None
        self.goaway: tuple[int, int, str] | None = None  # last stream, code, reason
        self.on_exception: Callable[[BaseException], None] = _raise
        self._accept = accept
        self._table = StreamTable(client=self.client)
        self.streams = self._table.open
        self._allowance = Allowance(limits.churn, limits.churn_rate, clock)
        self._control = ControlQueue(limits.queued_replies)
        self.outflow = Outflow(self._control, self._table, ended=self._settle, blame=self._blame)
        self.inflow = Inflow(
            limits,
            self._control,
            self._table,
            self._allowance,
            ended=self._settle,
            blame=self._blame,
        )
        self.settings = PeerSettings(
            self._control, self.outflow, self._table, self._allowance, allowed=self._open_waiting
        )
        self._greeting = Greeting(preface=not self.client)
        self._headers = HeaderReader(limits, self._on_headers)
        self._reader = FrameReader(
            limit=limits.frame,
            greeting=self._greeting,
            headers=self._headers,
            handlers=self._handlers(),
            allowance=self._allowance,
        )
        for said in greeting(limits, client=self.client):
            self._control.put(said)

    def _handlers(self) -> tuple[FrameHandler, ...]:
        """Say who takes which frame, by its kind."""
        return (
            self.inflow.take,
            self._headers.begin,
            self._on_priority,
            self._on_reset,
            self.settings.take,
            self._on_push,
            self._on_ping,
            self._on_goaway,
            self.outflow.take_window_update,
            self._headers.go_on,
        )

    # What carries the connection does these

    def feed(self, data: memoryview) -> int:
        """Take received bytes; give how many were used. The rest must be fed again, with more.

        Whatever the bytes are, nothing is raised. What a stream's callback raises resets that
        stream and goes to ``on_exception``.
        """
        if self.closed:
            return len(data)
        try:
            used = self._reader.read(data)
        except ViolationError as violation:
            self._fail(violation)
        return len(data) if self.closed else used

    def pull(self, budget: int) -> list[Buffer]:
        """Give buffers to send, as :meth:`.outflow.Outflow.pull` does."""
        return self.outflow.pull(budget)

    @property
    def on_output(self) -> Callable[[], None]:
        """Called when there is something to pull."""
        return self._control.on_output

    @on_output.setter
    def on_output(self, callback: Callable[[], None]) -> None:
        self._control.on_output = callback

    def at_end_of_file(self, rest: memoryview) -> WireError:
        """Say what it means that the peer's bytes end here; ``rest`` was not used yet."""
        if not self._greeting.over and rest:
            return PeerError(f"the peer broke the protocol: {stranger(rest)}")
        return ConnectionLost(self.farewell())

    @property
    def drained(self) -> bool:
        """Whether the peer said good-bye and the last call that it still served is over."""
        return self.client and self.goaway is not None and not self.streams

    # What streams do

    def open(self, stream: Stream, headers: list[Header]) -> None:
        """Open a stream as the client; it waits if the peer allows no more of them now."""
        self._table.wait(stream, headers)
        self._open_waiting()

    def send_headers(self, stream: Stream, headers: list[Header]) -> None:
        """Send a header list that does not end the stream."""
        if not stream.closed:
            self._control.put_headers(stream.id, headers, 0)
            self._control.on_output()

    def reset(self, stream: Stream, code: int) -> None:
        """End a stream at once, in both directions; what waits on it is dropped."""
        if stream.closed:
            return
        if stream.id:
            self._control.put(frames.reset(stream.id, code))
            self._table.remember_reset(stream.id)
            self._control.on_output()
        else:
            self._table.withdraw(stream)
        self._release(stream)

    # What both ends do

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        self._control.put(frames.frame(frames.PING, 0, 0, b"dockyard"))
        self._control.on_output()

    def shut_down(self, error: WireError) -> None:
        """End the connection from our side; every stream learns of it by ``error``."""
        if not self.closed:
            self._control.put(frames.goaway(self._table.last_peer, frames.NO_ERROR, ""))
            self.end(error)

    def end(self, error: WireError) -> None:
        """Close all streams because the connection is gone, or is about to be."""
        if self.closed:
            return
        self.closed = self._reader.stopped = True
        self.error = error
        self._lose([*self.streams.values(), *self._table.withdraw_all()], error)
        self.outflow.clear()

    def farewell(self) -> str:
        """Say in words that the peer is gone, with the reason that it gave, if any."""
        if self.goaway is None:
            return "the peer closed the connection"
        _last, code, reason = self.goaway
        words = f": {reason}" if reason else ""
        return f"the peer closed the connection with {frames.error_name(code)}{words}"

    def _fail(self, violation: ViolationError) -> None:
        self._control.put(frames.goaway(self._table.last_peer, violation.code, violation.reason))
        self._control.on_output()
        self.end(PeerError(f"the peer broke the protocol: {violation.reason}", violation.code))

    # What the frames mean

    def _on_headers(self, number: int, ended: bool, headers: list[Header]) -> None:
        stream = self.streams.get(number)
        if stream is None:
            if self.client or number <= self._table.last_peer:
                self._table.check_closed(number, "HEADERS")
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
        self._table.last_peer = number
        if self._accept is None or len(self.streams) >= self.limits.streams:
            self._table.remember_reset(number)
            self._allowance.spend("streams beyond the limit")
            self._control.reply(frames.reset(number, frames.REFUSED_STREAM))
            return None
        stream = self._accept()
        self._begin(stream, number)
        return stream

    def _on_priority(self, number: int, _flags: int, data: memoryview) -> None:
        if not number or len(data) != 5:
            raise ViolationError(frames.FRAME_SIZE_ERROR, "a malformed PRIORITY")

    def _on_reset(self, number: int, _flags: int, data: memoryview) -> None:
        if len(data) != 4:
            raise ViolationError(frames.FRAME_SIZE_ERROR, "a malformed RST_STREAM")
        self._table.check_opened(number, "RST_STREAM")
        if not self.client:
            self._allowance.spend("streams reset")
        stream = self.streams.get(number)
        if stream is not None:
            self._release(stream)
            try:
                stream.reset_received(frames.WORD.unpack(data)[0])
            except BaseException as error:  # noqa: BLE001 (reported)
                self._blame(stream, error)

    def _on_push(self, _number: int, _flags: int, _data: memoryview) -> None:
        raise ViolationError(frames.PROTOCOL_ERROR, "PUSH_PROMISE, which we do not allow")

    def _on_ping(self, number: int, flags: int, data: memoryview) -> None:
        if number or len(data) != 8:
            raise ViolationError(frames.FRAME_SIZE_ERROR, "a malformed PING")
        if not flags & frames.ACK:
            self._control.reply(frames.frame(frames.PING, frames.ACK, 0, bytes(data)))

    def _on_goaway(self, number: int, _flags: int, data: memoryview) -> None:
        if number or len(data) < 8:
            raise ViolationError(frames.FRAME_SIZE_ERROR, "a malformed GOAWAY")
        self._allowance.spend("GOAWAY")
        last, code = frames.WORD.unpack_from(data)[0] & 0x7FFFFFFF, frames.WORD.unpack_from(data, 4)
        reason = bytes(data[8:1032]).decode("utf-8", "replace")
        self.goaway = (last, code[0], reason)
        if self.client:
            lost = [stream for number, stream in self.streams.items() if number > last]
            self._lose([*lost, *self._table.withdraw_all()], ConnectionLost(self.farewell()))

    # The life of a stream

    def _open_waiting(self) -> None:
        while not self.goaway and (waiting := self._table.next_waiting()) is not None:
            stream, headers = waiting
            number = self._table.next_number()
            if number is None:
                self._lose([stream], ConnectionLost("the connection has no stream numbers left"))
                continue
            self._begin(stream, number)
            self._control.put_headers(number, headers, 0)
            self._control.on_output()
            if stream.can_send():
                self.outflow.ready(stream)

    def _begin(self, stream: Stream, number: int) -> None:
        self.outflow.begin(stream)
        self.inflow.begin(stream)
        self._table.add(stream, number)

    def _settle(self, stream: Stream) -> None:
        """Forget a stream of which one side has ended, if nothing of use can come any more."""
        if stream.closed:
            return
        if stream.sent_end and stream.got_end:
            self._release(stream)
        elif stream.got_end if self.client else stream.sent_end:
            self.reset(stream, frames.NO_ERROR)  # the call has its status; the rest is moot

    def _release(self, stream: Stream) -> None:
        if stream.closed:
            return
        stream.closed = True
        stream.queue.clear()
        stream.queued = 0
        stream.source = None
        self.inflow.let_go(stream)
        self.streams.pop(stream.id, None)
        stream.released()
        if not self.closed:
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


def _raise(error: BaseException) -> None:
    raise error
