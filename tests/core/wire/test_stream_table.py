"""Streams by their numbers: open, waiting, closed."""

from __future__ import annotations

import h2.events
import h2.exceptions
import pytest
from h2.settings import SettingCodes

from core.wire.peers import (
    REQUEST,
    RESPONSE,
    TRAILERS,
    RawClientRig,
    RawServerRig,
    Rig,
    goaway_of,
    message,
)
from dockyard.wire import frames
from dockyard.wire.connection import Connection
from dockyard.wire.frames import ViolationError
from dockyard.wire.limits import DEFAULT_LIMITS
from dockyard.wire.stream import Stream
from dockyard.wire.stream_table import StreamTable


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


def test_an_old_stream_number_cannot_be_used_again() -> None:
    rig = RawServerRig()
    rig.request(5)
    rig.request(3)
    assert goaway_of(rig.pull()) == (5, "HEADERS on stream 3, which is closed")


def test_our_numbers_are_odd_and_come_to_an_end() -> None:
    table = StreamTable(client=True)
    assert [table.next_number() for _ in range(3)] == [1, 3, 5]
    table._next = frames.MAX_STREAM_ID
    assert table.next_number() == frames.MAX_STREAM_ID
    assert table.next_number() is None


def test_a_frame_that_crossed_a_reset_is_let_pass_until_many_others_were_reset() -> None:
    table = StreamTable(client=False)
    table.last_peer = 5001
    table.remember_reset(1)
    table.check_closed(1, "DATA")
    for number in range(3, 2005, 2):
        table.remember_reset(number)
    table.check_closed(2003, "DATA")
    with pytest.raises(ViolationError, match="DATA on stream 1, which is closed"):
        table.check_closed(1, "DATA")


def test_streams_that_wait_come_in_their_order_while_there_is_room() -> None:
    connection = Connection(limits=DEFAULT_LIMITS)
    table = StreamTable(client=True)
    table.allowed = 1
    first, second, third = (Stream(connection) for _ in range(3))
    for stream in (first, second, third):
        table.wait(stream, REQUEST)
    table.withdraw(first)
    assert table.next_waiting() == (second, REQUEST)
    table.add(second, 1)
    assert table.next_waiting() is None
    assert table.withdraw_all() == [third]
    table.allowed = 9
    assert table.next_waiting() is None
