"""Where the bytes of a build's result end: a file that appears whole or not at all, or a stream.

A sink is written by one thread at a time, and may be given up from any thread: that ends a write
that waits, for example for somebody to read the standard output.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from dockyard.errors import CanceledError, OutputError

_LOOK_AGAIN = 100
"""Milliseconds after which a write that waits looks whether it was given up."""

_LARGE = 1 << 20


class Sink(Protocol):
    """Takes the bytes of one result. The methods block."""

    def write(self, data: bytearray) -> None:
        """Take bytes.

        Raises:
            OutputError: They cannot be written; says where and why.
            CanceledError: The sink was given up.
        """
        ...

    def commit(self) -> None:
        """Make the result appear: everything was written. Raises as ``write`` does."""
        ...

    def abort(self) -> None:
        """Give up, and leave nothing half-written behind. Safe to call twice, and after commit."""
        ...


class FileSink:
    """Writes a new file beside ``path`` and renames it when it is whole.

    It is made when the first bytes arrive, as are missing folders. What is no regular file, such
    as ``/dev/null`` or a named pipe, is written to as it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._given_up = False
        self._descriptor = -1
        self._temporary: Path | None = None
        self._final = path

    def write(self, data: bytearray) -> None:
        with self._lock:
            self._check()
            try:
                self._open()
                view = memoryview(data)
                while view:
                    view = view[self._write_some(view) :]
            except OSError as error:
                raise _failure(self._path, error) from error

    def commit(self) -> None:
        with self._lock:
            self._check()
            try:
                self._open()
                self._close()
                if self._temporary is not None:
                    self._temporary.replace(self._final)
                    self._temporary = None
            except OSError as error:
                raise _failure(self._path, error) from error

    def abort(self) -> None:
        self._given_up = True
        with self._lock:
            with suppress(OSError):  # the failure that matters was the one that led here
                self._close()
            if self._temporary is not None:
                with suppress(OSError):
                    self._temporary.unlink()
                self._temporary = None

    def _write_some(self, view: memoryview) -> int:
        if self._temporary is None:
            return _write_when_ready(self._descriptor, view, self._check)
        return os.write(self._descriptor, view)

    def _open(self) -> None:
        if self._descriptor >= 0:
            return
        try:
            mode = self._path.stat().st_mode
        except FileNotFoundError:
            mode = None
        check_file(self._path)
        if mode is not None and not stat.S_ISREG(mode):
            self._descriptor = self._open_special()
            return
        # A symbolic link stays one: what it points to is replaced.
        self._final = Path(os.path.realpath(self._path))
        self._final.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._temporary = self._final.with_name(f".{self._final.name[:200]}.{os.urandom(6).hex()}")
        try:
            self._descriptor = os.open(
                self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666
            )
        except OSError:
            self._temporary = None
            raise
        if mode is not None:
            os.fchmod(self._descriptor, stat.S_IMODE(mode) & 0o777)

    def _open_special(self) -> int:
        """Open a device or a named pipe; waits until somebody reads from the pipe."""
        while True:
            self._check()
            try:
                return os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                if error.errno != errno.ENXIO or not self._path.is_fifo():
                    raise
            time.sleep(_LOOK_AGAIN / 1000)

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _check(self) -> None:
        if self._given_up:
            raise CanceledError


class StreamSink:
    """Writes to a stream that was open before, such as the standard output.

    A stream with a descriptor is written to without its buffer, so that waiting for a slow reader
    can be given up.
    """

    def __init__(self, stream: BinaryIO, *, closes: bool = False) -> None:
        self._stream = stream
        self._closes = closes
        self._given_up = False
        self._descriptor = _descriptor(stream)
        self._own: int | None = None
        self._lock = threading.Lock()

    def write(self, data: bytearray) -> None:
        with self._lock:
            self._check()
            try:
                if self._descriptor is None:
                    self._stream.write(data)
                else:
                    self._write_through(self._descriptor, memoryview(data))
            except (OSError, ValueError) as error:
                raise _failure(_name(self._stream), error) from error

    def commit(self) -> None:
        with self._lock:
            self._check()
            self._close_own()
            try:
                self._stream.flush()
                if self._closes:
                    self._stream.close()
            except (OSError, ValueError) as error:
                raise _failure(_name(self._stream), error) from error

    def abort(self) -> None:
        self._given_up = True
        if self._descriptor is not None:  # otherwise a write may wait in the stream for ever
            with self._lock:
                self._close_own()

    def _write_through(self, descriptor: int, view: memoryview) -> None:
        if self._own is None:
            self._stream.flush()
            self._own = _reopened(descriptor)
        while view:
            target = descriptor if self._own < 0 else self._own
            # More than this may block on a pipe although it is ready, where it has no flag
            # of ours against it.
            most = select.PIPE_BUF if self._own < 0 else _LARGE
            view = view[_write_when_ready(target, view[:most], self._check) :]

    def _close_own(self) -> None:
        if self._own is not None and self._own >= 0:
            os.close(self._own)
        self._own = None

    def _check(self) -> None:
        if self._given_up:
            raise CanceledError


def check_file(path: Path) -> None:
    """Make sure that a path can be that of an output file.

    Raises:
        OutputError: It is a directory, or cannot be looked at.
    """
    if _is_directory(path):
        raise OutputError(f"destination file {path} is a directory")


def check_directory(path: Path) -> None:
    """Make sure that a path can be that of an output directory.

    Raises:
        OutputError: It is a file, or cannot be looked at.
    """
    if not _is_directory(path) and path.exists():
        raise OutputError(f"destination directory {path} is a file")


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # in a folder that may not be searched, or with too long a name
        raise _failure(path, error) from error


def _reopened(descriptor: int) -> int:
    """Open a pipe anew, to write without blocking; -1 where that is not possible.

    The flag would hold for everyone who shares the descriptor, such as the shell, if it were set
    on the one that we were given.
    """
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return -1
    try:
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1


def _write_when_ready(descriptor: int, view: memoryview, check: Callable[[], None]) -> int:
    """Write some bytes as soon as the descriptor takes them."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    while True:
        check()
        if poll.poll(_LOOK_AGAIN):
            with suppress(BlockingIOError):
                return os.write(descriptor, view)


def _descriptor(stream: BinaryIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, AttributeError, ValueError):
        return None


def _name(stream: BinaryIO) -> str:
    name = getattr(stream, "name", None)
    if name in ("<stdout>", 1):
        return "stdout"
    return name if isinstance(name, str) else "the output stream"


def _failure(where: object, error: OSError | ValueError) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error)
    return OutputError(f"cannot write {where}: {reason.lower()}")
