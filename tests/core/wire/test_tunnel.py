"""A server inside a call: grpcio carries the outer call, and is the client inside."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.wire.peers import BIG, GrpcioClient, connect, grpcio_server
from dockyard.wire.codec import CodecError
from dockyard.wire.errors import ConnectionLost, PeerError, WireError
from dockyard.wire.grpc import Channel, Code, Server, ServerCall, frame
from dockyard.wire.loop import Loop
from dockyard.wire.transport import Buffer
from dockyard.wire.tunnel import PIECE, serve_in_call, unwrap, wrap

SESSION = "/moby.buildkit.v1.Control/Session"


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def bytes_message(data: bytes) -> bytes:
    return b"\x0a" + varint(len(data)) + data


class Daemon:
    """The daemon's part: a session method that joins the call to an accepted connection.

    Whoever connects to ``path`` is the client inside, as BuildKit is.
    """

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "inner.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.settimeout(30)
        self.metadata: list[tuple[str, str | bytes]] = []
        self.sizes: list[int] = []
        self.ended = threading.Event()

    def session(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self.metadata = [(key, value) for key, value in context.invocation_metadata()]
        sock, _address = self.listener.accept()

        def to_client() -> None:
            with contextlib.suppress(grpc.RpcError, OSError):
                for request in requests:
                    data = bytes(unwrap(memoryview(request)))
                    self.sizes.append(len(data))
                    sock.sendall(data)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            self.ended.set()

        reader = threading.Thread(target=to_client)
        reader.start()
        yield b""  # an empty message says nothing
        with sock:
            while data := sock.recv(32 << 10):
                yield bytes_message(data)

    @staticmethod
    def garbage(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield b"\x0a\xff"

    @staticmethod
    def http1(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield bytes_message(b"GET / HTT")
        yield bytes_message(b"P/1.1\r\nHost: x\r\n\r\n")

    @staticmethod
    def refused(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.abort(grpc.StatusCode.ALREADY_EXISTS, "session exists")
        yield b""

    @staticmethod
    def short(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        return iter(())

    def methods(self) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        kind = grpc.stream_stream_rpc_method_handler
        return {
            SESSION: kind(self.session),
            "/t.T/Garbage": kind(self.garbage),
            "/t.T/Http1": kind(self.http1),
            "/t.T/Refused": kind(self.refused),
            "/t.T/Short": kind(self.short),
        }


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.listener.close()


@pytest.fixture
def outer(loop: Loop, daemon: Daemon, tmp_path: Path) -> Iterator[Channel]:
    with grpcio_server(tmp_path, daemon.methods()) as path:
        channel = Channel(loop, connect(path))
        yield channel
        channel.close()


@pytest.fixture
def inner(daemon: Daemon) -> Iterator[GrpcioClient]:
    with grpc.insecure_channel(f"unix:{daemon.path}", options=BIG) as channel:
        yield GrpcioClient(channel)


def echo(call: ServerCall) -> None:
    call.on_message = call.send
    call.on_half_close = call.finish


def fail(call: ServerCall) -> None:
    call.finish(Code.NOT_FOUND, "no access allowed to dir", bytes(300_000))


def mistake(call: ServerCall) -> None:
    raise LookupError("a mistake in a handler")


HANDLERS = {"/t.T/Echo": echo, "/t.T/Fail": fail, "/t.T/Mistake": mistake}


def in_background(loop: Loop, work: Callable[[], object]) -> object:
    """Do what blocks in another thread while the loop serves."""
    done: list[tuple[object, BaseException | None]] = []
    loop.in_thread(work, lambda result, error: done.append((result, error)))
    assert loop.run(lambda: bool(done), 30)
    result, error = done[0]
    if error is not None:
        raise error
    return result


def run_until(loop: Loop, condition: Callable[[], bool]) -> bool:
    """Run the loop until something is true that no event of the loop tells of."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if loop.run(condition, 0.02):
            return True
    return False


def test_calls_are_served_inside_a_call(
    loop: Loop, outer: Channel, inner: GrpcioClient, daemon: Daemon
) -> None:
    closed: list[WireError | None] = []
    server = serve_in_call(
        loop, outer, SESSION, [("X-Session", "1")], HANDLERS, on_close=closed.append
    )
    request = os.urandom(5 << 20)
    call = inner.unary_unary("/t.T/Echo")
    assert in_background(loop, lambda: call(b"hello", timeout=30)) == b"hello"
    assert in_background(loop, lambda: call(request, timeout=30)) == request
    assert ("x-session", "1") in daemon.metadata
    assert max(daemon.sizes) < 2 * PIECE
    server.close()
    server.close()
    assert closed == [None]
    assert server.closed
    assert run_until(loop, daemon.ended.is_set)


def test_health_passes_while_much_is_sent_inside(
    loop: Loop, outer: Channel, inner: GrpcioClient
) -> None:
    sizes: list[int] = []
    sent = answered = 0

    def pour(call: ServerCall) -> None:
        call.set_source(source)
        call.finish()

    def source(_budget: int) -> Sequence[Buffer] | None:
        nonlocal sent
        if answered == 5 or sent == 200:
            return None
        sent += 1
        return [frame(1 << 20), bytes(1 << 20)]

    def receive() -> int:
        sizes.extend(map(len, inner.unary_stream("/t.T/Pour")(b"", timeout=55)))
        return len(sizes)

    serve_in_call(loop, outer, SESSION, [], {**HANDLERS, "/t.T/Pour": pour})
    done: list[int | None] = []
    loop.in_thread(receive, lambda result, _error: done.append(result))
    while not done:
        assert (
            in_background(loop, lambda: inner.unary_unary("/t.T/Echo")(b"ok", timeout=30)) == b"ok"
        )
        answered += 1
    assert done == [sent]
    assert set(sizes) == {1 << 20}
    assert answered >= 5


