"""Requests of h2 and raw frames, and what becomes of them."""

from __future__ import annotations

import h2.events
import h2.exceptions
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from core.wire.peers import (
    REQUEST,
    RawServerRig,
    Rig,
    echo,
    goaway_of,
    message,
)
from dockyard.wire import frames
from dockyard.wire.hpack import Header
from dockyard.wire.server_call import ServerCall
from dockyard.wire.status import Code


@pytest.mark.parametrize("piece", [1, 10, 1 << 20])
def test_a_request_in_any_pieces_is_served(piece: int) -> None:
    rig = Rig(client=False, serve=echo, piece=piece)
    number = rig.request()
    rig.peer.send_data(number, message(b"one") + message(b"two")[:3])
    rig.peer.send_data(number, message(b"two")[3:], end_stream=True)
    rig.pump()
    assert rig.data(number) == message(b"one") + message(b"two")
    headers = rig.of(h2.events.ResponseReceived)[0].headers
    assert dict(headers)[b"content-type"] == b"application/grpc"
    trailers = rig.of(h2.events.TrailersReceived)[0].headers
    assert dict(trailers) == {b"grpc-status": b"0"}
    assert not rig.ours.streams


def test_a_call_without_messages_is_answered_by_trailers_only() -> None:
    rig = Rig(client=False, serve=lambda call: call.finish(Code.NOT_FOUND, "no", b"\x01"))
    number = rig.request(end=True)
    rig.pump()
    headers = dict(rig.of(h2.events.ResponseReceived)[0].headers)
    assert headers[b":status"] == b"200"
    assert headers[b"grpc-status"] == b"5"
    assert headers[b"grpc-status-details-bin"] == b"AQ"
    assert [event.stream_id for event in rig.of(h2.events.StreamEnded)] == [number]


def test_details_that_the_client_would_not_accept_are_left_out() -> None:
    def serve(call: ServerCall) -> None:
        call.finish(Code.INTERNAL, "m" * 200, bytes(100_000))

    rig = Rig(client=False, serve=serve, settings={SettingCodes.MAX_HEADER_LIST_SIZE: 1000})
    rig.request(end=True)
    rig.pump()
    headers = dict(rig.of(h2.events.ResponseReceived)[0].headers)
    assert headers[b"grpc-message"] == b"m" * 200
    assert b"grpc-status-details-bin" not in headers


def test_a_status_other_than_ok_does_not_wait_for_a_source() -> None:
    def serve(call: ServerCall) -> None:
        call.set_source(lambda _budget: [])
        call.send(b"before")
        call.finish(Code.ABORTED, "stop")

    rig = Rig(client=False, serve=serve)
    number = rig.request(end=True)
    rig.pump()
    assert rig.data(number) == message(b"before")
    assert dict(rig.of(h2.events.TrailersReceived)[0].headers)[b"grpc-status"] == b"10"


def test_a_call_whose_deadline_passes_ends_with_that_status_whatever_waited() -> None:
    canceled: list[str] = []

    def serve(call: ServerCall) -> None:
        call.on_cancel = lambda: canceled.append("canceled")
        call.send(b"x" * 1000)
        call.set_source(lambda _budget: [])
        call.finish()

    rig = Rig(client=False, serve=serve, settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
    rig.request(headers=[*REQUEST, (b"grpc-timeout", b"1m")])
    rig.pump()
    assert not canceled
    assert rig.loop.run(lambda: bool(canceled), 5)
    rig.pump()
    assert not rig.data()
    assert dict(rig.of(h2.events.TrailersReceived)[0].headers)[b"grpc-status"] == b"4"
    assert not rig.ours.streams


def test_a_handler_hears_of_a_reset_and_nothing_more_is_sent() -> None:
    calls: list[ServerCall] = []
    canceled: list[str] = []

    def serve(call: ServerCall) -> None:
        calls.append(call)
        call.on_cancel = lambda: canceled.append("canceled")

    rig = Rig(client=False, serve=serve)
    number = rig.request()
    rig.pump()
    rig.peer.reset_stream(number, ErrorCodes.CANCEL)
    rig.pump()
    assert canceled == ["canceled"]
    calls[0].send(b"x")
    calls[0].finish()
    calls[0].cancel()
    rig.pump()
    assert not rig.of(h2.events.ResponseReceived)


def test_a_request_that_is_not_grpc_is_told_so() -> None:
    rig = Rig(client=False)
    headers = [pair for pair in REQUEST if pair[0] != b"content-type"]
    rig.request(headers=[*headers, (b"content-type", b"text/plain")], end=True)
    rig.pump()
    assert dict(rig.of(h2.events.ResponseReceived)[0].headers)[b":status"] == b"415"


def test_the_trailers_of_a_request_end_it() -> None:
    rig = Rig(client=False, serve=echo)
    number = rig.request()
    rig.peer.send_data(number, message(b"x"))
    rig.peer.send_headers(number, [(b"x-trailer", b"1")], end_stream=True)
    rig.pump()
    assert rig.data(number) == message(b"x")
    assert len(rig.of(h2.events.StreamEnded)) == 1


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([(b":method", b"POST"), (b":scheme", b"http")], "lacks"),
        ([*REQUEST, (b"te", b"x\0")], "line break"),
        ([*REQUEST, (b"grpc-timeout", b"1x")], "grpc-timeout"),
        ([*REQUEST, (b"grpc-timeout", b"123456789S")], "grpc-timeout"),
        ([*REQUEST, (b":status", b"200")], ":status"),
    ],
)
def test_a_malformed_request_is_named(headers: list[Header], words: str) -> None:
    rig = RawServerRig()
    rig.request(headers=headers)
    goaway = goaway_of(rig.pull())
    assert goaway is not None
    assert words in goaway[1]
    assert not rig.calls


def test_a_request_that_ends_inside_a_message_is_refused() -> None:
    rig = RawServerRig(echo)
    rig.request()
    rig.feed(frames.frame(0, 1, 1, message(b"long")[:7]))
    assert goaway_of(rig.pull()) == (1, "a stream that ends inside a message")
