"""The engine against h2, which is made to do the hard things, and against raw frames."""

from __future__ import annotations

import random

import h2.events
import h2.exceptions
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from core.wire.peers import (
    REQUEST,
    RESPONSE,
    TRAILERS,
    Outcome,
    RawClientRig,
    RawServerRig,
    Rig,
    goaway_of,
    parse,
)
from dockyard.wire import frames
from dockyard.wire.call import ServerCall, frame
from dockyard.wire.connection import TURN
from dockyard.wire.errors import CallError, ConnectionLost, PeerError
from dockyard.wire.hpack import Encoder, Header
from dockyard.wire.limits import Limits
from dockyard.wire.status import Code


def message(data: bytes) -> bytes:
    return frame(len(data)) + data


def echo(call: ServerCall) -> None:
    call.on_message = call.send
    call.on_half_close = call.finish


# We are the client, h2 is the server


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


def test_windows_of_one_byte_are_obeyed() -> None:
    rig = Rig(client=True, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1})
    call, _outcome = rig.open()
    call.send(b"0123456789" * 30)
    call.half_close()
    expected = message(b"0123456789" * 30)
    rounds = 0
    while len(rig.data()) < len(expected):
        rig.pump()
        received = len(rig.data())
        assert received == rounds + 1
        rounds += 1
        rig.peer.increment_flow_control_window(1, 1)
    rig.pump()
    assert rig.data() == expected
    assert len(rig.of(h2.events.StreamEnded)) == 1


def test_a_source_is_asked_for_five_bytes_even_in_a_window_of_one() -> None:
    rig = Rig(client=True, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1})
    budgets: list[int] = []
    parts = [frame(3), b"abc", None]

    def source(budget: int) -> list[bytes] | None:
        budgets.append(budget)
        part = parts[len(budgets) - 1]
        return None if part is None else [part]

    call, _outcome = rig.open()
    call.set_source(source)
    call.half_close()
    for _ in range(9):
        rig.pump()
        rig.peer.increment_flow_control_window(1, 1)
    rig.pump()
    assert rig.data() == message(b"abc")
    assert budgets == [5, 5, 5]
    assert len(rig.of(h2.events.StreamEnded)) == 1


def test_when_the_window_of_the_connection_runs_out_every_stream_goes_on_later() -> None:
    rig = Rig(client=True, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
    calls = [rig.open()[0] for _ in range(3)]
    for call in calls:
        call.send(b"x" * 50_000)
        call.half_close()
    rig.pump()
    assert sum(len(rig.data(number)) for number in (1, 3, 5)) == frames.DEFAULT_WINDOW
    for _ in range(3):
        rig.peer.increment_flow_control_window(30_000)
        rig.pump()
    assert [len(rig.data(number)) for number in (1, 3, 5)] == [50_005] * 3
    assert len(rig.of(h2.events.StreamEnded)) == 3


def test_a_call_without_data_passes_when_the_windows_are_shut() -> None:
    rig = Rig(client=True)
    long, _outcome = rig.open()
    long.send(b"x" * 100_000)
    short, _outcome = rig.open()
    short.half_close()
    rig.pump()
    assert [event.stream_id for event in rig.of(h2.events.StreamEnded)] == [3]


def test_a_peer_may_change_its_windows_and_frame_size_in_the_middle() -> None:
    rig = Rig(client=True, settings={SettingCodes.INITIAL_WINDOW_SIZE: 10_000})
    call, _outcome = rig.open()
    data = random.Random(3).randbytes(60_000)
    call.send(data)
    call.half_close()
    rig.pump()
    assert len(rig.data()) == 10_000
    rig.peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})  # the window is negative now
    rig.pump()
    rig.peer.increment_flow_control_window(9_000, 1)
    rig.pump()
    assert len(rig.data()) == 10_000
    rig.peer.update_settings(
        {SettingCodes.INITIAL_WINDOW_SIZE: 65_000, SettingCodes.MAX_FRAME_SIZE: 30_000}
    )
    rig.pump()
    assert rig.data() == message(data)
    sizes = [len(payload) for kind, _f, _s, payload in parse(rig.sent) if kind == frames.DATA]
    assert max(sizes) == 30_000
    assert max(sizes[:1]) <= 16_384


