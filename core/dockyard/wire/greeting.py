"""How a connection begins: what each side says first, and what strangers say instead."""

from __future__ import annotations

from dockyard.wire import frames
from dockyard.wire.frames import ViolationError
from dockyard.wire.limits import Limits

_HTTP1 = (b"HTTP/", b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ")
_SHOWN = 64


def greeting(limits: Limits, *, client: bool) -> list[bytes]:
    """Give the frames with which we begin."""
    values = [
        (frames.INITIAL_WINDOW_SIZE, max(limits.stream_window, frames.DEFAULT_WINDOW)),
        (frames.MAX_FRAME_SIZE, limits.frame),
        (frames.MAX_HEADER_LIST_SIZE, limits.headers),
    ]
    said = []
    if client:
        said.append(frames.PREFACE)
        values.append((frames.ENABLE_PUSH, 0))
    else:
        values.append((frames.MAX_CONCURRENT_STREAMS, limits.streams))
    said.append(frames.settings(values))
    more = limits.connection_window - frames.DEFAULT_WINDOW
    if more > 0:
        said.append(frames.window_update(0, more))
    return said


class Greeting:
    """The peer's greeting, checked as it arrives: a client's preface, and SETTINGS."""

    def __init__(self, *, preface: bool) -> None:
        """Expect a greeting, which begins with the preface if the peer is a client."""
        self.over = False
        self._preface_due = preface

    def take(self, data: memoryview) -> int:
        """Check the peer's first bytes, until ``over``; give how many of them were used.

        The head of the SETTINGS frame is looked at, not used.

        Raises:
            ViolationError: This is not HTTP/2.
        """
        used = 0
        if self._preface_due:
            head = bytes(data[: len(frames.PREFACE)])
            if not frames.PREFACE.startswith(head):
                raise ViolationError(frames.PROTOCOL_ERROR, stranger(data))
            if len(head) < len(frames.PREFACE):
                return 0
            self._preface_due = False
            used = len(head)
        head = bytes(data[used : used + frames.HEADER_SIZE])
        expected = head[3:4] in (b"", b"\4") and not head[0:1].strip(b"\0")
        if not expected or head[5:9].strip(b"\0"):
            raise ViolationError(frames.PROTOCOL_ERROR, stranger(data))
        self.over = len(head) == frames.HEADER_SIZE
        return used


def stranger(data: memoryview) -> str:
    """Say what a peer seems to speak whose first bytes are not HTTP/2."""
    head = bytes(data[:_SHOWN])
    if head.startswith(_HTTP1):
        line = head.partition(b"\r\n")[0].decode("latin-1")
        return f"it speaks HTTP/1, not HTTP/2: {line!r}"
    if head[:1] in (b"\x15", b"\x16") and head[1:2] == b"\x03":
        return "it speaks TLS, not plain HTTP/2"
    return f"its first bytes are not HTTP/2: {head[:32]!r}"
