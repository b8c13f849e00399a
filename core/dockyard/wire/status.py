"""gRPC's status codes, and how statuses travel: percent-encoding, HTTP statuses, reset codes."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from enum import IntEnum


class Code(IntEnum):
    """How a call ended."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @property
    def go_name(self) -> str:
        """The name that daemons print: ``NotFound``, ``Canceled``."""
        if self is Code.OK:
            return "OK"
        if self is Code.CANCELLED:
            return "Canceled"
        return self.name.title().replace("_", "")


_OF_HTTP_STATUS = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}

_OF_RESET = {
    0x7: Code.UNAVAILABLE,  # REFUSED_STREAM
    0x8: Code.CANCELLED,  # CANCEL
    0xB: Code.RESOURCE_EXHAUSTED,  # ENHANCE_YOUR_CALM
    0xC: Code.PERMISSION_DENIED,  # INADEQUATE_SECURITY
}

_TO_RESET = {
    Code.INTERNAL: 0x2,
    Code.UNKNOWN: 0x2,
    Code.UNAVAILABLE: 0x7,
    Code.RESOURCE_EXHAUSTED: 0xB,
}

_HEX = b"0123456789ABCDEF"


def code_of_http(status: int) -> Code:
    """The code of a response that is no gRPC response at all."""
    return _OF_HTTP_STATUS.get(status, Code.UNKNOWN)


def code_of_reset(error: int) -> Code:
    """The code of a call whose stream the peer reset."""
    return _OF_RESET.get(error, Code.INTERNAL)


def reset_of_code(code: Code) -> int:
    """The HTTP/2 error code that tells the peer why its stream is reset."""
    return _TO_RESET.get(code, 0x8)


def parse_code(text: bytes) -> Code:
    """Read ``grpc-status``; what is no known code is UNKNOWN."""
    if not text.isdigit() or len(text) > 3 or int(text) > 16:
        return Code.UNKNOWN
    return Code(int(text))


def percent_encode(text: str) -> bytes:
    """``grpc-message`` as it travels: printable ASCII without ``%``."""
    out = bytearray()
    for byte in text.encode("utf-8", "replace"):
        if 0x20 <= byte <= 0x7E and byte != 0x25:
            out.append(byte)
        else:
            out += bytes((0x25, _HEX[byte >> 4], _HEX[byte & 15]))
    return bytes(out)


def percent_decode(text: bytes) -> str:
    """Undo :func:`percent_encode`; what is malformed stays as it is."""
    head, *rest = text.split(b"%")
    out = bytearray(head)
    for part in rest:
        digits = part[:2].upper()
        if len(digits) == 2 and all(digit in _HEX for digit in digits):
            out.append(int(digits, 16))
            out += part[2:]
        else:
            out += b"%" + part
    return out.decode("utf-8", "replace")


def encode_details(details: bytes) -> bytes:
    """``grpc-status-details-bin`` as Go writes it: base64 without padding."""
    return b2a_base64(details, newline=False).rstrip(b"=")


def decode_details(text: bytes) -> bytes:
    """Read ``grpc-status-details-bin``, padded or not; empty when it is no base64."""
    text = text.rstrip(b"=")
    try:
        return a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True) if text else b""
    except Base64Error:
        return b""
