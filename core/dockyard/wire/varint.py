"""The smallest pieces of protobuf's encoding: numbers, lengths, and the error for bad ones."""

from __future__ import annotations

from dockyard.wire.errors import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Convert = Callable[[int], int]
    Pack = Callable[[object], bytes]

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
"""Wire types. 3 and 4 are groups, which nobody uses and we refuse."""
PAST_END = "a length points past the end of its message"
MASK64 = (1 << 64) - 1
_SHIFTS = tuple(range(7, 70, 7))


class CodecError(WireError):
    """Bytes are no message of the table, or values do not fit the table."""


def varint(value: int) -> bytes:
    """Encode an unsigned number of at most 64 bits."""
    if value < 0x80:
        return value.to_bytes(1, "little")
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value < 0x200000:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """Read an unsigned number; give it and the position behind it."""
    byte = data[position]
    if byte < 0x80:
        return byte, position + 1
    value = byte & 0x7F
    for shift in _SHIFTS:
        position += 1
        byte = data[position]
        if byte < 0x80:
            value |= byte << shift
            if value > MASK64:
                raise CodecError("a number is larger than 64 bits")
            return value, position + 1
        value |= (byte & 0x7F) << shift
    raise CodecError("a number is longer than ten bytes")


def read_tag(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """Read a field's number and wire type in one; give it and the position behind it."""
    tag, after = read_varint(data, position)
    if after - position > 5 or tag > 0xFFFFFFFF:
        raise CodecError("a field number is too large")
    return tag, after


def read_length(data: bytes | memoryview, position: int, end: int) -> tuple[int, int]:
    """Read a length; give the positions where the content starts and stops."""
    length = data[position]
    position += 1
    if length > 0x7F:
        length, position = read_varint(data, position - 1)
    stop = position + length
    if stop > end:
        raise CodecError(PAST_END)
    return position, stop


def skip_field(
    message: str, tag: int, data: bytes | memoryview, position: int, *, wrong_type: bool
) -> int:
    """Step over a field that is not known; the caller checks that it did not pass its end.

    ``wrong_type`` says that the field's number is known and only its wire type is not.
    """
    number, wire = tag >> 3, tag & 7
    if not number:
        raise CodecError(f"{message}: 0 is no field number")
    if wrong_type:
        raise CodecError(f"{message}: field {number} has the wrong wire type {wire}")
    if wire == VARINT:
        return read_varint(data, position)[1]
    if wire == DELIMITED:
        return read_length(data, position, len(data))[1]
    if wire == FIXED64:
        return position + 8
    if wire == FIXED32:
        return position + 4
    raise CodecError(f"{message}: field {number} is a group, or of an unknown wire type {wire}")


def _signed64(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _signed32(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _unsigned64(value: int) -> int:
    return value


def _unsigned32(value: int) -> int:
    return value & 0xFFFFFFFF


def _integer(low: int, high: int) -> Pack:
    def pack(value: object) -> bytes:
        if not isinstance(value, int) or not low <= value <= high:
            raise CodecError(f"{value!r} is no integer from {low} to {high}")
        return varint(value & MASK64)

    return pack


def _pack_bool(value: object) -> bytes:
    if not isinstance(value, bool):
        raise CodecError(f"{value!r} is neither true nor false")
    return b"\x01" if value else b"\x00"


_INT32 = _integer(-(1 << 31), (1 << 31) - 1)
NUMBERS: dict[str, tuple[Convert, Pack]] = {
    "int32": (_signed32, _INT32),
    "enum": (_signed32, _INT32),
    "int64": (_signed64, _integer(-(1 << 63), (1 << 63) - 1)),
    "uint32": (_unsigned32, _integer(0, (1 << 32) - 1)),
    "uint64": (_unsigned64, _integer(0, MASK64)),
    "bool": (bool, _pack_bool),
}
DEFAULTS: dict[str, str | bytes | int] = {"string": "", "bytes": b"", "bool": False}


def map_kinds(kind: str) -> tuple[str, str]:
    """The types of a map's keys and values."""
    key, value = kind[len("map<") : -1].split(",")
    return key, value
