"""Messages cut out of data, and put into it."""

from __future__ import annotations

import pytest

from core.wire.peers import (
    RESPONSE,
    RawClientRig,
    Rig,
    message,
    parse,
)
from dockyard.wire import frames
from dockyard.wire.call import frame
from dockyard.wire.errors import PeerError
from dockyard.wire.limits import Limits


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
