"""Read HTTP/1.1 responses: a small, strict, bounded parser that is fed bytes as they come.

One piece because it is one state machine. It accepts what Docker Engines and the proxies before
them send, and refuses everything ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

_MAX_HEAD = 64 << 10
_MAX_LINE = 1 << 10
_MAX_HEADERS = 256
_MAX_INTERIM = 8

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")


class MalformedError(Exception):
    """What came is no HTTP response. Turned into one of our errors by who reads."""


class HungUpError(MalformedError):
    """The connection ended before the response did."""


class Head(NamedTuple):
    """The first part of a response."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""

    def get(self, name: str) -> str:
        """Give a header's value, repeated ones joined by commas; empty when it is missing."""
        return ", ".join(value for key, value in self.headers if key == name)


class _Part(Enum):
    """What comes next in a body."""

    TO_LENGTH = 1
    TO_END = 2
    CHUNK_SIZE = 3
    CHUNK = 4
    CHUNK_END = 5
    TRAILER = 6


class ResponseParser:
    """One response, from its first byte to its last."""

    def __init__(self, *, without_body: bool = False) -> None:
        """Begin before the first byte.

        Args:
            without_body: The request was one whose response has none, ``HEAD``.
        """
        self.head: Head | None = None
        self.complete = False
        self.started = False
        """Whether anything came at all."""
        self._buffer = bytearray()
        self._without_body = without_body
        self._interim = 0
        self._part = _Part.TO_LENGTH
        self._left = 0
        """Bytes of the body, or of the chunk, still to come."""
        self._trailers = 0

    @property
    def leftover(self) -> bytes:
        """What came after the response, or after the head of one that is being upgraded."""
        return bytes(self._buffer)

    def feed(self, data: bytes | memoryview) -> list[bytes]:
        """Take what was received, and give the parts of the body in it.

        Raises:
            MalformedError: It is no HTTP response, or goes beyond a bound.
        """
        self.started = True
        self._buffer += data
        while self.head is None:
            if not self._parse_head():
                return []
        return list(self._body())

    def end(self) -> None:
        """Take the end of the connection.

        Raises:
            HungUpError: The response was not over yet.
        """
        if self.head is not None and self._part is _Part.TO_END:
            self.complete = True
        if not self.complete:
            raise HungUpError("it ends in the middle")

    def _parse_head(self) -> bool:
        if not b"HTTP/1.".startswith(self._buffer[:7]):
            raise MalformedError(f"it begins with {_shown(self._buffer)}")
        end = self._buffer.find(b"\r\n\r\n", 0, _MAX_HEAD)
        if end < 0:
            if len(self._buffer) >= _MAX_HEAD:
                raise MalformedError("its header is longer than 64 KiB")
            return False
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        head = _parse_lines(lines)
        if 100 <= head.status < 200 and head.status != 101:
            self._interim += 1
            if self._interim > _MAX_INTERIM:
                raise MalformedError("it has too many interim answers")
        else:
            self.head = head
            self._frame(head)
        return True

    def _frame(self, head: Head) -> None:
        """Find out where the body ends."""
        coding = head.get("transfer-encoding").lower()
        length = head.get("content-length")
        if head.status in (101, 204, 304) or self._without_body:
            self.complete = True
        elif coding:
            if coding != "chunked" or length:
                raise MalformedError("the length of its body is ambiguous")
            self._part = _Part.CHUNK_SIZE
        elif length:
            if not re.fullmatch(r"[0-9]{1,18}", length):
                raise MalformedError("the length of its body is no number")
            self._left = int(length)
            self.complete = self._left == 0
        else:
            self._part = _Part.TO_END

    def _body(self) -> Iterator[bytes]:
        while not self.complete and self._buffer:
            if self._part in (_Part.TO_LENGTH, _Part.CHUNK, _Part.TO_END):
                yield self._take()
            elif not self._parse_line():
                return

    def _take(self) -> bytes:
        """Take what is there of the body's bytes."""
        size = len(self._buffer)
        if self._part is not _Part.TO_END:
            size = min(size, self._left)
            self._left -= size
            if not self._left:
                self.complete = self._part is _Part.TO_LENGTH
                self._part = _Part.CHUNK_END
        part = bytes(self._buffer[:size])
        del self._buffer[:size]
        return part

    def _parse_line(self) -> bool:
        """Take the line before a chunk, the end of one, or one of the lines after the last."""
        line = self._line()
        if line is None:
            return False
        if self._part is _Part.TRAILER:
            self.complete = not line
            self._trailers += 1
            if self._trailers > _MAX_HEADERS:
                raise MalformedError("it has more than 256 trailer lines")
        elif self._part is _Part.CHUNK_END:
            if line:
                raise MalformedError("a chunk of it is longer than announced")
            self._part = _Part.CHUNK_SIZE
        else:
            size = _CHUNK.fullmatch(line)
            if size is None:
                raise MalformedError(f"a chunk of it begins with {_shown(line)}")
            self._left = int(size[1], 16)
            self._part = _Part.CHUNK if self._left else _Part.TRAILER
        return True

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, _MAX_LINE)
        if end < 0:
            if len(self._buffer) >= _MAX_LINE:
                raise MalformedError("a line in it is longer than 1 KiB")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line


def _parse_lines(lines: list[bytes]) -> Head:
    status = _STATUS_LINE.fullmatch(lines[0])
    if status is None:
        raise MalformedError(f"it begins with {_shown(lines[0])}")
    if len(lines) > _MAX_HEADERS:
        raise MalformedError("it has more than 256 header lines")
    headers = []
    for line in lines[1:]:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise MalformedError(f"it has the header line {_shown(line)}")
        value = header[2].strip(b" \t").decode("latin-1")
        headers.append((header[1].decode().lower(), value))
    return Head(int(status[1]), (status[2] or b"").decode("latin-1"), tuple(headers))


def _shown(data: bytes | bytearray) -> str:
    """Quote the beginning of what came, fit for a terminal."""
    return repr(bytes(data[:24]))[1:]
