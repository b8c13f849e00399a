"""Header lists in pieces, too long, and malformed."""

from __future__ import annotations

import pytest

from core.wire.peers import (
    RESPONSE,
    TRAILERS,
    RawServerRig,
    Rig,
    goaway_of,
)
from dockyard.wire import frames
from dockyard.wire.errors import CallError
from dockyard.wire.frames import ViolationError
from dockyard.wire.header_reader import HeaderReader
from dockyard.wire.hpack import Encoder, Header
from dockyard.wire.limits import DEFAULT_LIMITS, Limits


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


def test_the_pieces_of_a_list_are_joined_and_decoded_once_they_are_all_there() -> None:
    got: list[tuple[int, bool, list[Header]]] = []
    reader = HeaderReader(DEFAULT_LIMITS, lambda *args: got.append(args))
    encoder = Encoder()
    block = encoder.encode(TRAILERS)
    reader.begin(3, frames.END_STREAM, memoryview(block[:2]))
    reader.go_on(3, 0, memoryview(block[2:5]))
    assert reader.unfinished == 3
    assert not got
    reader.go_on(3, frames.END_HEADERS, memoryview(block[5:]))
    assert not reader.unfinished
    reader.begin(5, frames.END_HEADERS, memoryview(encoder.encode(RESPONSE)))
    assert got == [(3, True, TRAILERS), (5, False, RESPONSE)]


def test_a_list_goes_on_where_it_began() -> None:
    reader = HeaderReader(DEFAULT_LIMITS, lambda *_args: None)
    reader.begin(3, 0, memoryview(b""))
    with pytest.raises(ViolationError, match="CONTINUATION without HEADERS"):
        reader.go_on(5, 0, memoryview(b""))
