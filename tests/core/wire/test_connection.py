"""The engine against h2, which is made to do the hard things, and against raw frames."""

from __future__ import annotations

import h2.events
import h2.exceptions
import pytest

from core.wire.peers import (
    RESPONSE,
    TRAILERS,
    RawClientRig,
    RawServerRig,
    Rig,
    goaway_of,
    message,
    parse,
)
from dockyard.wire import frames
from dockyard.wire.errors import CallError, ConnectionLost, PeerError
from dockyard.wire.hpack import Encoder
from dockyard.wire.limits import Limits
from dockyard.wire.server_call import ServerCall
from dockyard.wire.status import Code


def test_a_canceled_call_resets_its_stream_and_what_crosses_it_is_passed_over() -> None:
    rig = Rig(client=True)
    call, outcome = rig.open()
    rig.pump()
    call.cancel()
    rig.peer.send_headers(1, RESPONSE)
    rig.peer.send_data(1, message(b"too late"))
    rig.peer.send_headers(1, TRAILERS, end_stream=True)
    rig.feed(rig.peer.data_to_send())
    rig.pump()
    assert (frames.RST_STREAM, 0, 1, b"\0\0\0\x08") in parse(rig.sent)
    assert not outcome.messages
    assert isinstance(outcome.error, CallError)
    assert not rig.ours.closed


def test_goaway_fails_the_calls_beyond_it_and_lets_the_others_finish() -> None:
    rig = Rig(client=True)
    _first, first = rig.open()
    _second, second = rig.open()
    rig.pump()
    rig.feed(frames.goaway(1, 0, "maintenance"))
    assert isinstance(second.error, ConnectionLost)
    assert "maintenance" in str(second.error)
    assert not first.over
    assert not rig.ours.drained
    rig.peer.send_headers(1, RESPONSE)
    rig.peer.send_headers(1, TRAILERS, end_stream=True)
    rig.pump()
    assert first.error is None
    assert rig.ours.drained


def test_pings_are_answered_and_settings_acknowledged() -> None:
    rig = Rig(client=True)
    rig.peer.ping(b"01234567")
    rig.pump()
    assert [event.ping_data for event in rig.of(h2.events.PingAckReceived)] == [b"01234567"]
    assert len(rig.of(h2.events.SettingsAcknowledged)) == 1


def test_padding_priorities_and_unknown_frames_and_settings_do_no_harm() -> None:
    rig = RawClientRig()
    rig.feed(frames.frame(0xBE, 0xFF, 1, b"unknown") + frames.frame(0xEF, 0, 0, b""))
    rig.feed(frames.settings([(0xF00D, 7), (0x8, 1)]))
    rig.feed(frames.frame(frames.PRIORITY, 0, 9, b"\0\0\0\0\x10"))
    block = Encoder().encode(RESPONSE)
    rig.feed(
        frames.frame(
            frames.HEADERS,
            frames.END_HEADERS | frames.PADDED | frames.PRIORITIZED,
            1,
            b"\x03" + b"\0\0\0\0\x10" + block + b"\0\0\0",
        )
    )
    padded = b"\xc8" + message(b"padded") + bytes(200)
    rig.feed(frames.frame(frames.DATA, frames.PADDED, 1, padded))
    rig.feed(frames.frame(frames.DATA, frames.PADDED, 1, b"\0"))
    rig.headers(TRAILERS, end=True)
    assert rig.outcome.messages == [b"padded"]
    assert rig.outcome.error is None


def test_a_call_that_ends_early_tells_the_client_to_stop_sending() -> None:
    rig = Rig(client=False, serve=lambda call: call.finish(Code.OK))
    number = rig.request()
    rig.pump()
    resets = rig.of(h2.events.StreamReset)
    assert [(event.stream_id, event.error_code) for event in resets] == [(number, 0)]
    # what the client had sent before it heard of that is passed over
    rig.feed(frames.frame(0, 0, number, message(b"late")) + frames.frame(0, 1, number))
    rig.pump()
    assert not rig.ours.closed


def test_streams_beyond_the_limit_are_refused_and_the_others_served() -> None:
    rig = RawServerRig(limits=Limits(streams=2))
    for number in (1, 3, 5):
        rig.request(number)
    assert len(rig.calls) == 2
    assert (frames.RST_STREAM, 0, 5, b"\0\0\0\x07") in rig.pull()
    rig.feed(frames.frame(0, 1, 5, message(b"sent before it was refused")))
    assert not rig.ours.closed


def test_250_streams_at_once_are_accepted() -> None:
    rig = Rig(client=False, serve=lambda call: None)
    assert rig.peer.remote_settings.max_concurrent_streams >= 250
    for _ in range(300):
        rig.request()
    rig.pump()
    assert len(rig.ours.streams) == 300


def test_an_exception_of_a_handler_resets_its_stream_and_is_reported() -> None:
    reported: list[BaseException] = []

    def serve(call: ServerCall) -> None:
        raise LookupError("a mistake in a handler")

    rig = Rig(client=False, serve=serve)
    rig.ours.on_exception = reported.append
    number = rig.request()
    rig.pump()
    assert [type(error) for error in reported] == [LookupError]
    resets = rig.of(h2.events.StreamReset)
    assert [(event.stream_id, event.error_code) for event in resets] == [(number, 2)]
    assert not rig.ours.closed