def test_a_peer_may_change_the_size_of_its_header_table() -> None:
    rig = Rig(client=True)
    for size in (4096, 0, 100, 65_536, 0, 4096):
        rig.peer.update_settings({SettingCodes.HEADER_TABLE_SIZE: size})
        rig.pump()
        _call, _outcome = rig.open([*REQUEST, (b"x-size", b"%d" % size)])
        rig.pump()
    requests = rig.of(h2.events.RequestReceived)
    assert [dict(event.headers)[b"x-size"] for event in requests] == [
        b"4096",
        b"0",
        b"100",
        b"65536",
        b"0",
        b"4096",
    ]


def test_small_messages_share_data_frames() -> None:
    rig = Rig(client=True)
    call, _outcome = rig.open()
    for number in range(1000):
        call.send(b"%d" % number)
    assert call.queued == sum(5 + len(str(number)) for number in range(1000))
    rig.pump()
    assert call.queued == 0
    assert rig.data() == b"".join(message(b"%d" % number) for number in range(1000))
    assert len([1 for kind, *_ in parse(rig.sent) if kind == frames.DATA]) == 1


def test_streams_take_turns() -> None:
    rig = Rig(client=True, settings={SettingCodes.INITIAL_WINDOW_SIZE: 64 << 20})
    rig.peer.increment_flow_control_window(512 << 20)
    rig.pump()
    for _ in range(3):
        call, _outcome = rig.open()
        call.set_source(lambda _budget: [bytes(2 << 20)])
    health, _outcome = rig.open()
    health.send(b"healthy")
    sent = parse(b"".join(rig.ours.pull(8 * TURN)))
    amounts = {
        number: sum(len(p) for kind, _f, s, p in sent if kind == frames.DATA and s == number)
        for number in (1, 3, 5, 7)
    }
    assert amounts == {1: TURN, 3: TURN, 5: TURN, 7: 12}


def test_trailers_of_a_mebibyte_arrive_in_continuation_frames() -> None:
    rig = Rig(client=True)
    _call, outcome = rig.open()
    rig.pump()
    details = b"QUJD" * 250_000
    rig.feed(  # h2's own encoder takes seconds for its Huffman code of so much
        frames.header_block(1, Encoder().encode(RESPONSE), 16_384, 0)
        + frames.header_block(
            1,
            Encoder().encode(
                [
                    (b"grpc-status", b"2"),
                    (b"grpc-message", b"failed to solve"),
                    (b"grpc-status-details-bin", details),
                ]
            ),
            1000,
            frames.END_STREAM,
        )
    )
    assert isinstance(outcome.error, CallError)
    assert outcome.error.details == b"ABC" * 250_000


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


