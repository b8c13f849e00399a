"""The words of HTTP/2: frame types, flags, settings, error codes, and the frame header."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from dockyard.wire.transport import Buffer

DATA = 0x0
HEADERS = 0x1
PRIORITY = 0x2
RST_STREAM = 0x3
SETTINGS = 0x4
PUSH_PROMISE = 0x5
PING = 0x6
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20

HEADER_TABLE_SIZE = 0x1
ENABLE_PUSH = 0x2
MAX_CONCURRENT_STREAMS = 0x3
INITIAL_WINDOW_SIZE = 0x4
MAX_FRAME_SIZE = 0x5
MAX_HEADER_LIST_SIZE = 0x6

NO_ERROR = 0x0
PROTOCOL_ERROR = 0x1
INTERNAL_ERROR = 0x2
FLOW_CONTROL_ERROR = 0x3
STREAM_CLOSED = 0x5
FRAME_SIZE_ERROR = 0x6
REFUSED_STREAM = 0x7
CANCEL = 0x8
COMPRESSION_ERROR = 0x9
ENHANCE_YOUR_CALM = 0xB

ERROR_NAMES = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_SIZE = 9
DEFAULT_WINDOW = 65535
DEFAULT_FRAME = 16384
MAX_WINDOW = 2**31 - 1
MAX_STREAM_ID = 2**31 - 1

HEADER = Struct(">BHBBI")
"""A frame header: the length's high byte and low bytes, type, flags, stream id."""

WORD = Struct(">I")
SETTING = Struct(">HI")


class ViolationError(Exception):
    """The peer broke a rule; ends the connection with a GOAWAY. Never leaves the engine."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def error_name(code: int) -> str:
    """Name an HTTP/2 error code, also an unknown one."""
    return ERROR_NAMES[code] if code < len(ERROR_NAMES) else f"error {code:#x}"


def frame(kind: int, flags: int, stream: int, payload: Buffer = b"") -> bytes:
    """Build a whole frame."""
    size = len(payload)
    return HEADER.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def data_header(size: int, flags: int, stream: int) -> bytes:
    """Build the header of a DATA frame."""
    return HEADER.pack(size >> 16, size & 0xFFFF, DATA, flags, stream)


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    """Build a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(*pair) for pair in values))


def window_update(stream: int, increment: int) -> bytes:
    """Build a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, WORD.pack(increment))


def reset(stream: int, code: int) -> bytes:
    """Build an RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, WORD.pack(code))


def goaway(last: int, code: int, reason: str) -> bytes:
    """Build a GOAWAY frame with a reason in words."""
    text = reason.encode("utf-8", "replace")[:1024]
    return frame(GOAWAY, 0, 0, WORD.pack(last) + WORD.pack(code) + text)


def header_block(stream: int, block: bytes, limit: int, flags: int) -> bytes:
    """Build HEADERS, and CONTINUATION frames for what does not fit into one."""
    if len(block) <= limit:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    out = [frame(HEADERS, flags, stream, block[:limit])]
    for start in range(limit, len(block), limit):
        last = END_HEADERS if start + limit >= len(block) else 0
        out.append(frame(CONTINUATION, last, stream, block[start : start + limit]))
    return b"".join(out)


def unpad(payload: memoryview) -> memoryview:
    """Take the padding off a PADDED frame's payload."""
    if not payload or payload[0] >= len(payload):
        raise ViolationError(PROTOCOL_ERROR, "padding is longer than its frame")
    return payload[1 : len(payload) - payload[0]]