def test_bytes_stream_both_ways_inside(loop: Loop, outer: Channel, inner: GrpcioClient) -> None:
    serve_in_call(loop, outer, SESSION, [], HANDLERS)
    sent = [bytes([number % 256]) * (number * 37 % 9000) for number in range(1500)]
    got = in_background(
        loop, lambda: list(inner.stream_stream("/t.T/Echo")(iter(sent), timeout=30))
    )
    assert got == sent


def test_long_trailers_come_out_of_the_tunnel(
    loop: Loop, outer: Channel, inner: GrpcioClient
) -> None:
    serve_in_call(loop, outer, SESSION, [], HANDLERS)
    with pytest.raises(grpc.RpcError) as caught:
        in_background(loop, lambda: inner.unary_unary("/t.T/Fail")(b"", timeout=30))
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert ("grpc-status-details-bin", bytes(300_000)) in tuple(caught.value.trailing_metadata())


def test_a_mistake_in_a_handler_comes_out_of_the_loop_and_the_tunnel_stands(
    loop: Loop, outer: Channel, inner: GrpcioClient
) -> None:
    server = serve_in_call(loop, outer, SESSION, [], HANDLERS)
    future = inner.unary_unary("/t.T/Mistake").future(b"", timeout=30)
    with pytest.raises(LookupError):
        loop.run(lambda: False, 30)
    assert run_until(loop, future.done)
    answer = in_background(loop, lambda: inner.unary_unary("/t.T/Echo")(b"on", timeout=30))
    assert answer == b"on"
    assert not server.closed


def test_the_end_of_the_outer_channel_ends_the_server_and_cancels_its_calls(
    loop: Loop, outer: Channel, inner: GrpcioClient
) -> None:
    canceled: list[str] = []
    closed: list[WireError | None] = []

    def hang(call: ServerCall) -> None:
        call.on_cancel = lambda: canceled.append("canceled")
        loop.call_soon(outer.close)

    serve_in_call(loop, outer, SESSION, [], {"/t.T/Hang": hang}, on_close=closed.append)
    future = inner.unary_unary("/t.T/Hang").future(b"", timeout=30)
    assert loop.run(lambda: bool(closed), 30)
    assert not future.cancelled()
    assert canceled == ["canceled"]
    assert isinstance(closed[0], ConnectionLost)


@pytest.mark.parametrize(
    ("method", "kind", "words"),
    [
        ("/t.T/Garbage", PeerError, "BytesMessage"),
        ("/t.T/Http1", PeerError, "HTTP/1"),
        ("/t.T/Refused", ConnectionLost, "AlreadyExists: session exists"),
        ("/t.T/Short", ConnectionLost, "ended the call"),
        ("/t.T/Nothing", ConnectionLost, "Unimplemented"),
    ],
)
def test_a_session_that_cannot_be_says_why(
    loop: Loop, outer: Channel, method: str, kind: type[WireError], words: str
) -> None:
    closed: list[WireError | None] = []
    server: Server = serve_in_call(loop, outer, method, [], HANDLERS, on_close=closed.append)
    assert loop.run(lambda: bool(closed), 30)
    assert isinstance(closed[0], kind)
    assert words in str(closed[0])
    assert server.closed
    assert not outer.closed


@given(st.lists(st.binary(max_size=70_000), max_size=12))
def test_wrapped_bytes_come_out_again_in_messages_that_are_not_too_large(
    buffers: list[bytes],
) -> None:
    stream = b"".join(wrap(list(buffers)))
    out = b""
    while stream:
        size = int.from_bytes(stream[1:5], "big")
        assert size < 2 * PIECE + 5
        out += unwrap(memoryview(stream[5 : 5 + size]))
        stream = stream[5 + size :]
    assert out == b"".join(buffers)


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (b"", b""),
        (b"\x0a\x00", b""),
        (b"\x0a\x03abc", b"abc"),
        (b"\x10\x96\x01\x0a\x01x\x1a\x02zz", b"x"),
        (b"\x0a\x01x\x25\0\0\0\0\x29\0\0\0\0\0\0\0\0", b"x"),
    ],
)
def test_a_bytes_message_is_read_and_unknown_fields_are_passed_over(
    message: bytes, data: bytes
) -> None:
    assert unwrap(memoryview(message)) == data


@pytest.mark.parametrize(
    "message",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0b",
        b"\x80" * 11,
        b"\x0a\xff\xff\xff\xff\x7fx",
        b"\x25\0",
        b"\x08",
    ],
)
def test_a_malformed_bytes_message_is_refused(message: bytes) -> None:
    with pytest.raises(CodecError, match="BytesMessage"):
        unwrap(memoryview(message))


@given(st.binary(max_size=60))
def test_no_bytes_message_does_more_than_be_refused(message: bytes) -> None:
    with contextlib.suppress(CodecError):
        assert len(unwrap(memoryview(message))) < len(message) or not message
