"""Our channel against grpcio's server, and grpcio's channel against our server."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import grpc
import pytest

from core.wire.peers import BIG, GrpcioClient, Outcome, Plain, connect, grpcio_server, our_server
from dockyard.wire import frames
from dockyard.wire.errors import CallError, ConnectionLost, PeerError, WireError
from dockyard.wire.grpc import Channel, Code, Limits, Server, ServerCall, frame
from dockyard.wire.loop import Loop
from dockyard.wire.transport import Buffer

LARGE = 8 << 20


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# What grpcio serves


def unary(request: bytes, context: grpc.ServicerContext) -> bytes:
    return request


def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata((("grpc-status-details-bin", b"\x08\x05 details \xff"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "no \u20ac here: 100%")


def fail_at_length(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata((("grpc-status-details-bin", os.urandom(600_000)),))
    context.abort(grpc.StatusCode.INTERNAL, "failed to solve")


def sum_up(requests: Iterable[bytes], context: grpc.ServicerContext) -> bytes:
    state = hashlib.sha256()
    for request in requests:
        state.update(request)
    return state.digest()


def count(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    for number in range(int(request)):
        yield b"%d" % number


def pour(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    for _ in range(int(request)):
        yield bytes(1 << 20)


def echo(requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    context.send_initial_metadata((("clock", "now"), ("clock", "then")))
    yield from requests


def half(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Answer the first request and end, whatever else the client sends."""
    yield next(requests)


def metadata(request: bytes, context: grpc.ServicerContext) -> bytes:
    pairs = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-")]
    return repr(pairs).encode()


def slow(request: bytes, context: grpc.ServicerContext) -> bytes:
    done = threading.Event()
    if context.add_callback(done.set):  # else the call was over before
        done.wait()
    return b""


METHODS: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
    "/t.T/Unary": grpc.unary_unary_rpc_method_handler(unary),
    "/t.T/Fail": grpc.unary_unary_rpc_method_handler(fail),
    "/t.T/FailAtLength": grpc.unary_unary_rpc_method_handler(fail_at_length),
    "/t.T/Sum": grpc.stream_unary_rpc_method_handler(sum_up),
    "/t.T/Count": grpc.unary_stream_rpc_method_handler(count),
    "/t.T/Pour": grpc.unary_stream_rpc_method_handler(pour),
    "/t.T/Echo": grpc.stream_stream_rpc_method_handler(echo),
    "/t.T/Half": grpc.stream_stream_rpc_method_handler(half),
    "/t.T/Metadata": grpc.unary_unary_rpc_method_handler(metadata),
    "/t.T/Slow": grpc.unary_unary_rpc_method_handler(slow),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with grpcio_server(tmp_path_factory.mktemp("grpc"), METHODS) as path:
        yield path


@pytest.fixture
def channel(loop: Loop, server: str) -> Iterator[Channel]:
    made = Channel(loop, connect(server))
    yield made
    made.close()


def wait(loop: Loop, outcome: Outcome) -> None:
    assert loop.run(lambda: outcome.over, 30)


def test_a_unary_call_is_answered(channel: Channel) -> None:
    assert channel.unary("/t.T/Unary", b"hello", timeout=30) == b"hello"
    assert channel.unary("/t.T/Unary", b"") == b""


def test_a_message_of_eight_mebibytes_goes_there_and_back(channel: Channel) -> None:
    request = os.urandom(LARGE)
    assert digest(channel.unary("/t.T/Unary", request, timeout=30)) == digest(request)


def test_a_stream_that_takes_and_gives_a_few_bytes_at_a_time_works(loop: Loop, server: str) -> None:
    stream = connect(server)
    stream.most = 7
    channel = Channel(loop, stream)
    assert channel.unary("/t.T/Unary", b"x" * 3000, timeout=30) == b"x" * 3000
    assert max(stream.sent) == 7
    channel.close()


def test_the_status_of_a_failed_call_is_an_error_with_message_and_details(channel: Channel) -> None:
    with pytest.raises(CallError) as caught:
        channel.unary("/t.T/Fail", b"", timeout=30)
    assert caught.value.code is Code.NOT_FOUND
    assert caught.value.message == "no \u20ac here: 100%"
    assert caught.value.details == b"\x08\x05 details \xff"


