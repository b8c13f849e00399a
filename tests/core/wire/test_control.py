"""Control frames in their order, and peers that do not read them."""

from __future__ import annotations

import pytest

from core.wire.peers import (
    TRAILERS,
    RawServerRig,
    goaway_of,
    parse,
)
from dockyard.wire import frames
from dockyard.wire.control import ControlQueue
from dockyard.wire.frames import ViolationError
from dockyard.wire.transport import Buffer


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


def test_frames_wait_in_their_order_and_only_replies_say_that_they_do() -> None:
    control = ControlQueue(10)
    told: list[str] = []
    control.on_output = lambda: told.append("output")
    control.put(b"one")
    control.put_headers(1, TRAILERS, frames.END_STREAM)
    assert not told
    control.reply(b"two")
    assert told == ["output"]
    out: list[Buffer] = []
    control.move_to(out)
    assert [out[0], out[2]] == [b"one", b"two"]
    assert parse(bytes(out[1]))[0][:3] == (frames.HEADERS, 5, 1)
    assert not control


def test_only_replies_that_still_wait_are_counted() -> None:
    control = ControlQueue(2)
    for _ in range(3):
        control.reply(b"pong")
        control.put(b"something else")
        control.reply(b"pong")
        control.move_to([])
    control.reply(b"pong")
    control.reply(b"pong")
    with pytest.raises(ViolationError, match="not read"):
        control.reply(b"pong")


def test_header_lists_obey_the_size_of_frames_that_the_peer_takes() -> None:
    control = ControlQueue(2)
    control.frame_limit = 100
    control.put_headers(1, [(b"x", bytes(range(33, 120)) * 5)], 0)
    out: list[Buffer] = []
    control.move_to(out)
    sent = parse(bytes(out[0]))
    assert [kind for kind, *_ in sent[:2]] == [frames.HEADERS, frames.CONTINUATION]
    assert max(len(payload) for *_, payload in sent) == 100
