"""A directory of blobs on this machine, in the layout that OCI defines: ``blobs/sha256/<hex>``.

A daemon writes into it, and is not trusted: names are digests that were checked, a symbolic link
is never followed below the directory, and a blob appears under its name when it is whole.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dockyard.errors import OutputError
from dockyard.session.content_store import (
    Announcement,
    Blob,
    Ingest,
    already_exists,
    is_digest,
    not_found,
)
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code

BLOBS = ("blobs", "sha256")
_INGEST = "ingest"
_TEMPORARY = ".dockyard-"
_MOST_UNANNOUNCED = 4 << 20
"""Bytes of a blob whose size was not said before."""
_ABANDONED = 3600.0
"""Seconds after the last write, when nobody goes on with what a killed process left."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class OciLayout:
    """Offers the blobs of one directory, which is made when the first one is written."""

    read_only = False

    def __init__(self, path: Path, shown: str | Path | None = None) -> None:
        """Name a directory.

        Args:
            path: The directory.
            shown: What a person calls it.
        """
        self.path = path
        self.shown = path if shown is None else Path(shown)
        self.written: dict[str, None] = {}
        """The digests of what the daemon wrote, or would have if it had not been there."""
        self._lock = threading.Lock()
        self._open: set[_FileIngest] = set()
        self._swept = False

    def open(self, digest: str) -> Blob:
        try:
            with self.folder(*BLOBS) as folder:
                descriptor = os.open(
                    _file(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                    dir_fd=folder,
                )  # fmt: skip
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                raise not_found(digest) from error
            raise self._failure("read", error) from error
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise not_found(digest)
        return _FileBlob(self.path, descriptor, found.st_size)

    def begin(self, announced: Announcement) -> Ingest:
        if announced.expected and self._has(announced):
            self.note(announced.expected)
            raise already_exists(announced.expected)
        self._sweep()
        ingest = _FileIngest(self)
        with self._lock:
            self._open.add(ingest)
        return ingest

    def limit(self, announced: Announcement) -> int:
        return announced.total or _MOST_UNANNOUNCED

    def refusal(self, code: Code, message: str) -> CallError:
        return CallError(code, message)

    def close(self) -> None:
        """Leave nothing behind of what was not written to its end."""
        with self._lock:
            unfinished = list(self._open)
        for ingest in unfinished:
            ingest.abort()
        with suppress(OSError), self.folder() as root:
            os.rmdir(_INGEST, dir_fd=root)  # when it is empty

    def note(self, digest: str) -> None:
        """Note that the daemon wrote a blob."""
        with self._lock:
            self.written[digest] = None

    def ended(self, ingest: _FileIngest) -> None:
        """Forget an ingest."""
        with self._lock:
            self._open.discard(ingest)

    @contextmanager
    def folder(self, *names: str, make: bool = False) -> Iterator[int]:
        """Open a folder in the directory, without following a link on the way.

        Args:
            names: The folders on the way; none for the directory itself, which may be a link.
            make: Whether to make those that are missing.

        Raises:
            OSError: It cannot be opened; ENOTDIR or ELOOP where a link or a file stands.
        """
        if make:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(self.path, _DIRECTORY)
        try:
            for name in names:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, mode=0o755, dir_fd=descriptor)
                inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def remove_others(self, wanted: set[str], *, before: float) -> None:
        """Remove the blobs that nobody wants, unless somebody wrote or asked for them meanwhile.

        Args:
            wanted: The digests of those that stay.
            before: The time since when others are somebody's.

        Raises:
            OutputError: One cannot be removed.
        """
        try:
            with self.folder(*BLOBS) as folder:
                for name in os.listdir(folder):  # noqa: PTH208  # a descriptor, no path
                    digest = f"sha256:{name}"
                    if digest in wanted or not is_digest(digest):
                        continue
                    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < before:
                        os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._failure("write", error) from error

    def _has(self, announced: Announcement) -> bool:
        """Say whether a blob is there already; one of another size is not the one."""
        try:
            blob = self.open(announced.expected)
        except CallError:
            return False
        try:
            if announced.total and blob.size != announced.total:
                return False
        finally:
            blob.close()
        with suppress(OSError), self.folder(*BLOBS) as folder:  # it is in use since now
            os.utime(_file(announced.expected), dir_fd=folder, follow_symlinks=False)
        return True

    def _sweep(self) -> None:
        """Remove what killed processes left, once."""
        with self._lock:
            swept, self._swept = self._swept, True
        if swept:
            return
        with suppress(OSError), self.folder(_INGEST) as folder:
            for name in os.listdir(folder):  # noqa: PTH208  # a descriptor, no path
                if not name.startswith(_TEMPORARY):
                    continue
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if found.st_mtime < time.time() - _ABANDONED:
                    os.unlink(name, dir_fd=folder)

    def _failure(self, verb: str, error: OSError) -> OutputError:
        return failure(self.path, verb, error)


class ReadOnlyLayout(OciLayout):
    """Offers the blobs of a directory to a daemon that may add none."""

    read_only = True

    def begin(self, announced: Announcement) -> Ingest:
        raise CallError(Code.PERMISSION_DENIED, f"{announced.ref}: the content is read-only")


class _FileIngest:
    """One blob that is being written, under a name of ours."""

    def __init__(self, layout: OciLayout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._over = False
        self._name = f"{_TEMPORARY}{os.urandom(8).hex()}"
        try:
            with layout.folder(_INGEST, make=True) as folder:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                self._descriptor = os.open(self._name, flags, 0o644, dir_fd=folder)
        except OSError as error:
            raise failure(layout.path, "write", error) from error

    def write(self, data: bytes) -> None:
        with self._held():
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]

    def restart(self) -> None:
        with self._held():
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)

    def commit(self, digest: str) -> None:
        with (
            self._held(),
            self._layout.folder(_INGEST) as source,
            self._layout.folder(*BLOBS, make=True) as target,
        ):
            os.replace(self._name, _file(digest), src_dir_fd=source, dst_dir_fd=target)
            self._layout.note(digest)
            self._end()

    def abort(self) -> None:
        with self._lock:
            if not self._over:
                with suppress(OSError), self._layout.folder(_INGEST) as folder:
                    os.unlink(self._name, dir_fd=folder)
                self._end()

    def _end(self) -> None:
        self._over = True
        os.close(self._descriptor)
        self._layout.ended(self)

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._lock:
            if self._over:
                raise CallError(Code.CANCELLED, "the blob was given up")
            try:
                yield
            except OSError as error:
                raise failure(self._layout.path, "write", error) from error


class _FileBlob:
    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self.size = size

    def read(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._descriptor, size, offset)
        except OSError as error:
            raise failure(self._path, "read", error) from error

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def failure(path: Path, verb: str, error: OSError) -> OutputError:
    """Make the error that says what the machine has against a directory."""
    return OutputError(f"cannot {verb} {path}: {(error.strerror or str(error)).lower()}")


def _file(digest: str) -> str:
    """Give the name of a blob's file; never anything but 64 hexadecimal digits."""
    if not is_digest(digest):
        raise ValueError(f"{digest!r} is no digest")
    return digest.partition(":")[2]
