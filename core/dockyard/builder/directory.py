"""The state directory: made on demand, locked as buildx locks it, its files replaced whole.

Directories are readable for their owner only. Temporary files lie at the top of the tree and
never among the records, where one left by a crash would be taken for a record.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockyard.config import Owner
from dockyard.errors import StoreError

_FILE_LIMIT = 64 << 20
"""No record is anywhere near as long; whatever is, is not read into memory."""


class StateDirectory:
    """One state directory. Its methods take paths relative to it."""

    def __init__(self, path: Path, *, owner: Owner | None = None) -> None:
        """Name the directory; nothing is touched yet.

        Args:
            path: Where it is, or will be.
            owner: Whom to give everything to; None leaves it to the system.
        """
        self.path = path
        self._owner = owner

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process, and buildx, out of the directory for as long as this runs.

        Waits without limit. Not for use inside itself.

        Raises:
            StoreError: The directory or its lock file cannot be made.
        """
        self.make("")
        lock = self.path / ".lock"
        with _as_store_error(lock):
            # Not os.O_EXCL: whoever comes first makes it, and nobody ever removes it.
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._give(lock)
            with _as_store_error(lock):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def make(self, relative: str) -> Path:
        """Make a directory and those above it that are missing.

        Raises:
            StoreError: It cannot be made.
        """
        target = self.path / relative
        missing = []
        directory = target
        while not directory.is_dir():
            missing.append(directory)
            if directory == directory.parent:
                break
            directory = directory.parent
        for directory in reversed(missing):
            with _as_store_error(directory):
                directory.mkdir(mode=0o700, exist_ok=True)
        for directory in missing or [target]:
            self._give(directory)
        return target

    def read(self, relative: str) -> bytes | None:
        """Give a file's content; None when there is none.

        Raises:
            StoreError: It is no regular file, too long, or cannot be read.
        """
        file = self.path / relative
        try:
            with _as_store_error(file):
                # A FIFO would wait for a writer for ever, hence O_NONBLOCK.
                descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                return None
            raise
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(f"{file} is not a regular file")
            if status.st_size > _FILE_LIMIT:
                raise StoreError(f"{file} is too long: {status.st_size} bytes")
            with _as_store_error(file), os.fdopen(descriptor, "rb", closefd=False) as stream:
                return stream.read()
        finally:
            os.close(descriptor)

    def replace(
        self, relative: str, data: bytes, *, mode: int = 0o600, lasting: bool = True
    ) -> None:
        """Put a file in place, whole or not at all.

        Args:
            relative: The file.
            data: Its content.
            mode: Its permissions.
            lasting: Whether to wait until the disk has it. What every build writes and nobody
                misses need not; then the file may be empty after the power failed.

        Raises:
            StoreError: A symbolic link or something else that is no regular file is in its
                place, or the disk does not take it.
        """
        file = self.path / relative
        self.make(str(Path(relative).parent))
        with _as_store_error(file):
            _refuse_irregular(file)
        temporary = self.path / f".tmp-{file.name[:64]}-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            with _as_store_error(file):
                _write_new(temporary, data, mode, lasting=lasting)
                self._give(temporary)
                temporary.rename(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def remove(self, relative: str) -> bool:
        """Remove a file, or a directory with all it holds.

        Returns:
            Whether there was anything.

        Raises:
            StoreError: It is there and cannot be removed.
        """
        target = self.path / relative
        with _as_store_error(target):
            try:
                if target.is_dir() and not target.is_symlink():
                    import shutil

                    shutil.rmtree(target)
                else:
                    target.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    def names(self, relative: str) -> list[str]:
        """List what a directory holds, in byte order; nothing when it is not there.

        Raises:
            StoreError: It cannot be read.
        """
        directory = self.path / relative
        try:
            with _as_store_error(directory):
                return sorted((entry.name for entry in directory.iterdir()), key=os.fsencode)
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return []
            raise

    def _give(self, path: Path) -> None:
        if self._owner is None:
            return
        with _as_store_error(path):
            os.chown(path, self._owner.uid, self._owner.gid, follow_symlinks=False)


def _refuse_irregular(file: Path) -> None:
    try:
        mode = file.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise StoreError(f"{file} is a symbolic link and is not written through")
    if not stat.S_ISREG(mode):
        raise StoreError(f"{file} is not a regular file")


def _write_new(file: Path, data: bytes, mode: int, *, lasting: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(file, flags, 0o600), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fchmod(stream.fileno(), mode)
        if lasting:
            os.fsync(stream.fileno())


@contextmanager
def _as_store_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        words = os.strerror(error.errno).lower() if error.errno else str(error)
        hint = None
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            hint = "BUILDX_CONFIG names another directory for the builder records"
        raise StoreError(f"{path}: {words}", hint=hint) from error
