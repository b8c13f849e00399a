"""An image that goes into an engine while the build still sends it.

The session writes the archive into a pipe; a thread has the load hook read the other end. Closing
the stream waits for the engine's answer, so that the build ends only when the image is loaded.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import BinaryIO

from dockyard.driver import LoadResult
from dockyard.errors import OutputError


class StreamedLoad(io.RawIOBase):
    """The writing end: a binary stream whose other end is being loaded."""

    def __init__(self, load: Callable[[BinaryIO], LoadResult], cancel: Callable[[], None]) -> None:
        """Prepare to load. It begins with the first bytes: a build before them may take hours.

        Args:
            load: Reads the archive to its end, in a thread of its own.
            cancel: Ends that before its time.
        """
        super().__init__()
        self._load = load
        self._cancel = cancel
        self._error: BaseException | None = None
        self._writer = -1
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # the build may give up while the session writes

    @property
    def begun(self) -> bool:
        """Whether anything was written."""
        return self._thread is not None

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Pass on some of the data; raises the engine's error when nobody reads any more."""
        with self._lock:
            if self.closed:
                raise ValueError("the loading was given up")
            thread = self._thread or self._start()
            try:
                return os.write(self._writer, data)
            except BrokenPipeError:
                thread.join()
                if self._error is not None:
                    raise self._error from None
                raise

    def close(self) -> None:
        """End the archive and wait until it is loaded; raises the engine's error."""
        if self.closed:
            return
        self._end()
        if self._error is not None:
            raise self._error
        if self._thread is None:
            raise OutputError("BuildKit sent an empty image to load")

    def abandon(self) -> None:
        """End the loading without its archive being whole."""
        self._cancel()
        if not self.closed:
            self._end()

    def _start(self) -> threading.Thread:
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(
            target=self._run, args=(reader,), name="dockyard-load", daemon=True
        )
        self._thread.start()
        return self._thread

    def _end(self) -> None:
        with self._lock:
            super().close()
            if self._thread is not None:
                os.close(self._writer)
        if self._thread is not None:
            self._thread.join()

    def _run(self, reader: int) -> None:
        try:
            with os.fdopen(reader, "rb") as archive:
                self._load(archive)
        except BaseException as error:  # noqa: BLE001  # raised again where the archive is written
            self._error = error
