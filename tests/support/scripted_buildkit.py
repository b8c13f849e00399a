"""A control service that does what a test says, on grpcio's server and protobuf's runtime.

It shares no code with ours: an independent peer over a real socket.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc

from dockyard.driver import Connection
from dockyard.engine.stream import SocketStream
from support.protos import protos

Values = dict[str, Any]

_PACKAGE = "moby.buildkit.v1"
_SERVICE = f"/{_PACKAGE}.Control/"
_BRIDGE = f"/{_PACKAGE}.frontend.LLBBridge/"


class Refusal(Exception):  # noqa: N818  # what a script says, not what is wrong with it
    """Raised by a script to end a call with a status."""

    def __init__(self, code: grpc.StatusCode, message: str, details: bytes = b"") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = details


class ScriptedBuildKit:
    """A daemon whose answers are the attributes that a test sets.

    ``solve`` and ``status`` are called with the request and an event that is set when the client
    canceled the call or went away. What they raise as :class:`Refusal` becomes the call's status;
    a method whose attribute is None is unimplemented.
    """

    def __init__(self, path: Path) -> None:
        self.solve: Callable[[Values, threading.Event], Values] | None = None
        self.status: Callable[[Values, threading.Event], Iterator[Values]] | None = None
        self.workers: Callable[[], list[Values]] | None = None
        self.info: Callable[[], Values] | None = None
        self.bridge: dict[str, Callable[[Values], Values]] = {}
        """The gateway's methods by name."""
        self.streams: dict[str, Callable[[bytes, grpc.ServicerContext], Iterator[bytes]]] = {}
        """Methods by their full name that answer with any number of messages, as bytes."""
        self.builds: list[str] = []
        """By which build's name each of them was called."""
        self.requests: list[tuple[str, Values]] = []
        self.begun = {name: threading.Event() for name in ("Solve", "Status")}
        """Set once a script is asked. One whose call is canceled before that is never asked."""
        self.canceled = {name: threading.Event() for name in ("Solve", "Status")}
        self.ended = {name: threading.Event() for name in ("Solve", "Status")}
        """Set once the call is over, its status sent."""
        self._path = path
        self._sockets: list[socket.socket] = []
        self._events: list[threading.Event] = []
        self._server = grpc.server(ThreadPoolExecutor(max_workers=8))
        self._server.add_generic_rpc_handlers((_Methods(self),))
        self._server.add_insecure_port(f"unix:{path}")
        self._server.start()

    def connect(self) -> Connection:
        """Connect as a driver does."""
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(self._path))
        self._sockets.append(made)
        return Connection(stream=SocketStream(made))

    def cut(self) -> None:
        """Cut all connections, as a network does."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Stop as a daemon that is told to, without waiting for its builds."""
        self._server.stop(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for event in self._events:
            event.set()
        self.cut()  # the server waits for what it is writing, which perhaps nobody reads
        self._server.stop(None).wait(30)

    def watch(self, method: str, call: grpc.ServicerContext) -> threading.Event:
        """Give an event that tells when the call is gone."""
        gone = threading.Event()
        self._events.append(gone)

        def ended() -> None:
            gone.set()
            if call.code() is None:  # type: ignore[attr-defined]  # missing in the stubs
                self.canceled[method].set()
            self.ended[method].set()

        self.begun[method].set()
        if not call.add_callback(ended):  # it was over before
            ended()
        return gone


class _Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # it has none at run time
    """Turns the daemon's attributes into handlers."""

    def __init__(self, daemon: ScriptedBuildKit) -> None:
        self._daemon = daemon

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        method = details.method.removeprefix(_SERVICE)
        daemon = self._daemon
        if details.method in daemon.streams:
            return grpc.unary_stream_rpc_method_handler(daemon.streams[details.method])
        if details.method.startswith(_BRIDGE):
            return self._bridge(details.method.removeprefix(_BRIDGE))
        if method == "Solve" and daemon.solve is not None:
            return _unary("Solve", self._solve)
        if method == "Status" and daemon.status is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._status,
                request_deserializer=_reader("StatusRequest"),
                response_serializer=_writer("StatusResponse"),
            )
        if method == "ListWorkers" and daemon.workers is not None:
            return _unary("ListWorkers", self._list_workers)
        if method == "Info" and daemon.info is not None:
            return _unary("Info", self._info)
        return None

    def _bridge(self, method: str) -> grpc.RpcMethodHandler[Any, Any] | None:
        daemon = self._daemon
        if method not in daemon.bridge:
            return None

        def answer(request: Values, call: grpc.ServicerContext) -> Values:
            daemon.requests.append((f"bridge.{method}", request))
            metadata = dict(call.invocation_metadata())
            daemon.builds.append(str(metadata.get("buildkit-controlapi-buildid")))
            try:
                return daemon.bridge[method](request)
            except Refusal as refusal:
                _refuse(call, refusal)

        response = "PongResponse" if method == "Ping" else f"{method}Response"
        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=_reader(f"frontend.{method}Request"),
            response_serializer=_writer(f"frontend.{response}"),
        )

    def _solve(self, request: Values, call: grpc.ServicerContext) -> Values:
        daemon = self._daemon
        daemon.requests.append(("Solve", request))
        assert daemon.solve is not None
        try:
            return daemon.solve(request, daemon.watch("Solve", call))
        except Refusal as refusal:
            _refuse(call, refusal)

    def _status(self, request: Values, call: grpc.ServicerContext) -> Iterator[Values]:
        daemon = self._daemon
        daemon.requests.append(("Status", request))
        assert daemon.status is not None
        try:
            yield from daemon.status(request, daemon.watch("Status", call))
        except Refusal as refusal:
            _refuse(call, refusal)

    def _list_workers(self, request: Values, call: grpc.ServicerContext) -> Values:
        self._daemon.requests.append(("ListWorkers", request))
        assert self._daemon.workers is not None
        return {"record": self._daemon.workers()}

    def _info(self, request: Values, call: grpc.ServicerContext) -> Values:
        assert self._daemon.info is not None
        try:
            return self._daemon.info()
        except Refusal as refusal:
            _refuse(call, refusal)


def _refuse(call: grpc.ServicerContext, refusal: Refusal) -> NoReturn:
    if refusal.details:
        call.set_trailing_metadata((("grpc-status-details-bin", refusal.details),))
    call.abort(refusal.code, refusal.message)


def _reader(message: str) -> Callable[[bytes], Values]:
    return lambda data: protos().decode(f"{_PACKAGE}.{message}", data)


def _writer(message: str) -> Callable[[Mapping[str, Any] | bytes], bytes]:
    def write(values: Mapping[str, Any] | bytes) -> bytes:
        if isinstance(values, bytes):
            return values  # a script that wants to send nonsense
        return protos().encode(f"{_PACKAGE}.{message}", values)

    return write


def _unary(
    method: str, behaviour: Callable[[Values, grpc.ServicerContext], Values]
) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(
        behaviour,
        request_deserializer=_reader(f"{method}Request"),
        response_serializer=_writer(f"{method}Response"),
    )