def test_trailers_of_hundreds_of_kilobytes_arrive(channel: Channel) -> None:
    with pytest.raises(CallError) as caught:
        channel.unary("/t.T/FailAtLength", b"", timeout=30)
    assert caught.value.message == "failed to solve"
    assert len(caught.value.details) == 600_000


def test_an_unknown_method_is_unimplemented(channel: Channel) -> None:
    with pytest.raises(CallError) as caught:
        channel.unary("/t.T/Nothing", b"", timeout=30)
    assert caught.value.code is Code.UNIMPLEMENTED


def test_a_call_whose_time_runs_out_ends_and_the_channel_lives_on(channel: Channel) -> None:
    with pytest.raises(CallError) as caught:
        channel.unary("/t.T/Slow", b"", timeout=0.05)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert channel.unary("/t.T/Unary", b"on") == b"on"


def test_metadata_arrives_in_its_order(channel: Channel) -> None:
    sent = [("X-Key", "one"), ("x-other", ""), ("x-key", "two, three")]
    got = channel.unary("/t.T/Metadata", b"", metadata=sent, timeout=30)
    assert got == b"[('x-key', 'one'), ('x-other', ''), ('x-key', 'two, three')]"


@pytest.mark.parametrize("pair", [("", "x"), (":path", "/x"), ("x", "a\nb"), ("x\u00e9", "a")])
def test_metadata_that_cannot_be_sent_is_refused_at_once(
    channel: Channel, pair: tuple[str, str]
) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        channel.unary("/t.T/Metadata", b"", metadata=[pair])


def test_a_client_stream_is_summed_up(loop: Loop, channel: Channel) -> None:
    parts = [os.urandom(size) for size in (0, 1, 4096, 4097, 100_000, 3 << 20)]
    outcome = Outcome()
    call = outcome.start(channel, "/t.T/Sum")
    for part in parts:
        call.send(part[:10], memoryview(part)[10:])
    call.half_close()
    wait(loop, outcome)
    assert outcome.error is None
    assert outcome.messages == [digest(b"".join(parts))]


def test_what_was_sent_may_change_afterwards(loop: Loop, channel: Channel) -> None:
    for size in (100, 100_000):
        outcome = Outcome()
        call = outcome.start(channel, "/t.T/Sum")
        data = bytearray(b"a" * size)
        call.send(data)
        data[:] = b"b" * size
        call.send(memoryview(data))
        data[:] = b"c" * size
        call.half_close()
        wait(loop, outcome)
        assert outcome.messages == [digest(b"a" * size + b"b" * size)]


def test_a_server_stream_arrives_in_order(loop: Loop, channel: Channel) -> None:
    outcome = Outcome()
    call = outcome.start(channel, "/t.T/Count")
    call.send(b"5000")
    call.half_close()
    wait(loop, outcome)
    assert outcome.error is None
    assert outcome.messages == [b"%d" % number for number in range(5000)]


def test_messages_go_both_ways_in_turn(loop: Loop, channel: Channel) -> None:
    outcome = Outcome()
    call = outcome.start(channel, "/t.T/Echo")
    for number in range(20):
        call.send(b"%d" % number)
        assert loop.run(lambda number=number: len(outcome.messages) > number, 30)  # type: ignore[misc]
    call.half_close()
    wait(loop, outcome)
    assert outcome.error is None
    assert outcome.messages == [b"%d" % number for number in range(20)]
    assert [pair for pair in outcome.headers[0] if pair[0] == "clock"] == [
        ("clock", "now"),
        ("clock", "then"),
    ]


def test_a_server_may_end_a_call_before_the_client_does(loop: Loop, channel: Channel) -> None:
    outcome = Outcome()
    call = outcome.start(channel, "/t.T/Half")
    call.send(b"first")
    wait(loop, outcome)
    assert outcome.error is None
    assert outcome.messages == [b"first"]
    assert call.closed
    call.send(b"dropped")
    assert call.queued == 0
    assert channel.unary("/t.T/Unary", b"on") == b"on"


def test_a_canceled_call_ends_with_that_and_the_channel_lives_on(
    loop: Loop, channel: Channel
) -> None:
    outcome = Outcome()
    call = outcome.start(channel, "/t.T/Echo")
    call.send(b"x")
    assert loop.run(lambda: bool(outcome.messages), 30)
    call.cancel()
    call.cancel()
    assert isinstance(outcome.error, CallError)
    assert outcome.error.code is Code.CANCELLED
    assert channel.unary("/t.T/Unary", b"on") == b"on"


