"""What the tests of the wire talk to: plain sockets, grpcio, h2 in memory, and raw frames."""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import grpc
import h2.config
import h2.connection
import h2.events
import h2.settings

from dockyard.wire import frames
from dockyard.wire.call import frame
from dockyard.wire.carrier import Inbox
from dockyard.wire.client_call import ClientCall
from dockyard.wire.connection import Connection
from dockyard.wire.errors import WireError
from dockyard.wire.fields import Metadata
from dockyard.wire.grpc import Channel, Server
from dockyard.wire.hpack import Encoder, Header
from dockyard.wire.limits import DEFAULT_LIMITS, Limits
from dockyard.wire.loop import Loop
from dockyard.wire.server_call import Handler, ServerCall
from dockyard.wire.transport import Buffer

REQUEST: list[Header] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/test.Test/Echo"),
    (b":authority", b"localhost"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]
RESPONSE: list[Header] = [(b":status", b"200"), (b"content-type", b"application/grpc")]
TRAILERS: list[Header] = [(b"grpc-status", b"0")]


class Plain:
    """A byte stream on a socket; ``most`` bounds what one call sends or receives."""

    def __init__(self, sock: socket.socket, most: int | None = None) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.most = most
        self.sent: list[int] = []

    def fileno(self) -> int:
        return self.sock.fileno()

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        return self.sock.recv_into(buffer, self.most or 0)

    def sendmsg(self, buffers: Sequence[Buffer], /) -> int:
        if self.most is not None:
            buffers = [b"".join(buffers)[: self.most]]
        size = self.sock.sendmsg(buffers)
        self.sent.append(size)
        return size

    def pending(self) -> int:
        return 0

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()


def connect(address: str | tuple[str, int]) -> Plain:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    sock = socket.socket(family)
    sock.connect(address)
    return Plain(sock)


if TYPE_CHECKING:
    GenericHandler = grpc.GenericRpcHandler[bytes, bytes]
else:
    GenericHandler = grpc.GenericRpcHandler


class GenericService(GenericHandler):
    """grpcio's side: methods of bytes, by name."""

    def __init__(self, methods: Mapping[str, grpc.RpcMethodHandler[bytes, bytes]]) -> None:
        self.methods = methods

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        return self.methods.get(str(handler_call_details.method))


class GrpcioClient:
    """grpcio's other side: calls with bytes."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def unary_unary(self, method: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
        return self.channel.unary_unary(method, bytes, bytes)

    def unary_stream(self, method: str) -> grpc.UnaryStreamMultiCallable[bytes, bytes]:
        return self.channel.unary_stream(method, bytes, bytes)

    def stream_unary(self, method: str) -> grpc.StreamUnaryMultiCallable[bytes, bytes]:
        return self.channel.stream_unary(method, bytes, bytes)

    def stream_stream(self, method: str) -> grpc.StreamStreamMultiCallable[bytes, bytes]:
        return self.channel.stream_stream(method, bytes, bytes)


BIG = [
    ("grpc.max_receive_message_length", 17 << 20),
    ("grpc.max_send_message_length", 17 << 20),
    ("grpc.max_metadata_size", 16 << 20),
    ("grpc.absolute_max_metadata_size", 16 << 20),
]


@contextlib.contextmanager
def grpcio_server(
    folder: Path, methods: Mapping[str, grpc.RpcMethodHandler[bytes, bytes]]
) -> Iterator[str]:
    """Run a grpcio server on a unix socket; gives its path."""
    patient = ("grpc.http2.max_ping_strikes", 0)  # however often it is asked for a sign of life
    server = grpc.server(futures.ThreadPoolExecutor(8), options=[*BIG, patient])
    server.add_generic_rpc_handlers((GenericService(methods),))
    path = str(folder / "grpc.sock")
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield path
    finally:
        server.stop(0).wait(30)


@contextlib.contextmanager
def our_server(
    folder: Path,
    handlers: Mapping[str, Handler],
    *,
    tcp: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[str]:
    """Serve with our server, on each connection that is accepted; gives grpcio's target.

    It runs in one thread with one loop. An exception in it fails the test.
    """
    listener = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
    listener.bind(("127.0.0.1", 0) if tcp else str(folder / "ours.sock"))
    listener.listen()
    loop = Loop()
    stopping = threading.Event()
    servers: list[Server] = []
    failures: list[BaseException] = []

    def accept(_event: int) -> None:
        servers.append(Server(loop, Plain(listener.accept()[0]), handlers, limits=limits))

    def run() -> None:
        try:
            loop.run(stopping.is_set)
            for server in servers:
                server.close()
        except BaseException as error:  # noqa: BLE001 (raised in the test's thread)
            failures.append(error)

    def stop() -> None:
        stopping.set()

    loop.register(listener.fileno(), 1, accept)
    thread = threading.Thread(target=run)
    thread.start()
    name = listener.getsockname()
    try:
        yield f"{name[0]}:{name[1]}" if tcp else f"unix:{name}"
    finally:
        loop.call_soon(stop)
        thread.join()
        loop.close()
        listener.close()
    if failures:
        raise failures[0]


class Outcome:
    """Collects what a call brings."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.headers: list[Any] = []
        self.ends: list[WireError | None] = []

    def on_message(self, message: memoryview) -> None:
        self.messages.append(bytes(message))

    @property
    def over(self) -> bool:
        return bool(self.ends)

    @property
    def error(self) -> WireError | None:
        assert len(self.ends) == 1
        return self.ends[0]

    def start(self, channel: Channel, method: str, metadata: Metadata = ()) -> ClientCall:
        call = channel.start(
            method,
            on_message=self.on_message,
            on_end=self.ends.append,
            on_headers=self.headers.append,
            metadata=metadata,
        )
        assert isinstance(call, ClientCall)
        return call


