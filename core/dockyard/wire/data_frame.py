"""Queued buffers as DATA frames, without copying any that is not small."""

from __future__ import annotations

from collections import deque

from dockyard.wire import frames
from dockyard.wire.transport import Buffer

_FEW = 8  # up to so many buffers of a frame are sent as they are
_SMALL = 2048  # more of them are joined, if they are smaller than this on average


def cut(
    queue: deque[Buffer], out: list[Buffer], total: int, number: int, limit: int, *, last: bool
) -> None:
    """Move bytes from a queue into frames.

    Args:
        queue: Buffers, none of which is empty; they lose what is sent.
        out: Gets the frames.
        total: How many bytes to move; at most what is queued.
        number: The stream.
        limit: Bytes of the largest frame.
        last: Whether the last frame ends the stream.
    """
    full = frames.data_header(limit, 0, number)
    while total:
        size = min(total, limit)
        total -= size
        if last and not total:
            out.append(frames.data_header(size, frames.END_STREAM, number))
        else:
            out.append(full if size == limit else frames.data_header(size, 0, number))
        buffer = queue[0]
        length = len(buffer)
        if length <= size:
            _gather(queue, out, size)
            continue
        view = memoryview(buffer)
        out.append(view[:size])
        while total > limit and length - size > limit:  # the hot path: one large buffer
            out.append(full)
            out.append(view[size : size + limit])
            size += limit
            total -= limit
        queue[0] = view[size:]


def _gather(queue: deque[Buffer], out: list[Buffer], size: int) -> None:
    """Take ``size`` bytes from several buffers; join them when they are many and small."""
    parts: list[Buffer] = []
    left = size
    while left:
        buffer = queue[0]
        if len(buffer) <= left:
            left -= len(buffer)
            parts.append(queue.popleft())
        else:
            view = memoryview(buffer)
            parts.append(view[:left])
            queue[0] = view[left:]
            left = 0
    if len(parts) > _FEW and size < _SMALL * len(parts):
        out.append(b"".join(parts))
    else:
        out += parts