# Violations: each ends the connection with a GOAWAY that says why

DATA_BEFORE_HEADERS = frames.frame(frames.DATA, 0, 1, b"x")


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (frames.frame(frames.DATA, 0, 0, b"x"), 1, "stream 0"),
        (frames.frame(frames.DATA, 0, 3, b"x"), 1, "idle"),
        (frames.frame(frames.RST_STREAM, 0, 3, b"\0\0\0\1"), 1, "idle"),
        (frames.frame(frames.RST_STREAM, 0, 0, b"\0\0\0\1"), 1, "idle"),
        (frames.frame(frames.RST_STREAM, 0, 1, b"\0"), 6, "RST_STREAM"),
        (frames.frame(frames.WINDOW_UPDATE, 0, 3, b"\0\0\0\1"), 1, "idle"),
        (frames.frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), 1, "nothing"),
        (frames.frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\1"), 6, "WINDOW_UPDATE"),
        (frames.window_update(0, 2**31 - 1), 3, "too large"),
        (frames.window_update(1, 2**31 - 1), 3, "too large"),
        (frames.settings([(4, 2**31)]), 3, "INITIAL_WINDOW_SIZE"),
        (frames.settings([(5, 100)]), 1, "MAX_FRAME_SIZE"),
        (frames.settings([(5, 1 << 24)]), 1, "MAX_FRAME_SIZE"),
        (frames.settings([(2, 2)]), 1, "ENABLE_PUSH"),
        (frames.frame(frames.SETTINGS, 0, 1, b""), 1, "SETTINGS"),
        (frames.frame(frames.SETTINGS, 0, 0, b"12345"), 6, "SETTINGS"),
        (frames.frame(frames.SETTINGS, 1, 0, b"123456"), 6, "SETTINGS"),
        (frames.frame(frames.PING, 0, 0, b"1234567"), 6, "PING"),
        (frames.frame(frames.PING, 0, 1, b"12345678"), 6, "PING"),
        (frames.frame(frames.GOAWAY, 0, 0, b"1234567"), 6, "GOAWAY"),
        (frames.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2"), 1, "PUSH_PROMISE"),
        (frames.frame(frames.PRIORITY, 0, 1, b"1234"), 6, "PRIORITY"),
        (frames.frame(frames.CONTINUATION, 4, 1, b""), 1, "CONTINUATION"),
        (frames.frame(frames.HEADERS, 4, 0, b"\x88"), 1, "stream 0"),
        (frames.frame(frames.HEADERS, 4, 2, b"\x88"), 1, "stream 2"),
        (frames.frame(frames.HEADERS, 4, 3, b"\x88"), 1, "idle"),
        (frames.frame(frames.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff"), 9, "too long"),
        (frames.frame(frames.HEADERS, 4 | 8, 1, b"\x05\x88"), 1, "padding"),
        (frames.frame(frames.HEADERS, 4 | 8, 1, b""), 1, "padding"),
        (frames.frame(frames.HEADERS, 4 | 32, 1, b"123"), 6, "too short"),
        (
            frames.frame(frames.HEADERS, 0, 1, b"\x88") + frames.frame(6, 0, 0, b"12345678"),
            1,
            "inside",
        ),
        (frames.frame(frames.HEADERS, 0, 1, b"\x88") + DATA_BEFORE_HEADERS, 1, "inside"),
        (
            frames.frame(frames.HEADERS, 0, 1, b"\x88") + frames.frame(9, 4, 3, b""),
            1,
            "CONTINUATION",
        ),
        (frames.frame(frames.HEADERS, 0, 1, b"\x88") + frames.frame(0xAA, 0, 0, b""), 1, "inside"),
        (DATA_BEFORE_HEADERS, 1, "before HEADERS"),
        (b"\x04\x00\x01\x00\x00\x00\x00\x00\x01", 6, "262145 bytes"),
        (b"\xff\xff\xff\xee\xff\xff\xff\xff\xff", 6, "bytes"),
    ],
)
def test_a_violation_by_a_server_is_named(sent: bytes, code: int, words: str) -> None:
    rig = RawClientRig()
    rig.feed(sent)
    goaway = goaway_of(rig.pull())
    assert goaway is not None
    assert goaway[0] == code
    assert words in goaway[1]
    assert rig.ours.closed
    assert isinstance(rig.outcome.error, PeerError)
    assert rig.outcome.error.code == code
    assert words in str(rig.outcome.error)
    rig.feed(frames.frame(6, 0, 0, b"12345678"))
    assert rig.pull() == []


def test_headers_after_the_end_of_a_request_are_refused() -> None:
    rig = RawServerRig()
    rig.request(flags=frames.END_STREAM)
    rig.request(flags=frames.END_STREAM)
    assert goaway_of(rig.pull()) == (5, "HEADERS after the end of stream 1")


def test_a_client_cannot_open_even_streams() -> None:
    rig = RawServerRig()
    rig.request(2)
    assert goaway_of(rig.pull()) == (1, "HEADERS on stream 2")
