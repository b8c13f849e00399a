"""Creates received entries below one directory, and nowhere else.

Everything but a directory is made under a temporary name and renamed when it is complete, so what
stands under its own name is never half of a file, and what stood there before is replaced, not
written through. No step follows a symbolic link, whoever put it there.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from dockyard.errors import OutputError, TransferError
from dockyard.fsutil.name import display, display_in, reason
from dockyard.fsutil.stat import device, permissions, posix_mode
from dockyard.fsutil.tree import Tree
from dockyard.wire.packet import Stat

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_USABLE = 0o700
"""Permissions that a directory keeps until everything in it is written."""


class PartialFile:
    """A file that is being received."""

    def __init__(self, stat: Stat, temporary: bytes, fd: int) -> None:
        self.stat = stat
        self.temporary = temporary
        self.fd = fd

    def write(self, data: memoryview) -> None:
        """Append data.

        Raises:
            OSError: It cannot be written.
        """
        while data:
            data = data[os.write(self.fd, data) :]


class TreeWriter:
    """Writes below one directory, which is made if it is missing.

    Every method takes the entry as it was announced, whose path must have passed the check of its
    order. They raise ``OutputError`` when the system refuses.
    """

    def __init__(self, dest: Path, *, no_links: bool = False) -> None:
        """Open the directory.

        Args:
            dest: Its path.
            no_links: Whether the path may lead through no symbolic link.

        Raises:
            OutputError: It cannot be made or opened, or there is a link.
        """
        self._dest = dest
        with self._writing(b""):
            dest.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._tree = Tree(dest)
            opened = Path(f"/proc/self/fd/{self._tree.directory(b'')}")
            if no_links and opened.readlink() != dest:
                self._tree.close()
                raise OutputError(f"{display_in(dest, b'')} is reached through a symbolic link")
        self._owner = (os.getuid(), os.getgid())
        self._directories: list[tuple[bytes, int, int]] = []

    def close(self) -> None:
        self._tree.close()

    def directory(self, entry: Stat) -> None:
        """Make a directory, or take over the one that is there."""
        parent, name = _split(entry.path)
        with self._writing(entry.path):
            fd = self._tree.directory(parent)
            mode = permissions(entry.mode)
            try:
                os.mkdir(name, mode & 0o777 | _USABLE, dir_fd=fd)
            except FileExistsError:
                if not stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=fd)
                    os.mkdir(name, mode & 0o777 | _USABLE, dir_fd=fd)
            made = self._tree.directory(entry.path)
            os.fchown(made, *self._owner)
            os.fchmod(made, mode | _USABLE)
            _set_xattrs(made, entry.xattrs)
        self._directories.append((entry.path, mode, entry.mtime_ns))

    def link(self, entry: Stat) -> None:
        """Make a symbolic link."""
        with self._replacing(entry.path) as (fd, temporary):
            os.symlink(entry.linkname, temporary, dir_fd=fd)
            os.chown(temporary, *self._owner, dir_fd=fd, follow_symlinks=False)
            _set_times(temporary, entry.mtime_ns, fd)

    def node(self, entry: Stat) -> None:
        """Make a device or a named pipe.

        Raises:
            TransferError: It is of a kind, or has a number, that does not exist.
        """
        mode = posix_mode(entry.mode)
        if mode is None or stat.S_ISSOCK(mode):
            raise TransferError(f"{display(entry.path)} is of a kind that cannot be created")
        try:
            number = 0 if stat.S_ISFIFO(mode) else device(entry.devmajor, entry.devminor)
        except ValueError as exc:
            raise TransferError(f"{display(entry.path)} cannot be created: {exc}") from exc
        with self._replacing(entry.path) as (fd, temporary):
            os.mknod(temporary, mode, number, dir_fd=fd)
            os.chown(temporary, *self._owner, dir_fd=fd, follow_symlinks=False)
            _set_mode(temporary, stat.S_IMODE(mode), fd)
            _set_times(temporary, entry.mtime_ns, fd)

    def hard_link(self, path: bytes, target: bytes) -> None:
        """Make a further name of a file that is complete."""
        with self._tree.twin() as other, self._replacing(path) as (fd, temporary):
            parent, name = _split(target)
            os.link(
                name,
                temporary,
                src_dir_fd=other.directory(parent),
                dst_dir_fd=fd,
                follow_symlinks=False,
            )

    def begin(self, entry: Stat) -> PartialFile:
        """Begin a file under a temporary name."""
        with self._writing(entry.path):
            temporary = _temporary_name()
            parent = self._tree.directory(_split(entry.path)[0])
            return PartialFile(entry, temporary, os.open(temporary, _CREATE, 0o600, dir_fd=parent))

    def append(self, file: PartialFile, data: memoryview) -> None:
        """Write on."""
        with self._writing(file.stat.path):
            file.write(data)

    def complete(self, file: PartialFile) -> None:
        """Give a file its attributes and its name."""
        entry = file.stat
        with self._writing(entry.path):
            os.fchown(file.fd, *self._owner)
            _set_xattrs(file.fd, entry.xattrs)
            os.fchmod(file.fd, permissions(entry.mode))
            os.utime(file.fd, ns=(entry.mtime_ns, entry.mtime_ns))
            fd, file.fd = file.fd, -1
            os.close(fd)
            parent, name = _split(entry.path)
            self._put(file.temporary, name, self._tree.directory(parent))

    def discard(self, file: PartialFile) -> None:
        """Remove what there is of a file; what cannot be removed stays."""
        if file.fd >= 0:
            os.close(file.fd)
            file.fd = -1
        with contextlib.suppress(OSError):
            os.unlink(file.temporary, dir_fd=self._tree.directory(_split(file.stat.path)[0]))

    def finish(self) -> None:
        """Give the directories their modes and times, which writing into them had changed."""
        for path, mode, mtime_ns in reversed(self._directories):
            with self._writing(path):
                fd = self._tree.directory(path)
                os.fchmod(fd, mode)
                os.utime(fd, ns=(mtime_ns, mtime_ns))
        self._directories.clear()

    def prune(self, kept: Mapping[bytes, AbstractSet[bytes]]) -> None:
        """Remove everything that was not received.

        Args:
            kept: The names to keep in each directory that was received, and in the top one.
        """
        import shutil

        for path, names in kept.items():
            with self._writing(path):
                fd = self._tree.directory(path)
                with os.scandir(fd) as entries:
                    found = [
                        (os.fsencode(each.name), each.is_dir(follow_symlinks=False))
                        for each in entries
                    ]
                for name, is_directory in found:
                    if name in names:
                        continue
                    if is_directory:
                        shutil.rmtree(name, dir_fd=fd)
                    else:
                        os.unlink(name, dir_fd=fd)

    @contextlib.contextmanager
    def _writing(self, path: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            shown = display_in(self._dest, path)
            raise OutputError(f"cannot write {shown}: {reason(exc)}") from exc

    @contextlib.contextmanager
    def _replacing(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Have something made under a temporary name in a directory, then give it its own."""
        with self._writing(path):
            parent, name = _split(path)
            fd = self._tree.directory(parent)
            temporary = _temporary_name()
            try:
                yield fd, temporary
                self._put(temporary, name, fd)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=fd)
                raise

    def _put(self, temporary: bytes, name: bytes, fd: int) -> None:
        try:
            os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
        except IsADirectoryError:
            import shutil

            shutil.rmtree(name, dir_fd=fd)
            os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)


def _split(path: bytes) -> tuple[bytes, bytes]:
    parent, _, name = path.rpartition(b"/")
    return parent, name


def _temporary_name() -> bytes:
    return b".tmp." + os.urandom(8).hex().encode()


def _set_times(name: bytes, mtime_ns: int, fd: int) -> None:
    os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=fd, follow_symlinks=False)


def _set_mode(name: bytes, mode: int, fd: int) -> None:
    """Change a mode without following a link, for which there is no call of its own."""
    opened = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    try:
        Path(f"/proc/self/fd/{opened}").chmod(mode)
    finally:
        os.close(opened)


def _set_xattrs(fd: int, xattrs: Mapping[bytes, bytes]) -> None:
    """Set what can be set: many attributes need a privilege, or another file system."""
    for name, value in xattrs.items():
        with contextlib.suppress(OSError, ValueError):
            os.setxattr(fd, name, value)
