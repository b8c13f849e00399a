"""A daemon for the tests: grpcio as the client of our session, on a real stream of either kind.

grpcio cannot adopt a stream, so it dials a unix socket, and a relay copies between that and the
stream: the session's own, or the messages of ``Control.Session`` on a grpcio server.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import grpc

from dockyard.buildkit.client import Client
from dockyard.driver import ByteStream, Connection, Headers
from dockyard.engine.stream import SocketStream
from dockyard.session.service import Attachable
from dockyard.session.session import Session
from dockyard.wire.grpc import Handler
from dockyard.wire.loop import Loop
from support.protos import protos

T = TypeVar("T")

OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_metadata_size", 1 << 20),
    ("grpc.enable_http_proxy", 0),
]
SECONDS = 30
"""For so long it is waited for what comes soon on an idle machine."""
_TURNS = 10
BYTES = "moby.filesync.v1.BytesMessage"


class Daemon:
    """Calls a session that was opened on one of its streams."""

    def __init__(self, folder: Path, *, tunnel: bool) -> None:
        self._stack = ExitStack()
        self._address = f"unix:{folder / 'session.sock'}"
        self._listener = _listen(folder / "session.sock")
        self._stack.callback(self._listener.close)
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._calls: list[object] = []
        self._connected = threading.Event()
        self.headers: Headers = ()
        self.tunnel_ended = threading.Event()
        connection = self._serve_control(folder) if tunnel else self._silent()
        self.client = Client(connection)
        self.channel = grpc.insecure_channel(self._address, options=OPTIONS)

    def run(self, work: Callable[[], T], timeout: float = 45) -> T:
        """Do the daemon's work in a thread while the client's loop runs."""
        results: list[T] = []
        errors: list[BaseException] = []

        def job() -> None:
            try:
                results.append(work())
            except BaseException as error:  # noqa: BLE001  # raised again by the test's thread
                errors.append(error)
            self.client.loop.call_soon(lambda: None)

        thread = threading.Thread(target=job, daemon=True)
        thread.start()
        assert self.client.loop.run(
            lambda: not thread.is_alive() or bool(results or errors), timeout
        )
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def unary(self, method: str, request: bytes, timeout: float = 30) -> bytes:
        """Make a call of one message each way; raises ``grpc.RpcError``."""
        call = self.channel.unary_unary(method, _same, _same)
        answer = self.run(lambda: call(request, timeout=timeout, wait_for_ready=True))
        assert isinstance(answer, bytes)
        return answer

    def ask(self, method: str, request: tuple[str, dict[str, Any]], answer: str) -> dict[str, Any]:
        """Make a call with messages that protobuf's own runtime encodes."""
        return protos().decode(answer, self.unary(method, protos().encode(*request)))

    def stream(
        self,
        method: str,
        metadata: Sequence[tuple[str, str]] = (),
        requests: Iterator[bytes] | Sequence[bytes] = (),
    ) -> list[bytes]:
        """Make a call of many messages each way and give all that came back."""
        return self.run(lambda: list(self.start(method, metadata, iter(requests))))

    def start(
        self, method: str, metadata: Sequence[tuple[str, str]], requests: Iterator[bytes]
    ) -> Any:  # noqa: ANN401  # grpcio has no types
        """Start such a call; to be used in a thread."""
        call = self.channel.stream_stream(method, _same, _same)
        return call(requests, metadata=tuple(metadata), timeout=30, wait_for_ready=True)

    def later(self, method: str, request: bytes) -> grpc.Future[bytes]:
        """Begin a call of one message each way, from the thread that does the daemon's work."""
        call = self.channel.unary_unary(method, _same, _same)
        future = call.future(request, timeout=30, wait_for_ready=True)
        self._calls.append(future)  # grpcio cancels what nobody holds
        return future

    def break_stream(self) -> None:
        """Let the session's stream break off."""
        assert self._connected.wait(SECONDS)
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.client.close()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.channel.close()  # it waits for what it is writing: by now that has failed
        for thread in self._threads:
            thread.join(SECONDS)
        for end in self._ends:
            end.close()
        self._stack.close()

    # --- a stream of its own -----------------------------------------------------------

    def _silent(self) -> Connection:
        ours, theirs = socket.socketpair()
        self._stack.callback(theirs.close)
        return Connection(stream=SocketStream(ours), open_session=self._open_session)

    def _open_session(self, headers: Headers) -> ByteStream:
        self.headers = headers
        ours, theirs = socket.socketpair()
        self._ends.append(theirs)
        self._thread(lambda: self._bridge(theirs))
        return SocketStream(ours)

    def _bridge(self, theirs: socket.socket) -> None:
        with suppress(OSError):
            dialed, _ = self._listener.accept()
            self._ends.append(dialed)
            self._connected.set()
            self._thread(lambda: _copy(dialed, theirs))
            _copy(theirs, dialed)

    # --- inside a call -----------------------------------------------------------------

    def _serve_control(self, folder: Path) -> Connection:
        pool = ThreadPoolExecutor(4)
        server = grpc.server(pool, options=OPTIONS)
        handler = grpc.stream_stream_rpc_method_handler(self._session_call, _same, _same)
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "moby.buildkit.v1.Control", {"Session": handler}
                ),
            )
        )
        server.add_insecure_port(f"unix:{folder / 'control.sock'}")
        server.start()
        self._stack.callback(pool.shutdown)
        self._stack.callback(lambda: server.stop(None).wait(SECONDS))
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(folder / "control.sock"))
        return Connection(stream=SocketStream(sock))

    def _session_call(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:  # noqa: ANN401
        self.headers = tuple((key, value) for key, value in context.invocation_metadata())
        try:
            dialed, _ = self._listener.accept()
        except OSError:
            return
        self._ends.append(dialed)
        self._connected.set()

        def inwards() -> None:
            with suppress(grpc.RpcError, OSError):
                for message in requests:
                    dialed.sendall(protos().decode(BYTES, message).get("data", b""))
            with suppress(OSError):
                dialed.shutdown(socket.SHUT_RDWR)
            self.tunnel_ended.set()

        self._thread(inwards)
        with suppress(OSError):
            while data := dialed.recv(32 << 10):
                yield protos().encode(BYTES, {"data": data})

    def _thread(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target)
        self._threads.append(thread)
        thread.start()


@contextmanager
def daemon(*, tunnel: bool = False) -> Iterator[Daemon]:
    """Run a daemon until the block ends."""
    with tempfile.TemporaryDirectory(prefix="dy") as folder:
        running = Daemon(Path(folder), tunnel=tunnel)
        try:
            yield running
        finally:
            running.close()


@contextmanager
def serving(*attachables: Attachable, tunnel: bool = False) -> Iterator[tuple[Daemon, Session]]:
    """Run a daemon with a session that is open on it."""
    with daemon(tunnel=tunnel) as running:
        session = Session(attachables=attachables)
        session.open(running.client)
        try:
            yield running, session
        finally:
            session.close()


def assert_leaves_nothing(work: Callable[[], None]) -> None:
    """Check that work that is repeated leaves no descriptor and no thread behind.

    grpcio frees its own descriptors some time later. What is ours would grow with each turn.
    """
    strangers = set(threading.enumerate())  # pytest-xdist and earlier tests have some
    work()
    before = _descriptors()
    for _ in range(_TURNS):
        work()

    assert_ended(strangers)
    deadline = time.monotonic() + SECONDS
    while _descriptors() >= before + _TURNS:
        assert time.monotonic() < deadline, os.listdir("/proc/self/fd")  # noqa: PTH208
        time.sleep(0.01)


def assert_ended(strangers: set[threading.Thread]) -> None:
    """Check that all threads end that were not there before."""
    for thread in set(threading.enumerate()) - strangers:
        thread.join(SECONDS)

    assert set(threading.enumerate()) <= strangers


def assert_workers_ended(strangers: set[threading.Thread]) -> None:
    """Check that the threads end that a client does its work in, but for those of other tests."""
    for thread in set(threading.enumerate()) - strangers:
        if thread.name == "dockyard-worker":
            thread.join(SECONDS)
            assert not thread.is_alive()


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # only the number counts


class Service:
    """An attachable of one method, for tests of what all have in common."""

    def __init__(self, handler: Callable[[Loop], Handler]) -> None:
        self.failed: BaseException | None = None
        self._handler = handler

    def handlers(self, loop: Loop) -> dict[str, Handler]:
        return {"/test.Test/Call": self._handler(loop)}


def _same(data: bytes) -> bytes:
    return data


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
    with suppress(OSError):  # who still writes would wait for ever: nobody reads it any more
        source.shutdown(socket.SHUT_RD)
