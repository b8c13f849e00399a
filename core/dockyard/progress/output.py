"""Where a display writes: a text stream that may be unable to take what it is given."""

from __future__ import annotations

from typing import TextIO


class Output:
    """A stream whose failures never reach the build.

    Nobody may be reading any more (a closed pipe, a full disk behind a redirection). The build
    goes on all the same, so after such a failure the display falls silent.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._lost = False

    def write(self, text: str) -> None:
        """Write and flush ``text``, in one piece."""
        if self._lost or not text:
            return
        try:
            try:
                self.stream.write(text)
            except UnicodeEncodeError:
                self.stream.write(self._encodable(text))
            self.stream.flush()
        except OSError:
            self._lost = True

    def _encodable(self, text: str) -> str:
        encoding = self.stream.encoding or "ascii"
        return text.encode(encoding, "backslashreplace").decode(encoding)
