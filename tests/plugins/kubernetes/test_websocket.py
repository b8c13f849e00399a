"""WebSocket frames: whatever way they are cut, and whatever is wrong with them."""

from __future__ import annotations

import base64
import hashlib
import os
import select
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dockyard.engine.response import Head
from dockyard.engine.stream import SocketStream
from dockyard_kubernetes.pod_stream import V5, PodExec
from dockyard_kubernetes.websocket import (
    MAX_MESSAGE,
    Handshake,
    WebSocket,
    WebSocketError,
)
from support.api_peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Line, frame


@pytest.fixture
def pair() -> Iterator[tuple[WebSocket, Line]]:
    """Give both ends of a connection."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    with theirs, closing(WebSocket(SocketStream(ours))) as websocket:
        yield websocket, Line(theirs)


def received(websocket: WebSocket) -> list[bytes]:
    """Give the content of the frames that have come."""
    return [bytes(found.data) for found in websocket.receive()]


# --- frames --------------------------------------------------------------------------------


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """Make what a server may send: on the wire, and what is on standard output and error."""
    wire = bytearray()
    outputs = {1: bytearray(), 2: bytearray()}
    for channel, data in draw(
        st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=70_000)), max_size=6)
    ):
        outputs[channel] += data
        message = bytes([channel]) + data
        cuts = sorted(draw(st.lists(st.integers(0, len(message)), max_size=3)))
        parts = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
        for number, part in enumerate(parts):
            wire += frame(CONTINUATION if number else BINARY, part, last=number == len(parts) - 1)
            if draw(st.booleans()):
                wire += frame(PING, b"there?") + frame(PONG, b"")
    return bytes(wire), bytes(outputs[1]), bytes(outputs[2])


@settings(max_examples=60, deadline=None)
@given(streams(), st.lists(st.integers(1, 100_000), min_size=1, max_size=8), st.integers(1, 70_000))
def test_output_comes_out_whole_however_it_was_cut(
    stream: tuple[bytes, bytes, bytes], pieces: list[int], room: int
) -> None:
    wire, output, errors = stream
    wire += frame(BINARY, b'\x03{"status":"Success"}') + frame(CLOSE, b"\x03\xe8")
    ours, theirs = socket.socketpair()
    found = bytearray()
    buffer = bytearray(room)
    with theirs, closing(PodExec(WebSocket(SocketStream(ours)), V5)) as pod:
        at = turn = 0
        while True:
            size = pieces[turn % len(pieces)]
            turn += 1
            sent = theirs.send(wire[at : at + min(size, 50_000)]) if at < len(wire) else 0
            at += sent
            try:
                while (count := pod.recv_into(buffer)) or at < len(wire):
                    found += buffer[:count]
                break
            except BlockingIOError:
                assert at < len(wire) or pod.pending() == 0

        assert bytes(found) == output
        assert pod.errors == errors[-(8 << 10) :]
        assert pod.last_words().endswith("exit code 0")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
@example(b"\x82\x05\x01abcd")
def test_no_bytes_break_the_reading(wire: bytes) -> None:
    ours, theirs = socket.socketpair()
    with closing(PodExec(WebSocket(SocketStream(ours)), V5)) as pod:
        theirs.sendall(wire)
        theirs.close()
        total = 0
        while True:
            try:
                count = pod.recv_into(bytearray(100))
            except BlockingIOError:
                continue
            except OSError:
                break
            if not count:
                break
            total += count

        assert total <= len(wire)
        assert "\n" not in pod.last_words()


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        (frame(TEXT, b"\x01hi"), "sent text where data was expected"),
        (frame(3, b""), "broke the rules: invalid opcode"),
        (frame(BINARY, b"\x01hi", mask=True), "broke the rules: incorrect masking"),
        (frame(CONTINUATION, b"\x01hi"), "broke the rules: unexpected continuation"),
        (bytes([0xC2, 0]), "broke the rules: reserved bits"),
        (frame(PING, b"x" * 126), "broke the rules: control frame too long"),
        (frame(PING, b"", last=False), "broke the rules: fragmented control frame"),
        (
            b"\x82\x7f" + (MAX_MESSAGE + 1).to_bytes(8, "big"),
            f"broke the rules: .*{MAX_MESSAGE}",
        ),
        (b"\x82\x7f" + b"\xff" * 8, "broke the rules"),
        (frame(BINARY, b"\x07hi"), "data of an unknown channel, 7"),
        (frame(BINARY, b"\x00hi"), "data of an unknown channel, 0"),
    ],
)
def test_what_breaks_the_rules_is_told(wire: bytes, words: str) -> None:
    ours, theirs = socket.socketpair()
    with theirs, closing(PodExec(WebSocket(SocketStream(ours)), V5)) as pod:
        theirs.sendall(wire)

        with pytest.raises(OSError, match=words):
            pod.recv_into(bytearray(100))
        with pytest.raises(OSError, match=words):  # and it stays so
            pod.recv_into(bytearray(100))


def test_pings_are_answered_and_a_flood_of_them_is_not_kept(pair: tuple[WebSocket, Line]) -> None:
    websocket, line = pair
    line.send(frame(PING, b"one"))

    assert websocket.receive() == []

    assert line.read_frame() == (PONG, b"one")
    line.send(b"".join(frame(PING, b"%d" % number) for number in range(2000)))
    assert websocket.receive() == []
    last = b""
    while last != b"1999":
        opcode, last = line.read_frame()
        assert opcode == PONG


def test_a_large_write_goes_out_in_frames_as_it_fits(pair: tuple[WebSocket, Line]) -> None:
    websocket, line = pair
    data = os.urandom(700_000)
    found = bytearray()
    sent = 0
    blocked = 0
    while sent < len(data):
        try:
            # Another cut each time: what is offered again begins with the same bytes.
            middle = sent + 1000
            sent += websocket.send(b"\0", [data[sent:middle], data[middle:]])
        except BlockingIOError:
            blocked += 1
            opcode, content = line.read_frame()
            assert (opcode, content[0]) == (BINARY, 0)
            found += content[1:]
    while len(found) < len(data):
        found += line.read_frame()[1][1:]

    assert found == data
    assert blocked


def test_a_ping_never_lands_inside_a_frame(pair: tuple[WebSocket, Line]) -> None:
    websocket, line = pair
    data = bytes(1 << 20)
    sent = 0
    with suppress(BlockingIOError):
        while sent < len(data):
            sent += websocket.send(b"\0", [data[sent:]])
    assert websocket.busy
    websocket.ping()
    websocket.flush()
    kinds = []
    size = 0
    while size < len(data):
        opcode, content = line.read_frame()
        kinds.append(opcode)
        size += len(content) - 1 if opcode == BINARY else 0
        while sent < len(data):
            try:
                sent += websocket.send(b"\0", [data[sent:]])
            except BlockingIOError:
                break

    assert kinds.count(PING) == 1
    assert set(kinds) == {BINARY, PING}


def test_the_first_bytes_may_come_with_the_handshake() -> None:
    ours, theirs = socket.socketpair()
    with theirs, closing(WebSocket(SocketStream(ours), frame(BINARY, b"\x01early"))) as websocket:
        assert websocket.pending()
        assert not select.select([websocket], [], [], 0)[0]

        assert received(websocket) == [b"\x01early"]

        assert not websocket.pending()


def test_closing_says_goodbye(pair: tuple[WebSocket, Line]) -> None:
    websocket, line = pair

    websocket.close()

    assert line.read_frame() == (CLOSE, b"\x03\xe8")
    websocket.close()


# --- handshake -----------------------------------------------------------------------------


def _accept(key: str) -> str:
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(key.encode() + guid).digest()).decode()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"upgrade": "SPDY/3.1"}, "it upgrades to 'SPDY/3.1' instead of a websocket"),
        ({"sec-websocket-accept": "x"}, "answer to the websocket handshake is wrong"),
        ({"sec-websocket-protocol": ""}, "it chose the protocol '' instead of a or b"),
        ({"sec-websocket-extensions": "permessage-deflate"}, "extension that it was not offered"),
    ],
)
def test_a_wrong_answer_to_the_handshake_is_told(changed: dict[str, str], words: str) -> None:
    handshake = Handshake(("a", "b"))
    right = {
        "upgrade": "WebSocket",
        "sec-websocket-accept": _accept(dict(handshake.headers)["Sec-WebSocket-Key"]),
        "sec-websocket-protocol": "b",
    }

    assert handshake.check(Head(101, "", tuple(right.items()))) == "b"
    with pytest.raises(WebSocketError, match=words):
        handshake.check(Head(101, "", tuple((right | changed).items())))
