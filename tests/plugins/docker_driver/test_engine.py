"""Reaching the BuildKit inside an engine: real engines, and peers that are none."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import attrs
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from tools.engine import Engine

from dockyard.cancellation import Cancellation
from dockyard.driver import Feature, Node, State
from dockyard.errors import (
    CanceledError,
    ConnectError,
    EngineError,
    EngineUnreachableError,
)
from dockyard_docker import plugin
from dockyard_docker.engine import has_buildkit, reach
from support.peer import Peers, Script, answering, read_head, silent

from .conftest import MakeNode, client_of

NOT_FOUND = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 29\r\n\r\n"
    b'{"message": "page not found"}'
)
SWITCHING = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0"


# --- real engines --------------------------------------------------------------------------


def test_a_real_engine_has_a_buildkit(engine: Engine, make_node: MakeNode) -> None:
    assert has_buildkit(make_node(engine.host))


def test_a_real_engine_runs_and_tells_its_version(engine: Engine, make_node: MakeNode) -> None:
    status = plugin.dockyard_status(make_node(engine.host))

    assert status.state is State.RUNNING
    expected = "v0.8+unknown" if engine.version.startswith("20.10.24") else engine.version
    assert status.version == expected


def test_bootstrapping_and_connecting_reach_the_workers(
    engine: Engine, make_node: MakeNode
) -> None:
    node = make_node(engine.host)
    plugin.dockyard_bootstrap(node, Cancellation())

    with client_of(node) as client:
        workers = client.workers()

    assert workers[0].platforms


def test_the_old_engine_can_only_load(engine_20: Engine, make_node: MakeNode) -> None:
    with client_of(make_node(engine_20.host)) as client:
        features = plugin.dockyard_features(client.workers())

    assert {feature for feature in Feature if features.has(feature)} == {Feature.AUTO_LOAD}


def test_the_containerd_store_is_recognised_by_its_worker(
    engine_26_containerd: Engine, make_node: MakeNode
) -> None:
    with client_of(make_node(engine_26_containerd.host)) as client:
        features = plugin.dockyard_features(client.workers())

    assert features.has(Feature.DIRECT_PUSH)
    assert features.prefer_image_digest


def test_the_classic_store_has_a_host_gateway(engine_26: Engine, make_node: MakeNode) -> None:
    with client_of(make_node(engine_26.host)) as client:
        features = plugin.dockyard_features(client.workers())

    assert not features.has(Feature.TARBALL)
    assert features.host_gateway is not None


def test_a_session_has_a_connection_of_its_own(engine: Engine, make_node: MakeNode) -> None:
    connection = plugin.dockyard_connect(make_node(engine.host), Cancellation())
    headers = [
        ("X-Docker-Expose-Session-Uuid", "abcdefghijklmnopqrstuvwxy"),
        ("X-Docker-Expose-Session-Sharedkey", ""),
        ("X-Docker-Expose-Session-Grpc-Method", "/grpc.health.v1.Health/Check"),
    ]
    assert connection.open_session is not None

    session = connection.open_session(headers)
    received, buffer = b"", bytearray(1000)
    while len(received) < len(PREFACE):
        try:
            received += buffer[: session.recv_into(buffer)]
        except BlockingIOError:
            continue
    session.close()
    connection.close()

    assert received.startswith(PREFACE)


# --- the connection that is kept -----------------------------------------------------------


@attrs.define
class Counting:
    """Upgrades every connection and counts them."""

    count: int = 0

    def serve(self, connection: socket.socket) -> None:
        read_head(connection)
        self.count += 1
        connection.sendall(SWITCHING)
        silent(connection)


def test_the_probe_s_connection_serves_the_build(
    peers: Peers, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockyard.engine.kept._FRESH_SECONDS", 60.0)  # however busy this machine is
    counting = Counting()
    node = make_node(peers.unix(counting.serve).host)

    plugin.dockyard_supports(node)
    plugin.dockyard_bootstrap(node, Cancellation())
    plugin.dockyard_connect(node, Cancellation()).close()

    assert counting.count == 1
    assert not node.cache


def test_a_second_connection_is_opened_anew(peers: Peers, make_node: MakeNode) -> None:
    counting = Counting()
    node = make_node(peers.unix(counting.serve).host)

    for _ in range(2):
        plugin.dockyard_connect(node, Cancellation()).close()

    assert counting.count == 2


def test_a_kept_connection_that_the_engine_closed_is_replaced(
    peers: Peers, make_node: MakeNode
) -> None:
    counting = Counting()

    def serve(connection: socket.socket) -> None:
        if counting.count:
            counting.serve(connection)
        else:
            counting.count += 1
            answering(SWITCHING)(connection)

    node = make_node(peers.unix(serve).host)
    plugin.dockyard_supports(node)
    while node.cache["opened"].stream.usable:
        os.sched_yield()

    plugin.dockyard_connect(node, Cancellation()).close()

    assert counting.count == 2


def test_a_kept_connection_that_is_too_old_is_replaced(
    peers: Peers, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting()
    node = make_node(peers.unix(counting.serve).host)
    monkeypatch.setattr("dockyard.engine.kept._FRESH_SECONDS", -1)

    plugin.dockyard_supports(node)
    reach(node)

    assert counting.count == 2


# --- engines that are not there, or are none -----------------------------------------------


def test_an_engine_that_is_not_there_is_an_error_everywhere(
    tmp_path: Path, make_node: MakeNode
) -> None:
    node = make_node(f"unix://{tmp_path}/none")
    expected = pytest.raises(
        EngineUnreachableError, match=r"^failed to connect to the docker API at .*no such file"
    )

    with expected:
        plugin.dockyard_supports(node)
    with expected:
        plugin.dockyard_status(node)
    with expected:
        plugin.dockyard_bootstrap(node, Cancellation())
    with expected:
        plugin.dockyard_connect(node, Cancellation())


def test_a_node_without_an_engine_is_refused() -> None:
    node = Node(name="n", driver="docker", endpoint="somewhere")

    with pytest.raises(ConnectError, match="docker driver requires docker API access"):
        plugin.dockyard_connect(node, Cancellation())


def test_an_engine_without_buildkit_is_not_supported(peers: Peers, make_node: MakeNode) -> None:
    node = make_node(peers.unix(answering(NOT_FOUND)).host)

    assert not plugin.dockyard_supports(node).value
    with pytest.raises(EngineError, match="has no BuildKit"):
        plugin.dockyard_connect(node, Cancellation())


@pytest.mark.parametrize("body", [b"[]", b"{", b"{}", b'{"Version": 3}'])
def test_an_engine_that_tells_no_version_is_none(
    peers: Peers, make_node: MakeNode, body: bytes
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    node = make_node(peers.unix(answering(answer)).host)

    with pytest.raises(EngineUnreachableError, match="version"):
        plugin.dockyard_status(node)


def test_a_canceled_connection_is_not_opened(peers: Peers, make_node: MakeNode) -> None:
    cancel = Cancellation()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        cancel.cancel()
        silent(connection)

    with pytest.raises(CanceledError):
        plugin.dockyard_connect(make_node(peers.unix(serve).host), cancel)


# --- engines that take gRPC only directly --------------------------------------------------


def direct_only(connection: socket.socket) -> None:
    """Refuse upgrades, and speak HTTP/2 with whom begins with it."""
    first = connection.recv(1 << 16)
    if not first.startswith(PREFACE):
        connection.sendall(NOT_FOUND)
        return
    peer = H2Connection(H2Configuration(client_side=False))
    peer.initiate_connection()
    while first:
        for event in peer.receive_data(first):
            stream = getattr(event, "stream_id", None)
            if type(event).__name__ == "StreamEnded" and stream is not None:
                peer.send_headers(
                    stream,
                    [
                        (":status", "200"),
                        ("content-type", "application/grpc"),
                        ("grpc-status", "12"),
                        ("grpc-message", "not today"),
                    ],
                    end_stream=True,
                )
        connection.sendall(peer.data_to_send())
        first = connection.recv(1 << 16)


def test_an_engine_that_takes_grpc_directly_is_reached_so(
    peers: Peers, make_node: MakeNode
) -> None:
    node = make_node(peers.unix(direct_only).host)

    assert plugin.dockyard_supports(node).value
    with client_of(node) as client:
        version = client.version()

    assert version is None  # it answered: UNIMPLEMENTED
    connection = plugin.dockyard_connect(node, Cancellation())
    connection.close()
    assert connection.open_session is None


@pytest.mark.parametrize(
    "script",
    [
        answering(NOT_FOUND),
        lambda connection: connection.sendall(NOT_FOUND),
        lambda connection: connection.sendall(b"short") if read_head(connection) else None,
    ],
)
def test_what_does_not_answer_http2_has_no_buildkit(
    peers: Peers, make_node: MakeNode, script: Script
) -> None:
    calls = threading.Semaphore(0)

    def serve(connection: socket.socket) -> None:
        if calls.acquire(blocking=False):
            script(connection)
        else:
            calls.release()
            answering(NOT_FOUND)(connection)

    assert not plugin.dockyard_supports(make_node(peers.unix(serve).host)).value


# --- through ssh ---------------------------------------------------------------------------

FAKE_SSH = """\
#!{python}
import os, socket, threading

engine = socket.socket(socket.AF_UNIX)
engine.connect({path!r})

def up():
    while data := os.read(0, 1 << 16):
        engine.sendall(data)
    engine.shutdown(socket.SHUT_WR)

threading.Thread(target=up, daemon=True).start()
while data := engine.recv(1 << 16):
    os.write(1, data)
"""


def test_a_real_engine_is_reached_through_ssh(
    engine: Engine, make_node: MakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ssh"
    path = engine.host.removeprefix("unix://")
    program.write_text(FAKE_SSH.format(python=sys.executable, path=path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    node = make_node("ssh://me@somewhere")

    assert plugin.dockyard_status(node).state is State.RUNNING
    with client_of(node) as client:
        assert client.connection.diagnostics is not None
        assert client.workers()


# --- the rest ------------------------------------------------------------------------------


def test_stopping_and_removing_leave_the_engine_alone() -> None:
    plugin.dockyard_stop()

    assert plugin.dockyard_rm().what == ()
