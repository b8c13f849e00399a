"""Windows given for data, and the bounds of what it may cost us."""

from __future__ import annotations

import random

from core.wire.peers import (
    RESPONSE,
    TRAILERS,
    RawServerRig,
    Rig,
    goaway_of,
    message,
)
from dockyard.wire import frames
from dockyard.wire.call import frame
from dockyard.wire.limits import Limits


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


def test_data_after_the_end_of_a_request_is_refused() -> None:
    for data in (frames.frame(0, 0, 1, b"x"), frames.frame(0, 1, 1, b"x")):
        rig = RawServerRig()
        rig.request(flags=frames.END_STREAM)
        rig.feed(data)
        assert goaway_of(rig.pull()) == (5, "DATA after the end of stream 1")


def test_more_data_than_the_stream_window_is_refused() -> None:
    rig = RawServerRig(serve=lambda call: call.pause(), limits=Limits(stream_window=100_000))
    rig.request()
    for _ in range(6):
        rig.feed(frames.frame(0, 0, 1, bytes(16_384 - 4)))
        assert not rig.ours.closed
    rig.feed(frames.frame(0, 0, 1, bytes(16_384)))
    assert goaway_of(rig.pull()) == (3, "more data than the window of stream 1 allows")


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