def test_a_source_is_pulled_and_its_messages_are_split_and_packed(
    loop: Loop, channel: Channel
) -> None:
    state = hashlib.sha256()
    waiting: list[bytes] = []
    for number in range(3000):
        data = bytes([number % 251]) * (number * 7 % 3000)
        state.update(data)
        waiting.append(frame(len(data)) + data)
    stream = b"".join(waiting)
    at = 0
    budgets: list[int] = []

    def source(budget: int) -> Sequence[Buffer] | None:
        nonlocal at
        budgets.append(budget)
        if len(budgets) % 3 == 0:
            loop.call_soon(call.wake)
            return []
        if at == len(stream):
            return None
        part = memoryview(stream)[at : at + min(budget, 70_001)]
        at += len(part)
        return [part[:3], b"", part[3:]]

    outcome = Outcome()
    call = outcome.start(channel, "/t.T/Sum")
    call.set_source(source)
    call.half_close()
    wait(loop, outcome)
    assert outcome.messages == [state.digest()]
    assert min(budgets) >= 5


def test_a_source_gets_its_buffer_back_when_it_is_asked_again(loop: Loop, channel: Channel) -> None:
    """One buffer is filled anew each time: had it not been sent, the sum would be wrong."""
    size, rounds = 300_000, 40
    buffer = bytearray(size)
    state = hashlib.sha256()
    left = rounds

    def source(_budget: int) -> Sequence[Buffer] | None:
        nonlocal left
        if not left:
            return None
        left -= 1
        buffer[:] = bytes([left]) * size
        state.update(buffer)
        return [frame(size), memoryview(buffer)]

    outcome = Outcome()
    call = outcome.start(channel, "/t.T/Sum")
    call.set_source(source)
    call.half_close()
    wait(loop, outcome)
    assert outcome.messages == [state.digest()]


def test_small_calls_pass_while_large_ones_move(loop: Loop, channel: Channel) -> None:
    pouring, sending = Outcome(), Outcome()
    pour_call = pouring.start(channel, "/t.T/Pour")
    pour_call.send(b"200")
    pour_call.half_close()
    left = 200

    def source(_budget: int) -> Sequence[Buffer] | None:
        nonlocal left
        left -= 1
        return [frame(1 << 20), bytes(1 << 20)] if left >= 0 else None

    send_call = sending.start(channel, "/t.T/Sum")
    send_call.set_source(source)
    send_call.half_close()
    answered = 0
    while not (pouring.over and sending.over):
        assert channel.unary("/t.T/Unary", b"healthy", timeout=30) == b"healthy"
        answered += 1
    assert answered >= 5
    assert pouring.error is None
    assert sending.error is None
    assert len(pouring.messages) == 200
    assert sending.messages == [digest(bytes(200 << 20))]


def test_a_paused_call_stops_the_server_and_goes_on_when_resumed(loop: Loop, server: str) -> None:
    limits = Limits(stream_window=1 << 20, connection_window=4 << 20)
    channel = Channel(loop, connect(server), limits=limits)
    outcome = Outcome()
    call = outcome.start(channel, "/t.T/Pour")
    call.pause()
    call.send(b"30")
    call.half_close()
    assert not loop.run(lambda: len(outcome.messages) > 1, 0.3)
    assert channel.unary("/t.T/Unary", b"passes", timeout=30) == b"passes"
    call.resume()
    wait(loop, outcome)
    assert len(outcome.messages) == 30
    channel.close()


def test_two_hundred_calls_at_once(loop: Loop, channel: Channel) -> None:
    outcomes = []
    for number in range(200):
        outcome = Outcome()
        call = outcome.start(channel, "/t.T/Unary")
        call.send(b"%d" % number)
        call.half_close()
        outcomes.append(outcome)
    assert loop.run(lambda: all(outcome.over for outcome in outcomes), 30)
    assert [outcome.messages for outcome in outcomes] == [[b"%d" % n] for n in range(200)]