def test_calls_beyond_what_the_server_allows_wait_for_a_free_place() -> None:
    rig = Rig(client=True, settings={SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    started = [rig.open() for _ in range(4)]
    started[3][0].send(b"queued before it could be opened")
    rig.pump()
    assert len(rig.of(h2.events.RequestReceived)) == 2
    started[2][0].cancel()  # never on the wire
    rig.peer.send_headers(1, [*RESPONSE, *TRAILERS], end_stream=True)
    rig.pump()
    assert len(rig.of(h2.events.RequestReceived)) == 3
    assert rig.data(5) == message(b"queued before it could be opened")
    assert [outcome.over for _call, outcome in started] == [True, False, True, False]


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


def test_window_is_given_back_for_data_and_padding() -> None:
    """h2 raises if it sends more than we allow, and gets stuck if we give too little back."""
    rig = Rig(client=True, limits=Limits(stream_window=100_000, connection_window=150_000))
    _call, outcome = rig.open()
    rig.pump()
    rig.peer.send_headers(1, RESPONSE)
    data = message(random.Random(5).randbytes(1_000_000))
    at = 0
    while at < len(data):
        room = min(rig.peer.local_flow_control_window(1), rig.peer.max_outbound_frame_size)
        assert room > 300
        rig.peer.send_data(1, data[at : at + room - 256], pad_length=255)
        at += room - 256
        rig.pump()
    rig.peer.send_headers(1, TRAILERS, end_stream=True)
    rig.pump()
    assert outcome.messages == [data[5:]]


def test_a_paused_call_gives_no_window_until_it_is_resumed() -> None:
    rig = Rig(client=True, limits=Limits(stream_window=100_000))
    call, outcome = rig.open()
    rig.pump()
    rig.peer.send_headers(1, RESPONSE)
    call.pause()
    while room := min(rig.peer.local_flow_control_window(1), 16_384):
        rig.peer.send_data(1, b"\0\0\0\0\0" * (room // 5) or b"\0" * room)
        rig.pump()
        if room < 5:
            break
    assert len(outcome.messages) == 20_000
    call.resume()
    rig.pump()
    assert rig.peer.local_flow_control_window(1) == 100_000
    assert not rig.ours.closed


def test_a_message_within_a_frame_is_not_copied_and_a_split_one_reuses_its_memory() -> None:
    rig = RawClientRig()
    rig.headers(RESPONSE)
    seen: list[int] = []
    owners: list[object] = []

    def on_message(view: memoryview) -> None:
        seen.append(len(view))
        owners.append(view.obj)

    rig.call.on_message = on_message
    received = frames.frame(0, 0, 1, message(b"whole"))
    rig.ours.feed(memoryview(received))
    assert owners[0] is received
    for _ in range(2):
        data = message(b"x" * 30_000)
        rig.feed(frames.frame(0, 0, 1, data[:16_000]) + frames.frame(0, 0, 1, data[16_000:]))
    assert seen == [5, 30_000, 30_000]
    assert owners[1] is owners[2]


def test_memory_for_a_message_is_taken_as_its_bytes_arrive() -> None:
    rig = RawClientRig()
    rig.headers(RESPONSE)
    rig.feed(frames.frame(0, 0, 1, frame(16 << 20) + b"x"))
    assert rig.call.held <= 1 << 20
    for _ in range(128):
        rig.feed(frames.frame(0, 0, 1, bytes(16_384)))
    assert rig.call.held <= 4 << 20
    rig.feed(frames.reset(1, 8))
    assert rig.call.held == 0


# We are the server, h2 is the client


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


def test_trailers_wait_for_all_data_in_tiny_windows() -> None:
    rig = Rig(client=False, serve=echo, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1})
    number = rig.request()
    rig.peer.send_data(number, message(b"0123456789"), end_stream=True)
    rig.pump()
    for received in range(1, 15):
        assert len(rig.data(number)) == received
        assert not rig.of(h2.events.TrailersReceived)
        rig.peer.increment_flow_control_window(1, number)
        rig.pump()
    assert rig.data(number) == message(b"0123456789")
    assert len(rig.of(h2.events.TrailersReceived)) == 1


def test_a_call_without_messages_is_answered_by_trailers_only() -> None:
    rig = Rig(client=False, serve=lambda call: call.finish(Code.NOT_FOUND, "no", b"\x01"))
    number = rig.request(end=True)
    rig.pump()
    headers = dict(rig.of(h2.events.ResponseReceived)[0].headers)
    assert headers[b":status"] == b"200"
    assert headers[b"grpc-status"] == b"5"
    assert headers[b"grpc-status-details-bin"] == b"AQ"
    assert [event.stream_id for event in rig.of(h2.events.StreamEnded)] == [number]


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


def test_streams_beyond_the_limit_are_refused_and_the_others_served() -> None:
    rig = RawServerRig(limits=Limits(streams=2))
    for number in (1, 3, 5):
        rig.request(number)
    assert len(rig.calls) == 2
    assert (frames.RST_STREAM, 0, 5, b"\0\0\0\x07") in rig.pull()
    rig.feed(frames.frame(0, 1, 5, message(b"sent before it was refused")))
    assert not rig.ours.closed


def test_the_trailers_of_a_request_end_it() -> None:
    rig = Rig(client=False, serve=echo)
    number = rig.request()
    rig.peer.send_data(number, message(b"x"))
    rig.peer.send_headers(number, [(b"x-trailer", b"1")], end_stream=True)
    rig.pump()
    assert rig.data(number) == message(b"x")
    assert len(rig.of(h2.events.StreamEnded)) == 1


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


def test_an_exception_of_a_source_loses_nothing_of_the_other_streams() -> None:
    reported: list[BaseException] = []

    def broken(_budget: int) -> list[bytes]:
        raise OSError("the file is gone")

    rig = Rig(client=True)
    rig.ours.on_exception = reported.append
    first, _outcome = rig.open()
    second, _outcome = rig.open()
    first.send(b"fine")
    second.set_source(broken)
    rig.pump()
    assert rig.data(1) == message(b"fine")
    assert [type(error) for error in reported] == [OSError]
    assert [event.stream_id for event in rig.of(h2.events.StreamReset)] == [3]


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


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x01\0\0\0\x01x", "compressed"),
        (b"\x02\0\0\0\x01x", "flag 2"),
        (frame((16 << 20) + 1), "16777217 bytes"),
        (b"\0\xff\xff\xff\xff", "4294967295 bytes"),
    ],
)
def test_a_message_that_may_not_be_is_refused(data: bytes, words: str) -> None:
    for piece in (1, 100):
        rig = RawClientRig()
        rig.headers(RESPONSE)
        for start in range(0, len(data), piece):
            rig.feed(frames.frame(0, 0, 1, data[start : start + piece]))
        assert isinstance(rig.outcome.error, PeerError)
        assert words in str(rig.outcome.error)


def test_a_message_of_exactly_the_limit_is_taken() -> None:
    rig = RawClientRig(Limits(message=40_000))
    rig.headers(RESPONSE)
    data = message(bytes(40_000))
    rig.feed(b"".join(frames.frame(0, 0, 1, data[at : at + 16_384]) for at in (0, 16_384, 32_768)))
    assert [len(got) for got in rig.outcome.messages] == [40_000]


def test_a_frame_of_exactly_the_limit_is_taken() -> None:
    rig = RawClientRig()
    rig.headers(RESPONSE)
    rig.feed(frames.frame(0, 0, 1, message(bytes((256 << 10) - 5))))
    assert [len(got) for got in rig.outcome.messages] == [(256 << 10) - 5]


def test_trailers_that_do_not_end_the_stream_are_refused() -> None:
    rig = RawClientRig()
    rig.headers(RESPONSE)
    rig.headers(TRAILERS)
    assert isinstance(rig.outcome.error, PeerError)


def test_frames_on_a_stream_that_ended_are_refused() -> None:
    rig = RawClientRig()
    rig.call.half_close()
    rig.pull()
    rig.headers(RESPONSE)
    rig.headers(TRAILERS, end=True)
    assert rig.outcome.error is None
    rig.feed(frames.window_update(1, 5) + frames.reset(1, 0))  # these may still come
    assert not rig.ours.closed
    rig.feed(frames.frame(0, 0, 1, b"x"))
    assert goaway_of(rig.pull()) == (5, "DATA on stream 1, which is closed")


def test_data_after_the_end_of_a_request_is_refused() -> None:
    for data in (frames.frame(0, 0, 1, b"x"), frames.frame(0, 1, 1, b"x")):
        rig = RawServerRig()
        rig.request(flags=frames.END_STREAM)
        rig.feed(data)
        assert goaway_of(rig.pull()) == (5, "DATA after the end of stream 1")


def test_headers_after_the_end_of_a_request_are_refused() -> None:
    rig = RawServerRig()
    rig.request(flags=frames.END_STREAM)
    rig.request(flags=frames.END_STREAM)
    assert goaway_of(rig.pull()) == (5, "HEADERS after the end of stream 1")


def test_an_old_stream_number_cannot_be_used_again() -> None:
    rig = RawServerRig()
    rig.request(5)
    rig.request(3)
    assert goaway_of(rig.pull()) == (5, "HEADERS on stream 3, which is closed")


def test_a_client_cannot_open_even_streams() -> None:
    rig = RawServerRig()
    rig.request(2)
    assert goaway_of(rig.pull()) == (1, "HEADERS on stream 2")


def test_more_data_than_the_stream_window_is_refused() -> None:
    rig = RawServerRig(serve=lambda call: call.pause(), limits=Limits(stream_window=100_000))
    rig.request()
    for _ in range(6):
        rig.feed(frames.frame(0, 0, 1, bytes(16_384 - 4)))
        assert not rig.ours.closed
    rig.feed(frames.frame(0, 0, 1, bytes(16_384)))
    assert goaway_of(rig.pull()) == (3, "more data than the window of stream 1 allows")


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


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", "not HTTP/2"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (frames.PREFACE + frames.frame(6, 0, 0, b"12345678"), "not HTTP/2"),
    ],
)
def test_a_client_that_speaks_something_else_is_told_so(greeting: bytes, words: str) -> None:
    for piece in (1, 100):
        rig = RawServerRig(greet=False)
        for start in range(0, len(greeting), piece):
            rig.feed(greeting[start : start + piece])
        goaway = goaway_of(rig.pull())
        assert goaway is not None
        assert goaway[0] == frames.PROTOCOL_ERROR
        if piece == 100:
            assert words in goaway[1]


