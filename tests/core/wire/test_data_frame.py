"""Buffers cut into DATA frames."""

from __future__ import annotations

from collections import deque

import pytest

from core.wire.peers import parse
from dockyard.wire import frames
from dockyard.wire.data_frame import cut
from dockyard.wire.transport import Buffer


@pytest.mark.parametrize("total", [1, 10, 11, 35, 99, 100])
def test_frames_carry_what_was_asked_for_and_the_queue_keeps_the_rest(total: int) -> None:
    data = bytes(range(100))
    queue: deque[Buffer] = deque([data[:3], data[3:70], data[70:71], data[71:]])
    out: list[Buffer] = []

    cut(queue, out, total, 7, 10, last=total == 100)

    sent = parse(b"".join(out))
    assert b"".join(payload for *_, payload in sent) == data[:total]
    assert b"".join(queue) == data[total:]
    assert all(queue)
    assert [len(payload) for *_, payload in sent[:-1]] == [10] * ((total - 1) // 10)
    assert {(kind, number) for kind, _flags, number, _payload in sent} == {(frames.DATA, 7)}
    assert [flags for _kind, flags, *_ in sent[:-1]] == [0] * (len(sent) - 1)
    assert sent[-1][1] == (frames.END_STREAM if total == 100 else 0)


def test_a_large_buffer_is_not_copied() -> None:
    data = bytes(100_000)
    out: list[Buffer] = []

    cut(deque([data]), out, len(data), 1, 16_384, last=False)

    assert all(part.obj is data for part in out if isinstance(part, memoryview))
    assert sum(len(part) for part in out if isinstance(part, memoryview)) + len(out[-1]) >= 98_304


@pytest.mark.parametrize(("size", "count", "buffers"), [(10, 9, 1), (10, 8, 8), (4096, 9, 9)])
def test_buffers_are_joined_when_they_are_many_and_small(
    size: int, count: int, buffers: int
) -> None:
    out: list[Buffer] = []

    cut(deque([bytes(size)] * count), out, size * count, 1, 1 << 20, last=False)

    assert len(out) == 1 + buffers