def test_a_server_that_stops_ends_the_calls_and_the_channel(loop: Loop, tmp_path: Path) -> None:
    closed: list[WireError | None] = []
    outcome = Outcome()
    with grpcio_server(tmp_path, METHODS) as path:
        channel = Channel(loop, connect(path))
        channel.on_close = closed.append
        call = outcome.start(channel, "/t.T/Echo")
        call.send(b"x")
        assert loop.run(lambda: bool(outcome.messages), 30)
    wait(loop, outcome)
    assert isinstance(outcome.error, CallError | ConnectionLost)
    assert loop.run(lambda: bool(closed), 30)
    assert isinstance(closed[0], ConnectionLost)
    assert channel.closed
    with pytest.raises(ConnectionLost):
        channel.unary("/t.T/Unary", b"")


def test_closing_a_channel_ends_its_calls_and_its_stream(loop: Loop, server: str) -> None:
    stream = connect(server)
    channel = Channel(loop, stream)
    closed: list[WireError | None] = []
    channel.on_close = closed.append
    outcome = Outcome()
    outcome.start(channel, "/t.T/Echo")
    channel.close()
    channel.close()
    assert isinstance(outcome.error, ConnectionLost)
    assert closed == [None]
    assert stream.sock.fileno() == -1


def test_an_exception_of_a_callback_comes_out_of_the_loop_and_ends_only_that_call(
    loop: Loop, channel: Channel
) -> None:
    ends: list[WireError | None] = []

    def on_message(_message: memoryview) -> None:
        raise LookupError("a mistake in a callback")

    call = channel.start("/t.T/Count", on_message=on_message, on_end=ends.append)
    call.send(b"3")
    call.half_close()
    with pytest.raises(LookupError):
        loop.run(lambda: bool(ends), 30)
    assert call.closed
    assert channel.unary("/t.T/Unary", b"on", timeout=30) == b"on"


# What a silent or a strange peer is


def pair(loop: Loop) -> tuple[Channel, socket.socket]:
    left, right = socket.socketpair()
    return Channel(loop, Plain(left)), right


def test_an_idle_peer_that_answers_pings_is_alive(loop: Loop, server: str) -> None:
    limits = Limits(keepalive_timeout=30)
    stream = connect(server)
    channel = Channel(loop, stream, keepalive=0.02, limits=limits)
    channel.unary("/t.T/Unary", b"")
    before = len(stream.sent)
    assert loop.run(lambda: len(stream.sent) >= before + 2, 30)
    assert not channel.closed
    channel.close()


def test_a_peer_that_does_not_answer_is_given_up(loop: Loop) -> None:
    left, right = socket.socketpair()
    closed: list[WireError | None] = []
    outcome = Outcome()
    with right:
        right.sendall(frames.settings([]))
        channel = Channel(loop, Plain(left), keepalive=0.02, limits=Limits(keepalive_timeout=0.02))
        channel.on_close = closed.append
        outcome.start(channel, "/t.T/Echo")
        started = time.monotonic()
        wait(loop, outcome)
    assert time.monotonic() - started < 20
    assert isinstance(outcome.error, ConnectionLost)
    assert "does not answer" in str(closed[0])


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n",
            "HTTP/1.1 400 Bad Request",
        ),
        (b"HTTP/1", "speaks HTTP/1"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        (b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01", "not HTTP/2"),
    ],
)
def test_a_peer_that_speaks_something_else_is_named(
    loop: Loop, greeting: bytes, words: str
) -> None:
    channel, peer = pair(loop)
    peer.sendall(greeting)
    peer.shutdown(socket.SHUT_WR)
    with pytest.raises(PeerError, match=words):
        channel.unary("/t.T/Unary", b"")
    peer.close()


def test_a_peer_that_closes_at_once_is_lost(loop: Loop) -> None:
    channel, peer = pair(loop)
    peer.close()
    with pytest.raises(ConnectionLost):
        channel.unary("/t.T/Unary", b"")


def test_a_broken_stream_is_lost_with_the_reason_of_the_system(loop: Loop) -> None:
    class Broken(Plain):
        def recv_into(self, buffer: bytearray | memoryview, /) -> int:
            raise ConnectionResetError(104, "Connection reset by peer")

    left, right = socket.socketpair()
    with right:
        right.sendall(b"x")
        channel = Channel(loop, Broken(left))
        with pytest.raises(ConnectionLost, match="reset by peer"):
            channel.unary("/t.T/Unary", b"")


