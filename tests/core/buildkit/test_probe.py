from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from dockyard.buildkit.client import Client
from dockyard.driver import Connection
from dockyard.engine.stream import SocketStream
from dockyard.errors import ConnectionLostError, DaemonError, ProtocolError
from support.protos import protos

CONTROL = "moby.buildkit.v1"
BRIDGE = "moby.buildkit.v1.frontend"
SECONDS = 20


class Gateway:
    """A daemon that lets the frontend of a build of nothing ask what it can do."""

    def __init__(self) -> None:
        self.capabilities: list[dict[str, Any]] = []
        self.solves: list[dict[str, Any]] = []
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.silent = False
        self.begun = threading.Event()
        self.returned = threading.Event()
        self.over = threading.Event()
        self.canceled = threading.Event()

    def solve(self, request: bytes, call: grpc.ServicerContext) -> bytes:
        self.solves.append(protos().decode(f"{CONTROL}.SolveRequest", request))
        self.begun.set()
        if self.refusal is not None:
            call.abort(*self.refusal)
        call.add_callback(self.canceled.set)
        while call.is_active() and not self.returned.wait(0.01):
            if self.over.is_set():
                break
        return b""

    def ping(self, _request: bytes, call: grpc.ServicerContext) -> bytes:
        if self.silent:
            self.over.wait(SECONDS)
        self.begun.wait(SECONDS)  # as BuildKit waits for the build, too
        (ref,) = [v for k, v in call.invocation_metadata() if k == "buildkit-controlapi-buildid"]
        if self.refusal is not None or ref != self.solves[0]["Ref"]:
            call.abort(grpc.StatusCode.UNKNOWN, f"no such job {ref!r}")
        return protos().encode(f"{BRIDGE}.PongResponse", {"LLBCaps": self.capabilities})

    def give_back(self, _request: bytes, _call: grpc.ServicerContext) -> bytes:
        self.returned.set()
        return b""


@contextmanager
def asking(gateway: Gateway) -> Iterator[Client]:
    def method(behaviour: Any) -> grpc.RpcMethodHandler[Any, Any]:  # noqa: ANN401
        return grpc.unary_unary_rpc_method_handler(behaviour)

    services = {
        f"{CONTROL}.Control": {"Solve": method(gateway.solve)},
        f"{BRIDGE}.LLBBridge": {"Ping": method(gateway.ping), "Return": method(gateway.give_back)},
    }
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        for name, handlers in services.items():
            handler = grpc.method_handlers_generic_handler(name, handlers)
            server.add_generic_rpc_handlers((handler,))
        path = Path(folder) / "s"
        server.add_insecure_port(f"unix:{path}")
        server.start()
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(path))
        client = Client(Connection(stream=SocketStream(made)))
        try:
            yield client
        finally:
            gateway.over.set()
            client.close()
            server.stop(0).wait(30)


def test_a_daemon_is_asked_once_and_by_a_build_that_leaves_no_record() -> None:
    gateway = Gateway()
    gateway.capabilities = [
        {"ID": "cache.s3", "Enabled": True},
        {"ID": "mergeop", "Enabled": False},
        {"ID": "exporter.multiple", "Enabled": True, "Deprecated": True},
    ]

    with asking(gateway) as client:
        assert client.capabilities() == {"cache.s3", "exporter.multiple"}
        assert client.capabilities() is client.capabilities()

    (request,) = gateway.solves
    assert request["Internal"] is True
    assert "Frontend" not in request
    assert "Definition" not in request
    assert gateway.returned.is_set()


def test_a_daemon_that_refuses_the_build_says_why() -> None:
    gateway = Gateway()
    gateway.refusal = (grpc.StatusCode.PERMISSION_DENIED, "not for you")

    with asking(gateway) as client, pytest.raises(DaemonError, match="not for you|no such job"):
        client.capabilities()


def test_a_daemon_that_does_not_answer_is_waited_for_only_so_long() -> None:
    gateway = Gateway()
    gateway.silent = True

    with asking(gateway) as client:
        with pytest.raises(DaemonError) as caught:
            client.capabilities(timeout=0.2)
        assert caught.value.code == "DeadlineExceeded"
        client.loop.run(lambda: gateway.canceled.is_set(), timeout=1)
        gateway.over.set()


def test_a_daemon_that_names_too_many_makes_no_sense() -> None:
    gateway = Gateway()
    gateway.capabilities = [{"ID": str(number), "Enabled": True} for number in range(1001)]

    with asking(gateway) as client, pytest.raises(ProtocolError, match="more capabilities"):
        client.capabilities()


def test_a_connection_that_is_cut_is_lost() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    client = Client(Connection(stream=SocketStream(ours)))

    with pytest.raises(ConnectionLostError):
        client.capabilities(timeout=5)
    client.close()
