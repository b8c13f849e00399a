"""The two kinds of roots, opened: what a sender lists and reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from dockyard.errors import ContextError
from dockyard.fsutil.follow import NoLinks, TreeLinks, include_list
from dockyard.fsutil.name import display_in, reason
from dockyard.fsutil.patterns import Matcher, PatternError
from dockyard.fsutil.root import DirectoryRoot, Root, VirtualRoot
from dockyard.fsutil.tree import Tree
from dockyard.fsutil.walk import Entry, Walk

_FILE_MODE = 0o644


class Content(Protocol):
    """A file that is open for reading, from its start to its end."""

    size: int
    """What it is expected to be; the file may have changed since."""

    def read(self, size: int) -> bytes:
        """Read on; fewer bytes than asked for do not mean that it ends, none do.

        Raises:
            ContextError: It cannot be read.
        """
        ...

    def read_into(self, buffer: memoryview) -> int:
        """Read on into a buffer; 0 means that it ends.

        Raises:
            ContextError: It cannot be read.
        """
        ...

    def close(self) -> None: ...


class Source(Protocol):
    """A root that was opened for one transfer."""

    def entries(self) -> Iterator[Entry | None]:
        """Give what is to be sent; None is a pause.

        Raises:
            ContextError: Something that belongs to it cannot be read or sent.
        """
        ...

    def open(self, path: bytes) -> Content:
        """Open a file among the entries.

        Raises:
            ContextError: It cannot be opened, or is none any more.
        """
        ...

    def close(self) -> None: ...


def open_source(
    root: Root, *, include: Sequence[str], exclude: Sequence[str], follow: Sequence[str]
) -> Source:
    """Open a root for a transfer with the filters that a daemon asked for.

    Raises:
        ContextError: The root cannot be read, or a pattern is malformed.
    """
    try:
        if isinstance(root, VirtualRoot):
            included = Matcher(include_list(NoLinks(), include, follow))
            return VirtualSource(root, included, Matcher(exclude))
        return _open_directory(root, include, Matcher(exclude), follow)
    except PatternError as exc:
        raise ContextError(str(exc)) from exc


def _open_directory(
    root: DirectoryRoot, include: Sequence[str], exclude: Matcher, follow: Sequence[str]
) -> Source:
    try:
        tree = Tree(root.path)
    except OSError as exc:
        raise _unreadable(root, b"", exc) from exc
    try:
        included = Matcher(include_list(TreeLinks(tree), include, follow))
    except BaseException:
        tree.close()
        raise
    return DirectorySource(root, tree, included, exclude)


class DirectorySource:
    """A directory of this machine."""

    def __init__(self, root: DirectoryRoot, tree: Tree, include: Matcher, exclude: Matcher) -> None:
        self._root = root
        self._walked = tree
        # Its own place in the tree: the walk counts on nobody else moving it.
        self._read = tree.twin()
        self._include = include
        self._exclude = exclude

    def entries(self) -> Iterator[Entry | None]:
        walk = Walk(self._walked, self._root.path, include=self._include, exclude=self._exclude)
        return iter(walk)

    def open(self, path: bytes) -> Content:
        try:
            fd, status = self._read.open_file(path)
        except OSError as exc:
            raise _unreadable(self._root, path, exc) from exc
        return FileContent(fd, status.st_size, self._root, path)

    def close(self) -> None:
        self._read.close()
        self._walked.close()


class VirtualSource:
    """Files in memory."""

    def __init__(self, root: VirtualRoot, include: Matcher, exclude: Matcher) -> None:
        self._files = {name.encode(): content for name, content in root.files.items()}
        self._include = include
        self._exclude = exclude

    def entries(self) -> Iterator[Entry | None]:
        for path in self._wanted():
            content = self._files[path]
            mtime_ns = VirtualRoot.mtime_ns(content)
            yield Entry(path, _FILE_MODE, len(content), mtime_ns)

    def open(self, path: bytes) -> Content:
        return MemoryContent(self._files[path])

    def close(self) -> None:
        pass

    def _wanted(self) -> Iterable[bytes]:
        for path in sorted(self._files):
            name = path.decode()
            if (not self._include or self._include.matches(name)) and not (
                self._exclude.matches(name)
            ):
                yield path


class FileContent:
    """A file's content, read from a descriptor."""

    __slots__ = ("_fd", "_path", "_root", "size")

    def __init__(self, fd: int, size: int, root: DirectoryRoot, path: bytes) -> None:
        self._fd = fd
        self.size = size
        self._root = root
        self._path = path

    def read(self, size: int) -> bytes:
        try:
            return os.read(self._fd, size)
        except OSError as exc:
            raise _unreadable(self._root, self._path, exc) from exc

    def read_into(self, buffer: memoryview) -> int:
        try:
            return os.readv(self._fd, [buffer])
        except OSError as exc:
            raise _unreadable(self._root, self._path, exc) from exc

    def close(self) -> None:
        os.close(self._fd)


class MemoryContent:
    """A file's content that is in memory already."""

    __slots__ = ("_at", "_data", "size")

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0
        self.size = len(data)

    def read(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        self._at += len(part)
        return bytes(part)

    def read_into(self, buffer: memoryview) -> int:
        part = self._data[self._at : self._at + len(buffer)]
        self._at += len(part)
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        pass


def _unreadable(root: DirectoryRoot, path: bytes, error: OSError) -> ContextError:
    return ContextError(f"cannot read {display_in(root.path, path)}: {reason(error)}")