def test_why_a_peer_went_away_is_told_even_when_sending_fails_first(loop: Loop) -> None:
    channel, peer = pair(loop)
    peer.sendall(frames.settings([]) + frames.goaway(0, 11, "too_many_pings"))
    peer.close()
    with pytest.raises(ConnectionLost, match="ENHANCE_YOUR_CALM: too_many_pings"):
        channel.unary("/t.T/Unary", b"x")


def test_bytes_that_poll_does_not_announce_are_read(loop: Loop) -> None:
    """A TLS stream may hold decrypted bytes while its descriptor is silent."""

    class Buffered(Plain):
        held = b""

        def recv_into(self, buffer: bytearray | memoryview, /) -> int:
            if not self.held:
                self.held = self.sock.recv(1 << 20)
            part, self.held = self.held[:5], self.held[5:]
            buffer[: len(part)] = part
            return len(part)

        def pending(self) -> int:
            return len(self.held)

    left, right = socket.socketpair()
    with right:
        right.sendall(frames.settings([]) + frames.goaway(0, 0, "a long farewell " * 20))
        channel = Channel(loop, Buffered(left))
        with pytest.raises(ConnectionLost, match="long farewell"):
            channel.unary("/t.T/Unary", b"x")


# What we serve to grpcio


def serve_echo(call: ServerCall) -> None:
    call.on_message = call.send
    call.on_half_close = call.finish


def serve_failure(call: ServerCall) -> None:
    call.finish(Code.NOT_FOUND, "no \u20ac: 100%", b"\x08\x05")


def serve_long_failure(call: ServerCall) -> None:
    call.finish(Code.INTERNAL, "failed to solve", bytes(500_000))


def serve_sum(call: ServerCall) -> None:
    state = hashlib.sha256()

    def answer() -> None:
        call.send(state.digest())
        call.finish()

    call.on_message = state.update
    call.on_half_close = answer


def serve_pour(call: ServerCall) -> None:
    left = 0

    def source(budget: int) -> Sequence[Buffer] | None:
        nonlocal left
        if not left:
            return None
        left -= 1
        return [frame(1 << 20), bytes(1 << 20)]

    def on_message(message: memoryview) -> None:
        nonlocal left
        left = int(bytes(message))
        call.set_source(source)
        call.finish()

    call.on_message = on_message


def serve_metadata(call: ServerCall) -> None:
    call.on_message = lambda _message: call.send(
        repr((call.method, call.get("x-key"), call.get_all("x-key"), call.get("nothing"))).encode()
    )
    call.on_half_close = call.finish


ARRIVED: list[str] = []
CANCELED: list[str] = []


def serve_nothing(call: ServerCall) -> None:
    call.on_cancel = lambda: CANCELED.append(call.get("x-name") or "")
    ARRIVED.append(call.get("x-name") or "")


HANDLERS = {
    "/t.T/Echo": serve_echo,
    "/t.T/Fail": serve_failure,
    "/t.T/FailAtLength": serve_long_failure,
    "/t.T/Sum": serve_sum,
    "/t.T/Pour": serve_pour,
    "/t.T/Metadata": serve_metadata,
    "/t.T/Nothing": serve_nothing,
}


