"""Header compression (RFC 7541) of our own: the ``hpack`` package takes 20 ms to import.

The decoder is complete and bounded. The encoder writes static indices, a small dynamic table for
the headers that every call repeats, and plain literals; it never uses Huffman codes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from dockyard.wire.huffman import HuffmanDecoder, HuffmanError

Header = tuple[bytes, bytes]

STATIC: tuple[Header, ...] = (
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
)

DEFAULT_TABLE = 4096
ENTRY_OVERHEAD = 32
_FIRST_DYNAMIC = len(STATIC) + 1


class HeaderError(Exception):
    """A header block is malformed."""


class HeaderListTooLargeError(HeaderError):
    """A header list is larger than it may be."""


class _Table:
    """The dynamic table: the newest entry first, bounded by its size in bytes."""

    __slots__ = ("entries", "limit", "size")

    def __init__(self, limit: int) -> None:
        self.entries: deque[Header] = deque()
        self.size = 0
        self.limit = limit

    def add(self, name: bytes, value: bytes) -> None:
        self.entries.appendleft((name, value))
        self.size += len(name) + len(value) + ENTRY_OVERHEAD
        self.evict()

    def resize(self, limit: int) -> None:
        self.limit = limit
        self.evict()

    def evict(self) -> None:
        while self.size > self.limit:
            name, value = self.entries.pop()
            self.size -= len(name) + len(value) + ENTRY_OVERHEAD


class Decoder:
    """Turns header blocks into lists of headers; one for each direction of a connection."""

    __slots__ = ("_huffman", "_list_limit", "_table", "_table_limit")

    def __init__(self, list_limit: int, table_limit: int = DEFAULT_TABLE) -> None:
        self._list_limit = list_limit
        self._table_limit = table_limit
        self._table = _Table(table_limit)
        self._huffman = HuffmanDecoder()

    def decode(self, block: bytes) -> list[Header]:
        """Decode one whole header block.

        Raises:
            HeaderError: It is malformed; the connection cannot go on.
            HeaderListTooLargeError: It is larger than ``list_limit``, names, values and 32 each.
        """
        headers: list[Header] = []
        position, size, end = 0, 0, len(block)
        while position < end:
            byte = block[position]
            if byte & 0x80:
                index, position = _integer(block, position, 0x7F)
                name, value = self._entry(index)
            elif byte & 0xE0 == 0x20:
                limit, position = _integer(block, position, 0x1F)
                if headers or limit > self._table_limit:
                    raise HeaderError("a dynamic table size update that is not allowed")
                self._table.resize(limit)
                continue
            else:
                mask = 0x3F if byte & 0x40 else 0x0F
                index, position = _integer(block, position, mask)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, position = self._string(block, position)
                value, position = self._string(block, position)
                if byte & 0x40:
                    self._table.add(name, value)
            size += len(name) + len(value) + ENTRY_OVERHEAD
            if size > self._list_limit:
                raise HeaderListTooLargeError(f"header list of more than {self._list_limit} bytes")
            headers.append((name, value))
        return headers

    def _entry(self, index: int) -> Header:
        if 0 < index < _FIRST_DYNAMIC:
            return STATIC[index - 1]
        entries = self._table.entries
        if not 0 <= index - _FIRST_DYNAMIC < len(entries):
            raise HeaderError(f"no header has the index {index}")
        return entries[index - _FIRST_DYNAMIC]

    def _string(self, block: bytes, position: int) -> tuple[bytes, int]:
        if position >= len(block):
            raise HeaderError("a header block that ends too early")
        coded = block[position] & 0x80
        length, position = _integer(block, position, 0x7F)
        end = position + length
        if end > len(block):
            raise HeaderError("a header block that ends too early")
        text = block[position:end]
        if coded:
            try:
                text = self._huffman.decode(text)
            except HuffmanError as error:
                raise HeaderError(f"a malformed Huffman code: {error}") from None
        return text, end


def _integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    """Read an integer whose prefix has the bits of ``mask``; give it and where it ends."""
    value = block[position] & mask
    position += 1
    if value < mask:
        return value, position
    for shift in (0, 7, 14, 21):
        if position >= len(block):
            raise HeaderError("a header block that ends too early")
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise HeaderError("an integer that is too long")


_STATIC_PAIRS = {pair: index for index, pair in reversed(tuple(enumerate(STATIC, 1)))}
_STATIC_NAMES = {pair[0]: index for index, pair in reversed(tuple(enumerate(STATIC, 1)))}
_NEVER_REMEMBERED = frozenset((b"grpc-status-details-bin", b"grpc-message", b"grpc-timeout"))
_NEVER_INDEXED = frozenset((b"authorization",))
_LONGEST_REMEMBERED = 256


class Encoder:
    """Turns lists of headers into header blocks; one for each direction of a connection."""

    __slots__ = ("_added", "_places", "_table", "_updates")

    def __init__(self) -> None:
        self._table = _Table(DEFAULT_TABLE)
        self._added = 0  # entries ever added
        self._places: dict[Header, int] = {}  # entry -> how many had been added before it
        self._updates: list[int] = []

    def resize(self, limit: int) -> None:
        """Obey the peer's SETTINGS_HEADER_TABLE_SIZE; the next block announces it."""
        limit = min(limit, DEFAULT_TABLE)
        # Of several changes between two blocks the smallest and the last must be announced.
        lowest = min([limit, *self._updates]) if self._updates else limit
        self._updates = [limit] if lowest == limit else [lowest, limit]
        self._table.resize(limit)

    def encode(self, headers: Iterable[Header]) -> bytes:
        """Encode a header list as one block."""
        out = bytearray()
        for limit in self._updates:
            _put_integer(out, 0x20, 0x1F, limit)
        self._updates = []
        for header in headers:
            self._put(out, header)
        return bytes(out)

    def _put(self, out: bytearray, header: Header) -> None:
        index = _STATIC_PAIRS.get(header) or self._dynamic(header)
        if index:
            _put_integer(out, 0x80, 0x7F, index)
            return
        name, value = header
        size = len(name) + len(value) + ENTRY_OVERHEAD
        if name in _NEVER_INDEXED:
            kind, mask = 0x10, 0x0F
        elif name in _NEVER_REMEMBERED or size > min(_LONGEST_REMEMBERED, self._table.limit):
            kind, mask = 0x00, 0x0F
        else:
            kind, mask = 0x40, 0x3F
        index = _STATIC_NAMES.get(name, 0)
        _put_integer(out, kind, mask, index)
        if not index:
            _put_string(out, name)
        _put_string(out, value)
        if kind == 0x40:
            self._remember(header)

    def _dynamic(self, header: Header) -> int:
        place = self._places.get(header)
        if place is None:
            return 0
        age = self._added - 1 - place
        if age < len(self._table.entries):
            return _FIRST_DYNAMIC + age
        del self._places[header]  # evicted meanwhile
        return 0

    def _remember(self, header: Header) -> None:
        self._table.add(*header)
        self._places[header] = self._added
        self._added += 1
        if len(self._places) > 2 * len(self._table.entries) + 16:
            oldest = self._added - len(self._table.entries)
            self._places = {key: at for key, at in self._places.items() if at >= oldest}


def _put_integer(out: bytearray, kind: int, mask: int, value: int) -> None:
    if value < mask:
        out.append(kind | value)
        return
    out.append(kind | mask)
    value -= mask
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _put_string(out: bytearray, text: bytes) -> None:
    _put_integer(out, 0x00, 0x7F, len(text))
    out += text