# Floods


def test_pings_that_are_sent_without_reading_the_answers_are_a_flood() -> None:
    rig = RawServerRig()
    rig.feed(frames.frame(6, 0, 0, b"12345678") * 5000)
    sent = rig.pull()
    goaway = goaway_of(sent)
    assert goaway is not None
    assert goaway[0] == frames.ENHANCE_YOUR_CALM
    assert len(sent) <= 1002


def test_any_number_of_pings_whose_answers_are_read_is_fine() -> None:
    rig = RawServerRig()
    for _ in range(50):
        rig.feed(frames.frame(6, 0, 0, b"12345678") * 500)
        assert len(rig.pull()) == 500
    assert not rig.ours.closed


@pytest.mark.parametrize(
    ("flood", "words"),
    [
        (frames.settings([]), "SETTINGS"),
        (frames.frame(0, 0, 1, b""), "DATA"),
        (frames.frame(0xAB, 0, 0, b""), "frames"),
        (frames.frame(0, 8, 1, b"\0"), "DATA"),
    ],
)
def test_frames_that_carry_nothing_are_a_flood(flood: bytes, words: str) -> None:
    rig = RawServerRig()
    rig.request()
    for _ in range(100):
        rig.feed(flood * 30)
        if rig.ours.closed:
            break
        rig.pull()
    goaway = goaway_of(rig.pull())
    assert goaway is not None
    assert goaway[0] == frames.ENHANCE_YOUR_CALM
    assert words in goaway[1]


