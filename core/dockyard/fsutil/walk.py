"""The entries of a directory in the order and form in which they are sent.

Pre-order, siblings by the bytes of their names, the root itself left out (wire.md 5.3, 5.5). Only
names are read of what patterns drop, and nothing at all below where none can match.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

from dockyard.errors import ContextError
from dockyard.fsutil.name import display, display_in, reason
from dockyard.fsutil.patterns import UNMATCHED, Matcher
from dockyard.fsutil.stat import (
    MODE_DEVICE,
    MODE_DIR,
    MODE_SOCKET,
    TYPE_MASK,
    device_numbers,
    go_mode,
)
from dockyard.fsutil.tree import Tree

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)
"""What opening gives when an entry was removed, or a link put in its place, since it was listed."""
_PAUSE_EVERY = 1000
_NO_XATTRS: Mapping[bytes, bytes] = {}
_UTF8 = sys.getfilesystemencoding() == "utf-8"


class Entry:
    """What is told about one file, directory, link or device.

    By hand and no record, because one is made for every file.
    """

    __slots__ = ("device", "link", "mode", "mtime_ns", "path", "readable", "size", "xattrs")

    def __init__(
        self,
        path: bytes,
        mode: int,
        size: int,
        mtime_ns: int,
        link: bytes = b"",
        *,
        readable: bool = True,
    ) -> None:
        self.path = path
        """Relative to the root."""
        self.mode = mode
        """Go's mode."""
        self.size = size
        self.mtime_ns = mtime_ns
        self.link = link
        """A symbolic link's text, or the path of an earlier entry that is the same file."""
        self.device = (0, 0)
        self.xattrs = _NO_XATTRS
        self.readable = readable
        """Whether there is content behind it: a socket looks like an empty file but has none."""


class _Level:
    """A directory on the way down to where the walk is."""

    def __init__(
        self, *, path: str, included: int, excluded: int, pending: Entry | None = None
    ) -> None:
        self.path = path
        self.included = included
        self.excluded = excluded
        self.pending = pending
        """Its own entry, as long as it is dropped and nothing below it was sent."""
        self.names: Iterator[tuple[str, bool]] = iter(())
        """The names in it that are still to be looked at, and whether they are directories."""
        self.prefix = f"{path}/" if path else ""
        self.depth = self.prefix.count("/")


