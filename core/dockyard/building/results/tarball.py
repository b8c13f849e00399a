"""Image archives that are made while they are read, so that they need no room of their own."""

from __future__ import annotations

import io
import json
from collections.abc import Generator
from typing import Any, BinaryIO

PIECE = 256 << 10
"""Bytes to pass on at once."""
_BLOCK = 512
END = bytes(2 * _BLOCK)
"""What an archive ends with."""

Pieces = Generator[bytes, None, None]


def made_of(pieces: Pieces) -> BinaryIO:
    """Give a file to read from whose content is made on the way; closing it ends the making."""
    return io.BufferedReader(_Made(pieces), PIECE)


def head(name: str, size: int) -> bytes:
    """Give what stands before the bytes of a file."""
    from tarfile import GNU_FORMAT, TarInfo

    entry = TarInfo(name)
    entry.size = size
    entry.mode = 0o444
    return entry.tobuf(GNU_FORMAT)


def padding(size: int) -> bytes:
    """Give what stands behind a file of so many bytes."""
    return bytes(-size % _BLOCK)


def json_file(name: str, values: object) -> bytes:
    """Give a whole file that holds JSON."""
    return plain_file(name, json.dumps(values, separators=(",", ":")).encode())


def plain_file(name: str, data: bytes) -> bytes:
    """Give a whole file."""
    return head(name, len(data)) + data + padding(len(data))


def blob_path(digest: str) -> str:
    """Give where an archive has a blob."""
    return f"blobs/{digest.replace(':', '/')}"


class _Made(io.RawIOBase):
    def __init__(self, pieces: Pieces) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def close(self) -> None:
        self._pieces.close()  # and with it what is being read for it
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401  # any writable buffer
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