def test_streams_that_are_opened_and_reset_at_once_are_a_flood() -> None:
    rig = RawServerRig(echo)
    for number in range(1, 9001, 2):
        rig.request(number)
        rig.feed(frames.reset(number, 8))
        rig.pull()
        if rig.ours.closed:
            break
    assert 1900 < len(rig.calls) < 2100
    assert isinstance(rig.ours.error, PeerError)
    assert "reset" in str(rig.ours.error)


def test_streams_may_be_reset_for_ever_at_a_moderate_rate() -> None:
    rig = RawServerRig(echo)
    for number in range(1, 9001, 2):
        rig.now += 0.003
        rig.request(number)
        rig.feed(frames.reset(number, 8))
        rig.pull()
    assert not rig.ours.closed


def test_a_header_list_in_endless_continuations_is_cut_off() -> None:
    for payload, limits in (
        (b"", Limits(continuations=100)),
        (b"x" * 16_000, Limits(headers=10**5)),
    ):
        rig = RawServerRig(limits=limits)
        rig.feed(frames.frame(frames.HEADERS, 0, 1, b"\x82"))
        rig.feed(frames.frame(frames.CONTINUATION, 0, 1, payload) * 101)
        assert goaway_of(rig.pull()) == (11, "a header list that is too large")


def test_a_header_bomb_is_cut_off() -> None:
    rig = RawServerRig(limits=Limits(headers=10**5))
    bomb = b"\x40\x01a\x7f\x81\x1e" + b"v" * 4000 + b"\xbe" * 10_000
    rig.feed(frames.frame(frames.HEADERS, 4, 1, bomb))
    goaway = goaway_of(rig.pull())
    assert goaway is not None
    assert goaway[0] == 11


def test_what_streams_make_us_keep_is_bounded_together() -> None:
    rig = RawServerRig(limits=Limits(buffered=3 << 20))
    for number in range(1, 21, 2):
        rig.request(number)
        rig.feed(frames.frame(0, 0, number, frame(1 << 20) + b"x"))
    goaway = goaway_of(rig.pull())
    assert goaway is not None
    assert "unfinished messages" in goaway[1]


def test_what_a_stream_kept_is_free_when_it_is_closed() -> None:
    rig = RawServerRig(limits=Limits(buffered=3 << 20))
    for number in range(1, 41, 2):
        rig.request(number)
        rig.feed(frames.frame(0, 0, number, frame(1 << 20) + b"x"))
        rig.feed(frames.reset(number, 8))
    assert not rig.ours.closed


def test_outcomes_are_told_once_even_if_the_connection_breaks_afterwards() -> None:
    rig = RawClientRig()
    other = Outcome()
    rig.open(other)
    rig.feed(frames.reset(1, 8))
    rig.ours.end(ConnectionLost("gone"))
    rig.ours.end(ConnectionLost("gone again"))
    assert isinstance(rig.outcome.error, CallError)
    assert str(other.error) == "gone"
