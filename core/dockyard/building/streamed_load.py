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
from dockyard.errors import CanceledError


class StreamedLoad(io.RawIOBase):
    """The writing end: a binary stream whose other end is being loaded."""

    def __init__(self, load: Callable[[BinaryIO], LoadResult], cancel: Callable[[], None]) -> None:
        """Start loading.

        Args:
            load: Reads the archive to its end, in a thread of its own.
            cancel: Ends that before its time.
        """
        super().__init__()
        self._cancel = cancel
        self._error: BaseException | None = None
        self._result: LoadResult | None = None
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(
            target=self._run, args=(load, reader), name="dockyard-load", daemon=True
        )
        self._thread.start()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Pass on some of the data; raises the engine's error when nobody reads any more."""
        try:
            return os.write(self._writer, data)
        except BrokenPipeError:
            self._thread.join()
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

    def abandon(self) -> BaseException | None:
        """End the loading without its archive being whole; give the engine's own error, if any."""
        before = self._error
        self._cancel()
        if not self.closed:
            self._end()
        return before if not isinstance(before, CanceledError) else None

    def _end(self) -> None:
        super().close()
        os.close(self._writer)
        self._thread.join()

    def _run(self, load: Callable[[BinaryIO], LoadResult], reader: int) -> None:
        try:
            with os.fdopen(reader, "rb") as archive:
                self._result = load(archive)
        except BaseException as error:  # noqa: BLE001  # raised again where the archive is written
            self._error = error
