from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

import pytest

from core.wire.peers import RESPONSE, TRAILERS, Outcome, Plain, goaway_of, parse
from dockyard.wire import frames
from dockyard.wire.errors import ConnectionLost, PeerError, WireError
from dockyard.wire.grpc import Channel, Server, ServerCall, frame
from dockyard.wire.hpack import Encoder
from dockyard.wire.loop import READ, Loop
from dockyard.wire.transport import Buffer


def received(sock: socket.socket) -> bytes:
    sock.setblocking(False)
    out = b""
    with contextlib.suppress(BlockingIOError):
        while part := sock.recv(1 << 20):
            out += part
    return out


def test_a_source_that_wakes_itself_while_it_is_asked_is_asked_again(loop: Loop) -> None:
    left, right = socket.socketpair()
    asked: list[int] = []

    def source(budget: int) -> Sequence[Buffer] | None:
        asked.append(budget)
        if len(asked) == 1:
            call.wake()
            return []
        return [frame(1), b"x"] if len(asked) == 2 else None

    with right:
        channel = Channel(loop, Plain(left))
        call = Outcome().start(channel, "/t.T/Echo")
        call.set_source(source)
        assert loop.run(lambda: len(asked) == 3, 30)
        assert frames.data_header(6, 0, 1) + b"\0\0\0\0\x01x" in received(right)
        channel.close()


def test_a_full_socket_is_waited_for_and_nothing_is_lost(loop: Loop) -> None:
    """The peer reads only now and then; what it got is what was sent, in one piece."""
    left, right = socket.socketpair()
    data = bytes(range(256)) * 12_000
    got = bytearray()
    with right:
        right.setblocking(False)
        right.sendall(
            frames.settings([(frames.INITIAL_WINDOW_SIZE, 1 << 30)])
            + frames.window_update(0, 1 << 30)
        )
        channel = Channel(loop, Plain(left))
        call = Outcome().start(channel, "/t.T/Echo")
        call.send(data)
        call.half_close()

        loop.register(right.fileno(), READ, lambda _event: got.extend(right.recv(50_000)))
        assert loop.run(lambda: call.sent_end and got.endswith(data[-100:]), 30)
        loop.unregister(right.fileno())
        sent = b"".join(
            payload for kind, _f, _s, payload in parse(bytes(got)) if kind == frames.DATA
        )
        assert sent == frame(len(data)) + data
        channel.close()


def test_a_violation_is_answered_by_a_goaway_before_the_stream_is_closed(loop: Loop) -> None:
    left, right = socket.socketpair()
    closed: list[WireError | None] = []
    with right:
        right.sendall(frames.PREFACE + frames.settings([]) + frames.frame(frames.DATA, 0, 0, b"x"))
        server = Server(loop, Plain(left), {})
        server.on_close = closed.append
        assert loop.run(lambda: bool(closed), 30)
        assert isinstance(closed[0], PeerError)
        assert left.fileno() == -1
        assert goaway_of(parse(received(right))) == (1, "DATA on stream 0, which is idle")


def test_what_a_stream_raises_is_a_lost_connection_and_what_a_source_raises_is_not(
    loop: Loop,
) -> None:
    left, right = socket.socketpair()

    def source(_budget: int) -> Sequence[Buffer] | None:
        raise OSError("the file cannot be read")

    with right:
        right.sendall(frames.settings([]))
        channel = Channel(loop, Plain(left))
        call = Outcome().start(channel, "/t.T/Echo")
        call.set_source(source)
        with pytest.raises(OSError, match="cannot be read"):
            loop.run(lambda: False, 30)
        assert not channel.closed
        outcome = Outcome()
        outcome.start(channel, "/t.T/Echo")
        right.close()
        assert loop.run(lambda: outcome.over, 30)
        assert isinstance(outcome.error, ConnectionLost)
        assert channel.closed


def test_a_channel_that_is_closed_by_a_callback_while_it_receives_stops_there(loop: Loop) -> None:
    left, right = socket.socketpair()
    messages: list[bytes] = []

    def on_message(message: memoryview) -> None:
        messages.append(bytes(message))
        channel.close()

    ends: list[WireError | None] = []
    closed: list[WireError | None] = []
    with right:
        right.sendall(
            frames.settings([])
            + frames.header_block(1, Encoder().encode(RESPONSE), 16_384, 0)
            + frames.frame(frames.DATA, 0, 1, (frame(3) + b"one") * 3)
            + frames.header_block(1, Encoder().encode(TRAILERS), 16_384, 1)
        )
        channel = Channel(loop, Plain(left))
        channel.on_close = closed.append
        channel.start("/t.T/Echo", on_message=on_message, on_end=ends.append)
        assert loop.run(lambda: bool(closed), 30)
        assert messages == [b"one"]
        assert [type(error) for error in ends] == [ConnectionLost]
        assert closed == [None]


def test_two_of_our_ends_understand_each_other(loop: Loop) -> None:
    left, right = socket.socketpair()

    def echo(call: ServerCall) -> None:
        call.on_message = call.send
        call.on_half_close = call.finish

    server = Server(loop, Plain(right, most=1000), {"/t.T/Echo": echo})
    channel = Channel(loop, Plain(left))
    for size in (0, 1, 16_379, 16_380, 300_000):
        data = b"x" * size
        assert channel.unary("/t.T/Echo", data, timeout=30) == data
    channel.close()
    assert loop.run(lambda: server.closed, 30)
