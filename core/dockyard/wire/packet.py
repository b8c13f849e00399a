"""The messages of a file transfer, by hand: tens of thousands of them pass in one build.

They are the tables ``PACKET`` and ``STAT``, and ``BYTES_MESSAGE`` for streams of plain bytes, with
two differences: paths and names are bytes, because a file's name need not be UTF-8, and a packet's
data is not copied.
"""

from __future__ import annotations

from dockyard.wire.varint import (
    MASK64,
    CodecError,
    read_length,
    read_tag,
    read_varint,
    skip_field,
    varint,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


STAT, REQ, DATA, FIN, ERR = range(5)
"""The types of packets."""

END_PACKET = b""
"""Ends the listing: a STAT packet without a stat, and STAT is zero, so nothing at all."""
FIN_PACKET = b"\x08\x03"

_NO_XATTRS: Mapping[bytes, bytes] = {}
_MAX_XATTRS = 4096

_STAT_NUMBERS = {
    0x10: ("mode", 32),
    0x18: ("uid", 32),
    0x20: ("gid", 32),
    0x28: ("size", 64),
    0x30: ("mtime_ns", 64),
    0x40: ("devmajor", 64),
    0x48: ("devminor", 64),
}


class Stat:
    """One entry of a file tree, as the wire has it: Go's mode bits, times in nanoseconds."""

    __slots__ = (
        "devmajor",
        "devminor",
        "gid",
        "linkname",
        "mode",
        "mtime_ns",
        "path",
        "size",
        "uid",
        "xattrs",
    )

    def __init__(self) -> None:
        self.path = b""
        self.mode = 0
        self.uid = 0
        self.gid = 0
        self.size = 0
        self.mtime_ns = 0
        self.linkname = b""
        self.devmajor = 0
        self.devminor = 0
        self.xattrs: dict[bytes, bytes] = {}


class Packet:
    """One message of a file transfer. ``data`` is a part of the buffer that was parsed."""

    __slots__ = ("data", "id", "stat", "type")

    def __init__(self, data: memoryview) -> None:
        self.type = STAT
        self.id = 0
        self.stat: Stat | None = None
        self.data = data


# --- writing -------------------------------------------------------------------------------


def stat_packet(
    path: bytes,
    mode: int,
    size: int,
    mtime_ns: int,
    linkname: bytes = b"",
    devmajor: int = 0,
    devminor: int = 0,
    xattrs: Mapping[bytes, bytes] = _NO_XATTRS,
    uid: int = 0,
    gid: int = 0,
) -> bytes:
    """Encode a packet that announces an entry."""
    body = b"\x0a%b%b\x10%b" % (varint(len(path)), path, varint(mode))
    if uid:
        body += b"\x18" + varint(uid)
    if gid:
        body += b"\x20" + varint(gid)
    if size:
        body += b"\x28" + varint(size)
    if mtime_ns:
        body += b"\x30" + _nanoseconds(mtime_ns)
    if linkname:
        body += b"\x3a" + varint(len(linkname)) + linkname
    if devmajor:
        body += b"\x40" + varint(devmajor & MASK64)
    if devminor:
        body += b"\x48" + varint(devminor & MASK64)
    for name in xattrs:
        body += _xattr(name, xattrs[name])
    return b"\x12" + varint(len(body)) + body


def _nanoseconds(value: int) -> bytes:
    """A time since 1970 as a varint. Nearly all of them take nine bytes."""
    if not 1 << 56 <= value < 1 << 63:
        return varint(value & MASK64)
    return bytes(
        (
            value & 0x7F | 0x80,
            value >> 7 & 0x7F | 0x80,
            value >> 14 & 0x7F | 0x80,
            value >> 21 & 0x7F | 0x80,
            value >> 28 & 0x7F | 0x80,
            value >> 35 & 0x7F | 0x80,
            value >> 42 & 0x7F | 0x80,
            value >> 49 & 0x7F | 0x80,
            value >> 56,
        )
    )


def _xattr(name: bytes, value: bytes) -> bytes:
    pair = b"\x0a%b%b\x12%b%b" % (varint(len(name)), name, varint(len(value)), value)
    return b"\x52" + varint(len(pair)) + pair


def data_header(file_id: int, length: int) -> bytes:
    """What precedes ``length`` bytes of a file's content in their packet.

    A length of 0 gives the whole packet that ends the file.
    """
    head = b"\x08\x02\x18" + varint(file_id) if file_id else b"\x08\x02"
    return head + b"\x22" + varint(length) if length else head


def req_packet(file_id: int) -> bytes:
    """Encode a packet that asks for the content of the entry with this number."""
    return b"\x08\x01\x18" + varint(file_id) if file_id else b"\x08\x01"


def err_packet(text: str) -> bytes:
    """Encode a packet that gives up, and says why."""
    data = text.encode("utf-8", "replace")
    return b"\x08\x04\x22" + varint(len(data)) + data if data else b"\x08\x04"


def bytes_header(length: int) -> bytes:
    """What precedes ``length`` bytes of data in a ``BytesMessage``."""
    return b"\x0a" + varint(length) if length else b""


# --- reading -------------------------------------------------------------------------------


def parse_packet(view: memoryview) -> Packet:
    """Parse a packet; its data stays where it is in ``view``.

    Raises:
        CodecError: These bytes are no packet.
    """
    packet = Packet(view[:0])
    end = len(view)
    position = 0
    try:
        while position < end:
            tag, position = read_tag(view, position)
            if tag == 0x08:
                packet.type, position = read_varint(view, position)
            elif tag == 0x18:
                number, position = read_varint(view, position)
                packet.id = number & 0xFFFFFFFF
            elif tag == 0x22:
                position, stop = read_length(view, position, end)
                packet.data = view[position:stop]
                position = stop
            elif tag == 0x12:
                position, stop = read_length(view, position, end)
                packet.stat = packet.stat or Stat()
                _parse_stat(bytes(view[position:stop]), packet.stat)
                position = stop
            else:
                position = skip_field("Packet", tag, view, position, wrong_type=tag >> 3 <= 4)
    except IndexError:
        raise CodecError("Packet: the message is cut off") from None
    if position != end:
        raise CodecError("Packet: a field is longer than its message")
    return packet


def parse_bytes(view: memoryview) -> memoryview:
    """Parse a ``BytesMessage``; give its data, which stays where it is in ``view``.

    Raises:
        CodecError: These bytes are no such message.
    """
    data = view[:0]
    end = len(view)
    position = 0
    try:
        while position < end:
            tag, position = read_tag(view, position)
            if tag == 0x0A:
                position, stop = read_length(view, position, end)
                data = view[position:stop]
                position = stop
            else:
                position = skip_field("BytesMessage", tag, view, position, wrong_type=tag >> 3 == 1)
    except IndexError:
        raise CodecError("BytesMessage: the message is cut off") from None
    if position != end:
        raise CodecError("BytesMessage: a field is longer than its message")
    return data


def _parse_stat(data: bytes, stat: Stat) -> None:
    end = len(data)
    position = 0
    while position < end:
        tag, position = read_tag(data, position)
        number = _STAT_NUMBERS.get(tag)
        if number is not None:
            name, bits = number
            value, position = read_varint(data, position)
            if bits == 32:
                value &= 0xFFFFFFFF
            elif value >> 63:
                value -= 1 << 64
            setattr(stat, name, value)
        elif tag in (0x0A, 0x3A, 0x52):
            position, stop = read_length(data, position, end)
            part = data[position:stop]
            position = stop
            if tag == 0x0A:
                stat.path = part
            elif tag == 0x3A:
                stat.linkname = part
            else:
                _parse_xattr(part, stat.xattrs)
        else:
            position = skip_field("Stat", tag, data, position, wrong_type=tag >> 3 <= 10)
    if position != end:
        raise CodecError("Stat: a field is longer than its message")


def _parse_xattr(data: bytes, xattrs: dict[bytes, bytes]) -> None:
    pair = [b"", b""]
    end = len(data)
    position = 0
    while position < end:
        tag, position = read_tag(data, position)
        if tag in (0x0A, 0x12):
            position, stop = read_length(data, position, end)
            pair[tag >> 4] = data[position:stop]
            position = stop
        else:
            raise CodecError(f"Stat.xattrs: the entry of a map has no field {tag >> 3}")
    if position != end:
        raise CodecError("Stat.xattrs: a field is longer than its message")
    xattrs[pair[0]] = pair[1]
    if len(xattrs) > _MAX_XATTRS:
        raise CodecError(f"Stat: more than {_MAX_XATTRS} extended attributes")