@pytest.fixture(params=["unix", "tcp"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GrpcioClient]:
    with (
        our_server(tmp_path, HANDLERS, tcp=request.param == "tcp") as target,
        grpc.insecure_channel(target, options=BIG) as made,
    ):
        yield GrpcioClient(made)


def test_grpcio_gets_an_answer(client: GrpcioClient) -> None:
    request = os.urandom(LARGE)
    assert client.unary_unary("/t.T/Echo")(b"hello", timeout=30) == b"hello"
    assert digest(client.unary_unary("/t.T/Echo")(request, timeout=30)) == digest(request)


def test_grpcio_streams_to_us(client: GrpcioClient) -> None:
    parts = [os.urandom(size) for size in (0, 1, 100_000, 3 << 20, 5)]
    answer = client.stream_unary("/t.T/Sum")(iter(parts), timeout=30)
    assert answer == digest(b"".join(parts))


def test_grpcio_gets_a_stream_from_us_and_its_end_after_it(client: GrpcioClient) -> None:
    messages = list(client.unary_stream("/t.T/Pour")(b"60", timeout=30))
    assert [len(message) for message in messages] == [1 << 20] * 60


def test_grpcio_and_we_stream_both_ways(client: GrpcioClient) -> None:
    sent = [b"%d" % number * (number % 50) for number in range(2000)]
    assert list(client.stream_stream("/t.T/Echo")(iter(sent), timeout=30)) == sent


def test_grpcio_reads_our_status_message_and_details(client: GrpcioClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.unary_unary("/t.T/Fail")(b"", timeout=30)
    error = caught.value
    assert isinstance(error, grpc.Call)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "no \u20ac: 100%"
    assert ("grpc-status-details-bin", b"\x08\x05") in tuple(error.trailing_metadata())


def test_grpcio_reads_our_long_trailers(client: GrpcioClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.unary_unary("/t.T/FailAtLength")(b"", timeout=30)
    error = caught.value
    assert isinstance(error, grpc.Call)
    assert error.details() == "failed to solve"
    assert ("grpc-status-details-bin", bytes(500_000)) in tuple(error.trailing_metadata())


def test_grpcio_hears_that_a_method_is_unknown(client: GrpcioClient) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.unary_unary("/t.T/What")(b"", timeout=30)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_our_handlers_read_metadata(client: GrpcioClient) -> None:
    answer = client.unary_unary("/t.T/Metadata")(
        b"", metadata=(("x-key", "a"), ("x-key", "b")), timeout=20
    )
    assert answer == b"('/t.T/Metadata', 'a', ['a', 'b'], None)"


def poll_until(condition: list[str], name: str) -> bool:
    deadline = time.monotonic() + 30
    pause = threading.Event()
    while name not in condition and time.monotonic() < deadline:
        pause.wait(0.005)
    return name in condition


def test_our_handler_hears_that_grpcio_canceled(client: GrpcioClient) -> None:
    name = os.urandom(8).hex()
    call = client.stream_stream("/t.T/Nothing")(iter([b"x"]), metadata=(("x-name", name),))
    call.cancel()  # type: ignore[no-untyped-call]
    other = client.unary_unary("/t.T/Nothing").future(b"", metadata=(("x-name", name + "2"),))
    assert poll_until(ARRIVED, name + "2")
    other.cancel()  # type: ignore[no-untyped-call]
    assert poll_until(CANCELED, name + "2")


def test_our_handler_hears_that_the_deadline_of_grpcio_passed(client: GrpcioClient) -> None:
    name = os.urandom(8).hex()
    for timeout in (0.1, 1, 10):  # a call whose time is over before it is sent never arrives
        with pytest.raises(grpc.RpcError) as caught:
            client.unary_unary("/t.T/Nothing")(b"", metadata=(("x-name", name),), timeout=timeout)
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        if name in ARRIVED:
            break
    assert poll_until(CANCELED, name)


def test_our_handler_hears_that_the_connection_is_gone(loop: Loop) -> None:
    left, right = socket.socketpair()
    canceled: list[str] = []
    closed: list[WireError | None] = []

    def serve(call: ServerCall) -> None:
        call.on_cancel = lambda: canceled.append("canceled")
        ours.close()

    server = Server(loop, Plain(right), {"/t.T/Nothing": serve})
    server.on_close = closed.append
    ours = Channel(loop, Plain(left))
    outcome = Outcome()
    outcome.start(ours, "/t.T/Nothing")
    assert loop.run(lambda: bool(closed), 30)
    assert canceled == ["canceled"]
    assert isinstance(closed[0], ConnectionLost)
    assert server.closed


def test_closing_a_server_cancels_its_calls_and_says_good_bye(loop: Loop) -> None:
    left, right = socket.socketpair()
    canceled: list[str] = []
    closed: list[WireError | None] = []

    def serve(call: ServerCall) -> None:
        call.on_cancel = lambda: canceled.append("canceled")
        loop.call_soon(ours.close)

    ours = Server(loop, Plain(right), {"/t.T/Nothing": serve})
    ours.on_close = closed.append
    channel = Channel(loop, Plain(left))
    outcome = Outcome()
    outcome.start(channel, "/t.T/Nothing")
    assert loop.run(lambda: outcome.over, 30)
    assert canceled == ["canceled"]
    assert closed == [None]
    assert isinstance(outcome.error, ConnectionLost)
    assert channel.closed