class Walk:
    """Gives the entries of a tree, and None now and then for a pause between two of them.

    Paths are handled as text in which a byte that is not UTF-8 is a lone surrogate.
    """

    def __init__(
        self,
        tree: Tree,
        root: Path,
        *,
        include: Matcher | None = None,
        exclude: Matcher | None = None,
    ) -> None:
        """Set up a walk.

        Args:
            tree: The directory to walk; stays the caller's to close.
            root: How messages name the directory.
            include: If given and not empty, only what it matches is sent.
            exclude: What it matches is not sent.
        """
        self._tree = tree
        self._root = root
        self._include = include or None
        self._exclude = exclude or None
        self._first_links: dict[tuple[int, int], bytes] = {}
        self._modes: dict[int, int] = {}
        self._xattrs = _Xattrs() if hasattr(os, "listxattr") else None

    def __iter__(self) -> Iterator[Entry | None]:
        """Walk.

        Raises:
            ContextError: Something that belongs to the transfer cannot be read or sent.
        """
        top = _Level(path="", included=UNMATCHED, excluded=UNMATCHED)
        levels = [top] if self._list(top) else []
        while levels:
            yield None
            below = yield from self._go_on(levels)
            if below is None:
                levels.pop()
            elif self._list(below):
                levels.append(below)

    def _go_on(self, levels: list[_Level]) -> Generator[Entry | None, None, _Level | None]:
        """Go through the last level until it ends, or to the next directory to be entered."""
        level = levels[-1]
        fd = self._open(level)
        if fd is None:
            return None
        include, exclude = self._include, self._exclude
        skipped = 0
        for name, is_directory in level.names:
            path = level.prefix + name
            included = excluded = UNMATCHED
            kept = True
            if include:
                included = include.match(path, name, level.depth, level.included)
                kept = include.matched(included)
            if exclude:
                excluded = exclude.match(path, name, level.depth, level.excluded)
                kept = kept and not exclude.matched(excluded)
            if not kept and not (is_directory and self._may_keep_below(path, included, excluded)):
                skipped += 1
                if skipped % _PAUSE_EVERY == 0:
                    yield None
                continue
            entry = self._entry(fd, name, path, kept=kept)
            if entry is None:
                continue
            if kept:
                for above in levels:
                    if above.pending:
                        yield above.pending
                        above.pending = None
                yield entry
            if entry.mode & MODE_DIR:
                pending = None if kept else entry
                return _Level(path=path, included=included, excluded=excluded, pending=pending)
        return None

    def _may_keep_below(self, path: str, included: int, excluded: int) -> bool:
        include, exclude = self._include, self._exclude
        return (
            not include or include.matched(included) or include.may_change_below(path, included)
        ) and (
            not exclude or not exclude.matched(excluded) or exclude.may_change_below(path, excluded)
        )

    def _open(self, level: _Level) -> int | None:
        """Open a directory; None if it is gone, or neither readable nor needed."""
        try:
            return self._tree.directory(_raw(level.path))
        except OSError as exc:
            if level.path and (exc.errno in _GONE or (level.pending and exc.errno == errno.EACCES)):
                return None
            raise self._unreadable(level.path, exc) from exc

    def _list(self, level: _Level) -> bool:
        """Read the names in a directory; tell whether it could be read."""
        fd = self._open(level)
        if fd is None:
            return False
        try:
            with os.scandir(fd) as found:
                names = [(_name(item), item.is_dir(follow_symlinks=False)) for item in found]
        except OSError as exc:
            raise self._unreadable(level.path, exc) from exc
        # The order of code points is that of UTF-8's bytes, and other names are never sent.
        names.sort()
        level.names = iter(names)
        return True

    def _entry(self, fd: int, name: str, path: str, *, kept: bool) -> Entry | None:
        """Look at one entry; None if it is gone, or dropped and out of reach."""
        raw_name = _raw(name)
        try:
            status = os.stat(raw_name, dir_fd=fd, follow_symlinks=False)
            link = os.readlink(raw_name, dir_fd=fd) if stat.S_ISLNK(status.st_mode) else b""
        except OSError as exc:
            if exc.errno in (*_GONE, errno.EINVAL) or (not kept and exc.errno == errno.EACCES):
                return None
            raise self._unreadable(path, exc) from exc
        raw = self._checked(path, link) if kept else _raw(path)
        mode = self._modes.get(status.st_mode)
        if mode is None:
            mode = self._modes[status.st_mode] = go_mode(status.st_mode)
        entry = Entry(raw, mode, status.st_size, status.st_mtime_ns, link)
        if mode & TYPE_MASK:
            _complete(entry, status)
        elif status.st_nlink > 1 and kept:
            self._join_links(entry, status)
        if self._xattrs:
            entry.xattrs = self._xattrs.read(fd, raw_name, status.st_dev)
        return entry

    def _join_links(self, entry: Entry, status: os.stat_result) -> None:
        first = self._first_links.setdefault((status.st_dev, status.st_ino), entry.path)
        if first is not entry.path:
            entry.link = first
            entry.size = 0

    def _checked(self, path: str, link: bytes) -> bytes:
        """Refuse names that the protocol cannot carry: its strings are UTF-8."""
        try:
            raw = path.encode()
        except UnicodeEncodeError:
            shown = display_in(self._root, _raw(path))
            raise ContextError(
                f"the file name {shown} is not valid UTF-8 and cannot be sent",
                hint="rename it, or exclude it in .dockerignore",
            ) from None
        if link and not _is_utf8(link):
            shown = display_in(self._root, raw)
            raise ContextError(
                f"the symbolic link {shown} leads to {display(link)}, "
                "which is not valid UTF-8 and cannot be sent",
                hint="change it, or exclude it in .dockerignore",
            )
        return raw

    def _unreadable(self, path: str, error: OSError) -> ContextError:
        return ContextError(f"cannot read {display_in(self._root, _raw(path))}: {reason(error)}")


class _Xattrs:
    """Reads extended attributes, and stops asking file systems that have none."""

    def __init__(self) -> None:
        self._without: set[int] = set()

    def read(self, fd: int, name: bytes, file_system: int) -> Mapping[bytes, bytes]:
        if file_system in self._without:
            return _NO_XATTRS
        # There is no call that takes a directory's descriptor.
        path = b"/proc/self/fd/%d/%s" % (fd, name)
        try:
            keys = os.listxattr(path, follow_symlinks=False)
        except OSError as exc:
            if exc.errno == errno.ENOTSUP:
                self._without.add(file_system)
            return _NO_XATTRS
        return self._values(path, keys) if keys else _NO_XATTRS

    def _values(self, path: bytes, keys: list[str]) -> Mapping[bytes, bytes]:
        values = {}
        for key in keys:
            if key.startswith("com.apple.") or not _is_utf8(os.fsencode(key)):
                continue
            with contextlib.suppress(OSError):
                values[os.fsencode(key)] = os.getxattr(path, key, follow_symlinks=False)
        return values


def _complete(entry: Entry, status: os.stat_result) -> None:
    """Fill in what only other kinds than regular files have."""
    entry.readable = False
    if entry.mode & MODE_DIR:
        entry.size = 0
    elif entry.mode & MODE_SOCKET:
        entry.mode &= ~MODE_SOCKET
        entry.size = 0
    elif entry.mode & MODE_DEVICE:
        entry.device = device_numbers(status.st_rdev)


def _name(item: os.DirEntry[str]) -> str:
    return item.name if _UTF8 else os.fsencode(item.name).decode("utf-8", "surrogateescape")


def _raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
