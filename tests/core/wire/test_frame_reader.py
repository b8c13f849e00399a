"""Bytes cut into frames."""

from __future__ import annotations

import pytest

from core.wire.peers import RESPONSE, RawClientRig, message
from dockyard.wire import frames
from dockyard.wire.allowance import Allowance
from dockyard.wire.frame_reader import FrameHandler, FrameReader
from dockyard.wire.frames import ViolationError
from dockyard.wire.greeting import Greeting
from dockyard.wire.header_reader import HeaderReader
from dockyard.wire.limits import DEFAULT_LIMITS


def test_a_frame_of_exactly_the_limit_is_taken() -> None:
    rig = RawClientRig()
    rig.headers(RESPONSE)
    rig.feed(frames.frame(0, 0, 1, message(bytes((256 << 10) - 5))))
    assert [len(got) for got in rig.outcome.messages] == [(256 << 10) - 5]


class Taken:
    """A reader, and the frames that it hands on."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int, int, bytes]] = []
        headers = HeaderReader(DEFAULT_LIMITS, lambda *_args: None)
        kinds = [self._taker(kind) for kind in range(10)]
        kinds[frames.HEADERS] = headers.begin
        self.reader = FrameReader(
            limit=100,
            greeting=Greeting(preface=False),
            headers=headers,
            handlers=kinds,
            allowance=Allowance(2, 0.0, lambda: 0.0),
        )
        self.read(frames.settings([]))
        self.frames.clear()

    def _taker(self, kind: int) -> FrameHandler:
        def take(number: int, flags: int, data: memoryview) -> None:
            self.frames.append((kind, flags, number, bytes(data)))

        return take

    def read(self, data: bytes) -> int:
        return self.reader.read(memoryview(data))


def test_whole_frames_are_handed_on_and_the_beginning_of_one_is_left() -> None:
    taken = Taken()
    whole = frames.frame(0, 1, 3, b"data") + frames.frame(6, 0, 0x80000000, b"x" * 100)
    for rest in (b"", b"\0", frames.frame(0, 0, 1, b"more")[:-1]):
        assert taken.read(whole + rest) == len(whole)
    assert taken.frames == [(0, 1, 3, b"data"), (6, 0, 0, b"x" * 100)] * 3


def test_nothing_is_handed_on_after_the_end() -> None:
    taken = Taken()
    taken.reader.stopped = True
    assert taken.read(frames.frame(0, 0, 1, b"data")) == 0
    assert not taken.frames


def test_a_header_block_is_not_interrupted() -> None:
    taken = Taken()
    taken.read(frames.frame(frames.HEADERS, 0, 1, b""))
    with pytest.raises(ViolationError, match="inside a header block"):
        taken.read(frames.frame(0, 0, 1, b"data"))
    assert not taken.frames


def test_frames_of_other_kinds_are_passed_over_and_empty_ones_counted() -> None:
    taken = Taken()
    taken.read(frames.frame(0xAA, 0, 0, b"x") * 9 + frames.frame(0xBB, 0, 0) * 2)
    with pytest.raises(ViolationError, match="too many frames without meaning"):
        taken.read(frames.frame(0xBB, 0, 0))
    assert not taken.frames


def test_a_frame_that_is_too_large_is_refused_by_its_head() -> None:
    with pytest.raises(ViolationError, match="a frame of 101 bytes; at most 100 are allowed"):
        Taken().read(frames.frame(0, 0, 1, bytes(101))[:9])
