"""What becomes of a call that we made, by what an h2 server or raw frames answer."""

from __future__ import annotations

import h2.events
import h2.exceptions
import pytest
from h2.errors import ErrorCodes

from core.wire.peers import (
    RESPONSE,
    TRAILERS,
    Outcome,
    RawClientRig,
    Rig,
    message,
)
from dockyard.wire import frames
from dockyard.wire.errors import CallError, ConnectionLost, PeerError
from dockyard.wire.hpack import Header
from dockyard.wire.status import Code


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
def test_an_answer_in_any_pieces_is_the_same(piece: int) -> None:
    rig = Rig(client=True, piece=piece)
    call, outcome = rig.open()
    call.send(b"question")
    call.half_close()
    rig.pump()
    assert rig.data() == message(b"question")
    assert len(rig.of(h2.events.StreamEnded)) == 1
    rig.peer.send_headers(1, [*RESPONSE, (b"x-key", b"value")])
    rig.peer.send_data(1, message(b"an answer") + message(b"") + message(b"x" * 9000)[:100])
    rig.peer.send_data(1, message(b"x" * 9000)[100:])
    rig.peer.send_headers(1, TRAILERS, end_stream=True)
    rig.pump()
    assert outcome.messages == [b"an answer", b"", b"x" * 9000]
    assert outcome.headers == [(("x-key", "value"),)]
    assert outcome.error is None
    assert not rig.ours.streams


@pytest.mark.parametrize(
    ("headers", "code", "words"),
    [
        ([(b":status", b"200"), (b"grpc-status", b"5"), (b"grpc-message", b"a%20b")], 5, "a b"),
        ([(b":status", b"404")], 12, "404"),
        ([(b":status", b"503"), (b"content-type", b"text/html")], 14, "503"),
        ([(b":status", b"200"), (b"content-type", b"application/grpc")], 2, "without a status"),
        ([(b":status", b"200"), (b"content-type", b"text/html")], 2, "text/html"),
    ],
)
def test_a_response_of_trailers_only_has_a_status(
    headers: list[Header], code: int, words: str
) -> None:
    rig = Rig(client=True)
    _call, outcome = rig.open()
    rig.pump()
    rig.peer.send_headers(1, headers, end_stream=True)
    rig.pump()
    assert isinstance(outcome.error, CallError)
    assert outcome.error.code == code
    assert words in outcome.error.message
    assert not outcome.headers
    assert not rig.ours.streams


def test_the_text_of_an_answer_that_is_not_grpc_is_told() -> None:
    rig = Rig(client=True)
    _call, outcome = rig.open()
    rig.pump()
    rig.peer.send_headers(1, [(b":status", b"502"), (b"content-type", b"text/plain")])
    rig.peer.send_data(1, b"no upstream " * 1000, end_stream=True)
    rig.pump()
    assert isinstance(outcome.error, CallError)
    assert outcome.error.code is Code.UNAVAILABLE
    assert "502: no upstream" in outcome.error.message
    assert len(outcome.error.message) < 1200
    assert not outcome.messages


def test_informational_responses_are_passed_over() -> None:
    rig = Rig(client=True)
    _call, outcome = rig.open()
    rig.pump()
    rig.peer.send_headers(1, [(b":status", b"103"), (b"link", b"x")])
    rig.peer.send_headers(1, RESPONSE)
    rig.peer.send_headers(1, TRAILERS, end_stream=True)
    rig.pump()
    assert outcome.error is None
    assert len(outcome.headers) == 1


def test_an_answer_that_ends_without_trailers_is_an_error() -> None:
    rig = Rig(client=True)
    _call, outcome = rig.open()
    rig.pump()
    rig.peer.send_headers(1, RESPONSE)
    rig.peer.send_data(1, message(b"x"), end_stream=True)
    rig.pump()
    assert outcome.messages == [b"x"]
    assert isinstance(outcome.error, CallError)
    assert outcome.error.code is Code.INTERNAL
    assert not rig.ours.streams


def test_an_answer_that_ends_inside_a_message_is_an_error() -> None:
    rig = Rig(client=True)
    _call, outcome = rig.open()
    rig.pump()
    rig.peer.send_headers(1, RESPONSE)
    rig.peer.send_data(1, message(b"longer than that")[:9])
    rig.peer.send_headers(1, TRAILERS, end_stream=True)
    rig.pump()
    assert isinstance(outcome.error, CallError)
    assert "inside a message" in outcome.error.message


@pytest.mark.parametrize(
    ("reset", "code"),
    [
        (ErrorCodes.REFUSED_STREAM, Code.UNAVAILABLE),
        (ErrorCodes.CANCEL, Code.CANCELLED),
        (ErrorCodes.ENHANCE_YOUR_CALM, Code.RESOURCE_EXHAUSTED),
        (ErrorCodes.INTERNAL_ERROR, Code.INTERNAL),
        (ErrorCodes.NO_ERROR, Code.INTERNAL),
    ],
)
def test_a_reset_stream_ends_its_call_with_a_code(reset: ErrorCodes, code: Code) -> None:
    rig = Rig(client=True)
    call, outcome = rig.open()
    other, other_outcome = rig.open()
    rig.pump()
    rig.peer.reset_stream(1, reset)
    rig.pump()
    assert isinstance(outcome.error, CallError)
    assert outcome.error.code is code
    assert reset.name in outcome.error.message
    assert call.closed
    assert not other.closed
    assert not other_outcome.over


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([(b"content-type", b"application/grpc")], "lacks"),
        ([(b":status", b"200"), (b":status", b"200")], ":status"),
        ([(b"x", b"y"), (b":status", b"200")], ":status"),
        ([(b":status", b"2OO")], "2OO"),
        ([(b":path", b"/"), (b":status", b"200")], ":path"),
        ([(b":status", b"200"), (b"X-Upper", b"1")], "X-Upper"),
        ([(b":status", b"200"), (b"", b"1")], "b''"),
        ([(b":status", b"200"), (b"connection", b"close")], "connection"),
        ([(b":status", b"200"), (b"x", b"a\r\nb")], "line break"),
    ],
)
def test_a_malformed_response_is_named(headers: list[Header], words: str) -> None:
    rig = RawClientRig()
    rig.headers(headers)
    assert isinstance(rig.outcome.error, PeerError)
    assert words in str(rig.outcome.error)


def test_trailers_that_do_not_end_the_stream_are_refused() -> None:
    rig = RawClientRig()
    rig.headers(RESPONSE)
    rig.headers(TRAILERS)
    assert isinstance(rig.outcome.error, PeerError)


def test_outcomes_are_told_once_even_if_the_connection_breaks_afterwards() -> None:
    rig = RawClientRig()
    other = Outcome()
    rig.open(other)
    rig.feed(frames.reset(1, 8))
    rig.ours.end(ConnectionLost("gone"))
    rig.ours.end(ConnectionLost("gone again"))
    assert isinstance(rig.outcome.error, CallError)
    assert str(other.error) == "gone"
