"""A directory whose inside is reached without ever leaving it.

Every step down is an ``openat`` that refuses symbolic links, so nobody who changes the tree
meanwhile, and no path that a daemon made up, can lead a read or a write elsewhere.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KEPT = 64
"""Directories kept open at most; below that depth they are opened anew each time."""


class NotRegularError(OSError):
    """What was to be read as a file is none (any more)."""


class Tree:
    """Holds a directory open, and of the directories on the way to the last used one as many.

    Paths are relative, in bytes, with ``/`` between names; ``b""`` is the directory itself.
    """

    def __init__(self, path: Path | int) -> None:
        """Open a directory.

        Args:
            path: Its path, or a descriptor that is the tree's from now on.

        Raises:
            OSError: It cannot be opened, or is no directory.
        """
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self._root = path if isinstance(path, int) else os.open(path, flags)
        self._path = b""
        self._names: list[bytes] = []
        self._fds: list[int] = []
        self._deep = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every descriptor; closing twice does nothing."""
        self._forget(0)
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def twin(self) -> Tree:
        """Give another tree of the same directory, with its own last used place."""
        return Tree(os.dup(self._root))

    def directory(self, path: bytes) -> int:
        """Give a descriptor of a directory inside; it belongs to the tree, until the next call.

        Raises:
            OSError: It is missing, unreadable, or no directory: a link is none.
        """
        if path == self._path:
            return self._last()
        names = path.split(b"/") if path else []
        shared = 0
        for mine, theirs in zip(self._names, names, strict=False):
            if mine != theirs or shared >= len(self._fds):
                break
            shared += 1
        self._forget(shared)
        try:
            for name in names[shared:]:
                self._step(name)
        except OSError:
            self._forget(len(self._fds))
            raise
        self._path = path
        return self._last()

    def open_file(self, path: bytes) -> tuple[int, os.stat_result]:
        """Open a regular file inside for reading; the descriptor is the caller's.

        Raises:
            NotRegularError: It is something else.
            OSError: It cannot be opened.
        """
        parent, _, name = path.rpartition(b"/")
        fd = os.open(name, _OPEN_FILE, dir_fd=self.directory(parent))
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise NotRegularError("not a regular file any more")
        return fd, status

    def _last(self) -> int:
        if self._deep >= 0:
            return self._deep
        return self._fds[-1] if self._fds else self._root

    def _step(self, name: bytes) -> None:
        if name in (b"", b".", b".."):
            raise ValueError(f"{name!r} is no name of an entry")
        fd = os.open(name, _OPEN_DIRECTORY, dir_fd=self._last())
        if len(self._fds) < _KEPT:
            self._names.append(name)
            self._fds.append(fd)
            return
        if self._deep >= 0:
            os.close(self._deep)
        self._deep = fd

    def _forget(self, keep: int) -> None:
        if self._deep >= 0:
            os.close(self._deep)
            self._deep = -1
        while len(self._fds) > keep:
            os.close(self._fds.pop())
            self._names.pop()
        self._path = b"/".join(self._names)
