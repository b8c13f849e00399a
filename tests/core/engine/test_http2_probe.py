"""Finding out who is at the other end, with grpcio's server as an independent peer."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from dockyard.buildkit.client import Client
from dockyard.cancellation import Cancellation
from dockyard.driver import Connection
from dockyard.engine.http2_probe import NoAnswerError, ask, hear_settings, speaks_http2
from dockyard.engine.stream import SocketStream
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import CanceledError
from support.scripted_buildkit import ScriptedBuildKit

SECONDS = 45
"""For so long it is waited for what comes at once, unless the machine is busy."""
METHOD = "/moby.buildkit.v1.Control/ListWorkers"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
HEADERS = b"\0\0\x01\x01\x04\0\0\0\x01\x88"
LAST_HEADERS = b"\0\0\x01\x01\x05\0\0\0\x01\x88"
MESSAGE = b"\0\0\x05\0\0\0\0\0\x01" + bytes(5)


@pytest.fixture
def daemon() -> Iterator[ScriptedBuildKit]:
    with (
        tempfile.TemporaryDirectory(prefix="hp") as folder,
        ScriptedBuildKit(Path(folder) / "s") as running,
    ):
        running.workers = lambda: [{"ID": "w"}]
        yield running


@pytest.fixture
def pair() -> Iterator[tuple[SocketStream, socket.socket]]:
    ours, theirs = socket.socketpair()
    with theirs, closing(SocketStream(ours)) as stream:
        yield stream, theirs


def stream_to(daemon: ScriptedBuildKit) -> SocketStream:
    stream = daemon.connect().stream
    assert isinstance(stream, SocketStream)
    return stream


def test_a_grpc_server_speaks_http2(daemon: ScriptedBuildKit) -> None:
    with Wait(SECONDS) as wait, closing(stream_to(daemon)) as stream:
        assert speaks_http2(stream, wait)


def test_what_was_heard_is_there_for_who_speaks_next(daemon: ScriptedBuildKit) -> None:
    stream = stream_to(daemon)
    with Wait(SECONDS) as wait:
        hear_settings(stream, wait)

    assert stream.pending() == 9
    with closing(Client(Connection(stream=stream))) as client:
        assert [worker.id for worker in client.workers()] == ["w"]


def test_a_method_that_is_there_answers(daemon: ScriptedBuildKit) -> None:
    with Wait(SECONDS) as wait, closing(stream_to(daemon)) as stream:
        ask(stream, wait, METHOD, "localhost")

    assert [method for method, _ in daemon.requests] == ["ListWorkers"]


def test_a_method_that_is_not_there_does_not(daemon: ScriptedBuildKit) -> None:
    daemon.workers = None

    with (
        Wait(SECONDS) as wait,
        closing(stream_to(daemon)) as stream,
        pytest.raises(NoAnswerError, match="does not answer as BuildKit does"),
    ):
        ask(stream, wait, METHOD, "localhost")


def test_a_long_name_is_no_malformed_request(daemon: ScriptedBuildKit) -> None:
    with Wait(SECONDS) as wait, closing(stream_to(daemon)) as stream:
        ask(stream, wait, METHOD, "long." * 60)


@pytest.mark.parametrize(
    "answer",
    [
        SETTINGS + HEADERS + MESSAGE,
        b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64" + HEADERS + MESSAGE,
        SETTINGS + b"\0\0\x08\x06\0\0\0\0\0" + bytes(8) + HEADERS + MESSAGE,
        SETTINGS + HEADERS + b"\0\0\x01\0\0\0\0\0\x01\0",
    ],
    ids=["plain", "settings with values", "a ping between", "a message's first byte"],
)
def test_an_answer_may_come_byte_by_byte(
    pair: tuple[SocketStream, socket.socket], answer: bytes
) -> None:
    stream, peer = pair

    def dribble() -> None:
        for byte in answer:
            peer.sendall(bytes([byte]))

    thread = threading.Thread(target=dribble)
    thread.start()
    with Wait(SECONDS) as wait:
        ask(stream, wait, METHOD, "localhost")
    thread.join()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "it hung up without a word"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks HTTP/1, not gRPC"),
        (b"\x15\x03\x03\0\x02\x02\x50", "it expects TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what it says is no HTTP/2"),
        (SETTINGS[:5], "what it says is no HTTP/2"),
        (SETTINGS, "it hung up before it answered"),
        (SETTINGS + HEADERS[:4], "it hung up before it answered"),
        (SETTINGS + b"\0\0\x08\x07\0\0\0\0\0" + bytes(8), "it says goodbye"),
        (SETTINGS + b"\xff\xff\xff\x00\0\0\0\0\x01", "what it says is no HTTP/2"),
        (SETTINGS + LAST_HEADERS, "does not answer as BuildKit does"),
        (SETTINGS + b"\0\0\x04\x03\0\0\0\0\x01" + bytes(4), "does not answer as BuildKit does"),
        (
            SETTINGS + HEADERS + b"\0\0\x06\0\0\0\0\0\x01<html>",
            "does not answer as BuildKit does",
        ),
    ],
)
def test_others_are_told_apart(
    pair: tuple[SocketStream, socket.socket], answer: bytes, words: str
) -> None:
    stream, peer = pair
    peer.sendall(answer)
    peer.shutdown(socket.SHUT_WR)

    with Wait(SECONDS) as wait, pytest.raises(NoAnswerError, match=words):
        ask(stream, wait, METHOD, "localhost")


def test_listening_tells_strangers_apart_as_well(
    pair: tuple[SocketStream, socket.socket],
) -> None:
    stream, peer = pair
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with Wait(SECONDS) as wait, pytest.raises(NoAnswerError, match="it speaks HTTP/1, not gRPC"):
        hear_settings(stream, wait)


def test_silence_is_not_waited_out(pair: tuple[SocketStream, socket.socket]) -> None:
    with Wait(0.1) as wait, pytest.raises(OutOfTimeError):
        hear_settings(pair[0], wait)
    with Wait(0.1) as wait, pytest.raises(OutOfTimeError):
        ask(pair[0], wait, METHOD, "localhost")


def test_asking_can_be_canceled(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, peer = pair
    cancel = Cancellation()

    def cancel_when_asked() -> None:
        peer.recv(1)
        cancel.cancel()

    thread = threading.Thread(target=cancel_when_asked)
    thread.start()
    with Wait(SECONDS, cancel) as wait, pytest.raises(CanceledError):
        ask(stream, wait, METHOD, "localhost")
    thread.join()


def test_a_peer_that_never_stops_talking_is_not_listened_to_for_ever(
    pair: tuple[SocketStream, socket.socket],
) -> None:
    stream, theirs = pair
    pings = b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)

    def talk() -> None:
        with suppress(OSError):
            theirs.sendall(SETTINGS)
            while True:
                theirs.sendall(pings * 1000)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        with Wait(0.3) as wait, pytest.raises(OutOfTimeError):
            ask(stream, wait, METHOD, "localhost")
    finally:
        stream.close()
        thread.join()