class Feed:
    """Bytes into an engine, like a carrier, in pieces of ``piece`` bytes."""

    def __init__(self, connection: Connection, piece: int = 1 << 20) -> None:
        self.inbox = Inbox(connection, 1 << 20)
        self.piece = piece

    def __call__(self, data: bytes) -> None:
        for start in range(0, len(data), self.piece):
            self.inbox.offer(memoryview(data[start : start + self.piece]))


class Rig:
    """Our engine and h2, joined in memory."""

    def __init__(
        self,
        *,
        client: bool,
        serve: Handler | None = None,
        limits: Limits = DEFAULT_LIMITS,
        settings: Mapping[h2.settings.SettingCodes, int] | None = None,
        piece: int = 1 << 20,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.loop = Loop()
        weakref.finalize(self, self.loop.close)

        def accept() -> ServerCall:
            return ServerCall(self.ours, self.loop, serve or refuse)

        self.ours: Connection = Connection(
            limits=limits, accept=None if client else accept, clock=clock or monotonic
        )
        self.feed = Feed(self.ours, piece)
        self.peer = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=not client, header_encoding=None)
        )
        self.peer.local_settings = h2.settings.Settings(
            client=not client, initial_values=dict(settings or {})
        )
        self.peer.max_inbound_frame_size = self.peer.local_settings.max_frame_size
        # What ours may send in trailers is what BuildKit accepts, not h2's modest default.
        self.peer.decoder.max_header_list_size = 16 << 20
        self.events: list[h2.events.Event] = []
        self.sent = b""  # all that our engine ever sent
        self.heard = b""  # all that it was ever fed
        self.peer.initiate_connection()
        self.pump()

    def pump(self, budget: int = 1 << 20) -> None:
        """Carry bytes to and fro until both are silent."""
        while True:
            out = b"".join(self.ours.pull(budget))
            self.sent += out
            for part in cut(out):  # h2 obeys changed settings from its next call on
                self.events += self.peer.receive_data(part)
            back = self.peer.data_to_send()
            self.heard += back
            self.feed(back)
            if not out and not back:
                return

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def data(self, stream: int = 1) -> bytes:
        return b"".join(e.data for e in self.of(h2.events.DataReceived) if e.stream_id == stream)

    def open(self, headers: list[Header] | None = None) -> tuple[ClientCall, Outcome]:
        outcome = Outcome()
        call = ClientCall(self.ours)
        call.on_message = outcome.on_message
        call.on_end = outcome.ends.append
        call.on_headers = outcome.headers.append
        self.ours.open(call, headers or REQUEST)
        return call, outcome

    def request(self, *, end: bool = False, headers: list[Header] | None = None) -> int:
        number = self.peer.get_next_available_stream_id()
        self.peer.send_headers(number, headers or REQUEST, end_stream=end)
        return number

    def close(self) -> None:
        self.loop.close()


