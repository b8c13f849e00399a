"""Where a transfer's files come from: a directory, or a few files in memory."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class DirectoryRoot(NamedTuple):
    """A directory of this machine, read when a transfer asks for it."""

    path: Path
    """May be a symbolic link itself; nothing below it is ever followed out of it."""


class VirtualRoot:
    """Files that exist in memory only, side by side in one directory."""

    def __init__(self, *, files: Mapping[str, bytes]) -> None:
        """Check the names.

        Args:
            files: Contents by plain names.

        Raises:
            ValueError: A name is none, or could lead elsewhere.
        """
        for name in files:
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                raise ValueError(f"{name!r} is not a plain file name")
        self.files = files

    @staticmethod
    def mtime_ns(content: bytes) -> int:
        """Give a modification time that is the same for the same content, and only for it.

        A daemon takes a file of equal size and time for unchanged (wire.md 5.8), so one fixed
        time for all contents would show it an old Dockerfile.
        """
        return zlib.crc32(content) * 1_000_000_000


Root = DirectoryRoot | VirtualRoot
