"""What each side says first."""

from __future__ import annotations

import pytest

from core.wire.peers import (
    RawServerRig,
    goaway_of,
    parse,
)
from dockyard.wire import frames
from dockyard.wire.greeting import Greeting, greeting
from dockyard.wire.limits import Limits


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


def test_a_greeting_is_over_when_the_head_of_settings_came() -> None:
    data = frames.PREFACE + frames.settings([])
    for preface in (True, False):
        said = data if preface else data.removeprefix(frames.PREFACE)
        peer = Greeting(preface=preface)
        used = 0
        for end in range(len(said)):
            used += peer.take(memoryview(said[used:end]))
            assert not peer.over
        used += peer.take(memoryview(said[used:]))
        assert peer.over
        assert used == len(frames.PREFACE) * preface


def test_what_we_say_first_depends_on_the_side_and_the_limits() -> None:
    limits = Limits(stream_window=7, connection_window=100_000, frame=20_000, headers=9, streams=3)
    for client, own in ((True, (frames.ENABLE_PUSH, 0)), (False, (3, 3))):
        said = b"".join(greeting(limits, client=client))
        assert said.startswith(frames.PREFACE) == client
        settings, window = parse(said)
        assert list(frames.SETTING.iter_unpack(settings[3])) == [
            (frames.INITIAL_WINDOW_SIZE, 65_535),
            (frames.MAX_FRAME_SIZE, 20_000),
            (frames.MAX_HEADER_LIST_SIZE, 9),
            own,
        ]
        assert int.from_bytes(window[3], "big") == 100_000 - 65_535
    assert len(parse(b"".join(greeting(Limits(connection_window=1), client=True)))) == 1