def message(data: bytes) -> bytes:
    """Give a message as it stands in DATA frames."""
    return frame(len(data)) + data


def echo(call: ServerCall) -> None:
    """Answer each message with itself."""
    call.on_message = call.send
    call.on_half_close = call.finish


def refuse(_call: ServerCall) -> None:
    raise AssertionError("a call that the test did not expect")


class RawServerRig:
    """Our engine as a server, and a peer that sends whatever frames it likes."""

    def __init__(
        self, serve: Handler | None = None, limits: Limits = DEFAULT_LIMITS, *, greet: bool = True
    ) -> None:
        self.loop = Loop()
        weakref.finalize(self, self.loop.close)
        self.calls: list[ServerCall] = []
        self.now = 0.0
        self.serve = serve
        self.ours: Connection = Connection(
            limits=limits,
            accept=lambda: ServerCall(self.ours, self.loop, self._serve),
            clock=lambda: self.now,
        )
        self.feed = Feed(self.ours)
        self.encoder = Encoder()
        if greet:
            self.feed(frames.PREFACE + frames.settings([]))
            self.pull()

    def _serve(self, call: ServerCall) -> None:
        self.calls.append(call)
        if self.serve is not None:
            self.serve(call)

    def request(self, number: int = 1, headers: list[Header] | None = None, flags: int = 0) -> None:
        block = self.encoder.encode(headers or REQUEST)
        self.feed(frames.header_block(number, block, 16384, flags))

    def pull(self) -> list[tuple[int, int, int, bytes]]:
        """Give the frames that our engine sends now."""
        return parse(b"".join(self.ours.pull(1 << 24)))


class RawClientRig:
    """Our engine as a client with one call, and a peer that sends whatever frames it likes."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.ours = Connection(limits=limits)
        self.feed = Feed(self.ours)
        self.encoder = Encoder()
        self.outcome = Outcome()
        self.call = self.open(self.outcome)
        self.feed(frames.settings([]))
        self.pull()

    def open(self, outcome: Outcome) -> ClientCall:
        call = ClientCall(self.ours)
        call.on_message = outcome.on_message
        call.on_end = outcome.ends.append
        call.on_headers = outcome.headers.append
        self.ours.open(call, REQUEST)
        return call

    def headers(self, headers: list[Header], number: int = 1, *, end: bool = False) -> None:
        block = self.encoder.encode(headers)
        self.feed(frames.header_block(number, block, 16384, int(end)))

    def pull(self) -> list[tuple[int, int, int, bytes]]:
        return parse(b"".join(self.ours.pull(1 << 24)))


def cut(data: bytes) -> Iterator[bytes]:
    """Cut what an engine sent into frames."""
    if data.startswith(frames.PREFACE):
        yield frames.PREFACE
        data = data.removeprefix(frames.PREFACE)
    while data:
        size = 9 + int.from_bytes(data[:3], "big")
        yield data[:size]
        data = data[size:]


def parse(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Cut what an engine sent into (type, flags, stream, payload)."""
    data = data.removeprefix(frames.PREFACE)
    out = []
    while data:
        high, low, kind, flags, stream = frames.HEADER.unpack_from(data)
        end = 9 + (high << 16 | low)
        assert len(data) >= end
        out.append((kind, flags, stream, data[9:end]))
        data = data[end:]
    return out


def goaway_of(sent: list[tuple[int, int, int, bytes]]) -> tuple[int, str] | None:
    """Give the code and the reason of the GOAWAY among frames, if there is one."""
    for kind, _flags, _stream, payload in sent:
        if kind == frames.GOAWAY:
            return int.from_bytes(payload[4:8], "big"), payload[8:].decode()
    return None
