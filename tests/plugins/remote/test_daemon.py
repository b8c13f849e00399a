"""Asking, awaiting and connecting: a real daemon, and peers that are none."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.buildkit.client import Client
from dockyard.cancellation import Cancellation
from dockyard.driver import Node, State
from dockyard.errors import (
    BootstrapError,
    CanceledError,
    ConnectError,
    EndpointError,
    OptionError,
)
from dockyard_remote import daemon as module
from dockyard_remote import plugin
from support.peer import answering, closing, silent
from support.port import free_port
from support.remote_buildkit import Relay

from .conftest import (
    PATIENCE,
    SETTLING_SECONDS,
    MakeNode,
    Memory,
    StartRelay,
    nothing_left,
    peer,
)

HTTP1 = answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
STRANGE_H2 = b"\0\0\0\x04\0\0\0\0\0"
GOODBYE = STRANGE_H2 + b"\0\0\x08\x07\0\0\0\0\0" + bytes(8)
REFUSAL = STRANGE_H2 + b"\0\0\x01\x01\x05\0\0\0\x01\x88"
WEB_PAGE = STRANGE_H2 + b"\0\0\x01\x01\x04\0\0\0\x01\x88" + b"\0\0\x06\0\0\0\0\0\x01<html>"


def saying(words: bytes) -> Callable[[socket.socket], None]:
    """Say the words at once, then listen until the other side goes."""

    def run(connection: socket.socket) -> None:
        connection.sendall(words)
        silent(connection)

    return run


STRANGERS = {
    "HTTP/1": (HTTP1, "it speaks HTTP/1, not gRPC"),
    "hangs up": (closing, "it hung up without a word"),
    "TLS alert": (answering(b"\x15\x03\x01\0\x02\x02\x46"), "it expects TLS"),
    "greets like mail": (saying(b"220 mail.example ESMTP ready\r\n"), "what it says is no HTTP/2"),
    "says goodbye": (saying(GOODBYE), "it says goodbye"),
    "other gRPC": (saying(REFUSAL), "it speaks HTTP/2, but does not answer as BuildKit does"),
    "web page": (saying(WEB_PAGE), "it speaks HTTP/2, but does not answer as BuildKit does"),
    "huge frame": (saying(STRANGE_H2 + b"\xff" * 9), "what it says is no HTTP/2"),
}


def connected(node: Node) -> Client:
    return Client(plugin.dockyard_connect(node, Cancellation()))


# --- a real daemon -------------------------------------------------------------------------


@pytest.mark.parametrize("unix", [True, False], ids=["unix", "tcp"])
def test_a_daemon_that_answers_runs(relay: StartRelay, make_node: MakeNode, unix: bool) -> None:
    node = make_node(relay(unix=unix).endpoint)

    with nothing_left():
        assert plugin.dockyard_status(node).state is State.RUNNING


@pytest.mark.usefixtures("unhurried")
def test_before_a_build_one_connection_is_enough(
    relay: StartRelay, make_node: MakeNode, memory: Memory
) -> None:
    listener = relay(unix=True)
    node = make_node(listener.endpoint)

    with nothing_left():
        plugin.dockyard_bootstrap(node, memory, Cancellation())
        client = connected(node)
        assert client.workers()
        client.close()

    assert listener.accepted == 1
    assert not memory.steps


@pytest.mark.usefixtures("unhurried")
def test_a_kept_connection_that_broke_is_replaced(
    relay: StartRelay, make_node: MakeNode, memory: Memory
) -> None:
    listener = relay(unix=True)
    node = make_node(listener.endpoint)
    plugin.dockyard_bootstrap(node, memory, Cancellation())
    kept = node.cache["opened"]
    kept._stream._socket.shutdown(socket.SHUT_RDWR)

    client = connected(node)
    assert client.workers()
    client.close()

    assert listener.accepted == 2


def test_a_kept_connection_is_closed_with_its_node(
    relay: StartRelay, make_node: MakeNode, memory: Memory
) -> None:
    listener = relay(unix=True)

    with nothing_left():
        node = make_node(listener.endpoint)
        plugin.dockyard_bootstrap(node, memory, Cancellation())
        del node


# --- peers that are no daemon --------------------------------------------------------------


@pytest.mark.parametrize("kind", STRANGERS)
def test_who_is_no_daemon_is_inactive_and_told_apart(make_node: MakeNode, kind: str) -> None:
    script, words = STRANGERS[kind]

    with nothing_left(), peer(script) as endpoint:
        found = plugin.dockyard_status(make_node(endpoint))

    assert (found.state, found.reason) == (State.INACTIVE, words)


@pytest.mark.parametrize("kind", ["HTTP/1", "hangs up", "TLS alert", "greets like mail"])
def test_who_is_no_daemon_cannot_be_connected_to(make_node: MakeNode, kind: str) -> None:
    script, words = STRANGERS[kind]

    with nothing_left(), peer(script) as endpoint, pytest.raises(ConnectError) as caught:
        plugin.dockyard_connect(make_node(endpoint), Cancellation())

    assert str(caught.value) == f"failed to connect to BuildKit at {endpoint}: {words}"
    assert caught.value.hint
    assert "cacert" in caught.value.hint


def test_a_silent_peer_is_given_up(make_node: MakeNode) -> None:
    with nothing_left(), peer(silent) as endpoint:
        started = time.monotonic()
        found = plugin.dockyard_status(make_node(endpoint))
        seconds = time.monotonic() - started

    assert (found.state, found.reason) == (State.INACTIVE, "no answer within 5 s")
    assert seconds < 10


def test_a_daemon_that_waits_to_be_greeted_is_one(relay: StartRelay, make_node: MakeNode) -> None:
    real = relay(unix=True).endpoint.removeprefix("unix://")

    def shy(connection: socket.socket) -> None:
        greeting = connection.recv(1 << 16)
        with socket.socket(socket.AF_UNIX) as daemon:
            daemon.connect(real)
            daemon.sendall(greeting)
            answers = threading.Thread(target=_copy, args=(daemon, connection))
            answers.start()
            _copy(connection, daemon)
            daemon.shutdown(socket.SHUT_RDWR)
            answers.join(SETTLING_SECONDS)

    with nothing_left(), peer(shy) as endpoint:
        client = connected(make_node(endpoint))
        assert client.workers()
        client.close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        return


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("unix:///nowhere/s", "no such file or directory"),
        ("tcp://127.0.0.1:1", "connection refused"),
        ("tcp://no-such-host.invalid:1", "not known|no address|failure in name resolution"),
        ("podman-container://bk", "the program podman is not installed"),
    ],
)
def test_nobody_there_is_inactive(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch, endpoint: str, words: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with nothing_left():
        found = plugin.dockyard_status(make_node(endpoint))

    assert found.state is State.INACTIVE
    assert re.search(words, found.reason), found.reason


def test_a_program_s_own_words_are_told(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "podman"
    program.write_text("#!/bin/sh\necho 'no container with name bk' >&2\nexit 125\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr("dockyard.engine.stream._LISTEN_SECONDS", PATIENCE)

    with nothing_left(), pytest.raises(ConnectError) as caught:
        plugin.dockyard_connect(make_node("podman-container://bk"), Cancellation())

    assert str(caught.value) == (
        "failed to connect to BuildKit at podman-container://bk: "
        "podman failed: no container with name bk"
    )


def test_mistakes_are_errors_and_no_states(make_node: MakeNode) -> None:
    with pytest.raises(EndpointError, match="the port is missing"):
        plugin.dockyard_status(make_node("tcp://build"))
    with pytest.raises(OptionError, match="^tls enabled, but missing keys cacert$"):
        plugin.dockyard_status(make_node("tcp://build:1", servername="x"))
    with pytest.raises(OptionError, match="^tls enabled, but missing keys servername$"):
        plugin.dockyard_status(make_node("unix:///s", cacert="/x"))


# --- waiting -------------------------------------------------------------------------------


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for seconds only; a try that has begun gets all the time that it may need."""
    monkeypatch.setattr(module, "BOOT_SECONDS", 2.0)
    monkeypatch.setattr(module, "_LEAST_SECONDS", PATIENCE)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", ["HTTP/1", "hangs up", "TLS alert", "greets like mail"])
