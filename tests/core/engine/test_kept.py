"""Streams that are kept for whoever connects next."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from dockyard.engine import kept
from dockyard.engine.kept import KeptStream
from dockyard.engine.stream import SocketStream

SECONDS = 45


@pytest.fixture
def peers() -> Iterator[tuple[SocketStream, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    with theirs, closing(SocketStream(ours)) as stream:
        yield stream, theirs


def test_a_stream_is_given_away_once(peers: tuple[SocketStream, socket.socket]) -> None:
    stream, _ = peers
    opened = KeptStream(stream)
    assert opened.usable

    assert opened.take() is stream

    assert not opened.usable
    del opened
    assert stream.fileno() >= 0


def test_what_the_peer_said_meanwhile_is_no_reason_to_doubt(
    peers: tuple[SocketStream, socket.socket],
) -> None:
    stream, theirs = peers
    theirs.sendall(b"hello")

    assert KeptStream(stream).usable


def test_a_stream_whose_peer_hung_up_is_not_usable(
    peers: tuple[SocketStream, socket.socket],
) -> None:
    stream, theirs = peers
    opened = KeptStream(stream)
    assert opened.usable

    theirs.close()

    hung_up = select.poll()
    hung_up.register(stream.fileno(), select.POLLRDHUP)
    assert hung_up.poll(SECONDS * 1000)  # on a busy machine the end is a moment on its way
    assert not opened.usable


def test_an_old_stream_is_not_usable(
    peers: tuple[SocketStream, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_FRESH_SECONDS", 0.0)

    assert not KeptStream(peers[0]).usable


def test_a_stream_that_is_forgotten_is_closed(peers: tuple[SocketStream, socket.socket]) -> None:
    stream, theirs = peers
    opened = KeptStream(stream)

    del opened

    assert stream.fileno() == -1
    assert theirs.recv(1) == b""