def test_the_wait_ends_with_what_was_last_seen(
    make_node: MakeNode, memory: Memory, kind: str
) -> None:
    script, words = STRANGERS[kind]

    with nothing_left(), peer(script) as endpoint, pytest.raises(BootstrapError) as caught:
        plugin.dockyard_bootstrap(make_node(endpoint), memory, Cancellation())

    assert str(caught.value) == f"BuildKit at {endpoint} did not answer within 2 s: {words}"
    (step,) = memory.steps
    assert step.name == "[internal] waiting for connection"
    assert step.failed
    assert step.words == [words]


@pytest.mark.usefixtures("hurried")
def test_a_refusal_is_waited_out_and_told(make_node: MakeNode, memory: Memory) -> None:
    with nothing_left(), pytest.raises(BootstrapError, match="within 2 s: connection refused$"):
        plugin.dockyard_bootstrap(make_node("tcp://127.0.0.1:1"), memory, Cancellation())

    assert memory.steps[0].words == ["connection refused"]


def test_what_waiting_does_not_cure_is_told_at_once(
    make_node: MakeNode, memory: Memory, tmp_path: Path
) -> None:
    node = make_node("tcp://127.0.0.1:1", cacert=str(tmp_path / "none.pem"))
    started = time.monotonic()

    with nothing_left(), pytest.raises(BootstrapError, match="could not use cacert .*none.pem"):
        plugin.dockyard_bootstrap(node, memory, Cancellation())

    assert time.monotonic() - started < 5


def test_a_daemon_that_comes_up_meanwhile_is_found(
    relay: StartRelay, make_node: MakeNode, memory: Memory
) -> None:
    port = free_port()
    node = make_node(f"tcp://127.0.0.1:{port}")
    started: list[Relay] = []

    def come_up() -> None:
        assert memory.heard.wait(60)
        started.append(relay(port=port))

    late = threading.Thread(target=come_up)
    late.start()
    plugin.dockyard_bootstrap(node, memory, Cancellation())
    late.join()

    (step,) = memory.steps
    assert step.words == ["connection refused"]
    assert not step.failed
    client = connected(node)
    assert client.workers()
    client.close()


def test_the_wait_can_be_canceled(make_node: MakeNode, memory: Memory) -> None:
    cancel = Cancellation()
    started = time.monotonic()

    def give_up() -> None:
        assert memory.heard.wait(60)
        cancel.cancel()

    thread = threading.Thread(target=give_up)
    thread.start()
    with nothing_left(), pytest.raises(CanceledError):
        plugin.dockyard_bootstrap(make_node("tcp://127.0.0.1:1"), memory, cancel)
    thread.join()

    assert time.monotonic() - started < 10  # it waits for 20


def test_a_node_that_did_not_answer_is_asked_again_before_it_counts_as_up(
    make_node: MakeNode, memory: Memory, hurried: None
) -> None:
    """A proxy whose daemon is down greets as HTTP/2 does, and that is all it can do."""
    with peer(saying(REFUSAL)) as endpoint:
        node = make_node(endpoint)
        assert plugin.dockyard_status(node).state is State.INACTIVE

        with pytest.raises(BootstrapError, match="does not answer as BuildKit does"):
            plugin.dockyard_bootstrap(node, memory, Cancellation())


def test_a_last_try_gets_time_enough_to_be_told_why(
    make_node: MakeNode, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    monkeypatch.setattr(module, "BOOT_SECONDS", 0.0)
    monkeypatch.setattr(module, "question", lambda _target, seconds, _cancel: given.append(seconds))
    node = make_node("tcp://127.0.0.1:1")
    node.cache["doubted"] = True

    plugin.dockyard_bootstrap(node, memory, Cancellation())

    assert given == [1.0]


def test_silence_is_noticed_by_tcp_itself(relay: StartRelay, make_node: MakeNode) -> None:
    connection = plugin.dockyard_connect(make_node(relay().endpoint), Cancellation())
    sock = connection.stream._socket  # type: ignore[attr-defined]

    def option(name: str) -> int:
        number: int = getattr(socket, name)
        value: int = sock.getsockopt(socket.IPPROTO_TCP, number)
        return value

    try:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        asked = option("TCP_KEEPIDLE") + option("TCP_KEEPINTVL") * option("TCP_KEEPCNT")
        assert asked <= 20
        assert option("TCP_USER_TIMEOUT") == 20_000
        assert connection.authority.startswith("127.0.0.1:")
    finally:
        connection.close()


def test_stop_and_rm_leave_the_daemon_alone() -> None:
    assert plugin.dockyard_stop() is not None
    assert plugin.dockyard_rm().what == ()
