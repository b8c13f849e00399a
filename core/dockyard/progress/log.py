"""A step's output: lines put together from chunks that may end anywhere."""

from __future__ import annotations

import codecs
from collections import deque
from typing import NamedTuple


class LogLine:
    """One line of output, perhaps still being written."""

    __slots__ = ("at", "parts")

    def __init__(self, at: str, parts: list[str]) -> None:
        self.at = at
        """Seconds since the step started, as shown before the line."""
        self.parts = parts

    @property
    def text(self) -> str:
        """The line as far as it is known."""
        return "".join(self.parts)


class LogPiece(NamedTuple):
    """What one chunk adds to one line. A tuple, as there are very many of them."""

    at: str
    text: str
    begins: bool
    """It is the start of a line."""
    ends: bool
    """Its line is complete."""


class LogKeeper:
    """Puts a step's lines together and keeps the last of them.

    Both output streams share the lines, as on a terminal, but a character whose bytes are
    split between chunks is put together within its own stream.
    """

    def __init__(self, max_lines: int | None, max_characters: int) -> None:
        self.lines: deque[LogLine] = deque()
        self.last_change = 0
        self._open: LogLine | None = None
        self._max_lines = max_lines
        self._max_characters = max_characters
        self._characters = 0
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}

    def feed(self, stream: int, data: bytes, at: str) -> list[LogPiece]:
        """Add a chunk that came ``at`` these seconds, and return what it says."""
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            self._decoders[stream] = decoder
        *complete, rest = decoder.decode(data).split("\n")
        pieces = [self._add(text, at, ends=True) for text in complete]
        if rest:
            pieces.append(self._add(rest, at, ends=False))
        self._forget_surplus()
        return pieces

    def forget(self) -> None:
        """Drop all complete lines; they will not be asked for."""
        self.lines = deque([self._open] if self._open else [])
        self._characters = len(self._open.text) if self._open else 0

    def _add(self, text: str, at: str, *, ends: bool) -> LogPiece:
        line = self._open
        self._characters += len(text)
        if line is None:
            self.lines.append(LogLine(at, [text]))
        else:
            line.parts.append(text)
        self._open = None if ends else self.lines[-1]
        return LogPiece(at if line is None else line.at, text, line is None, ends)

    def _forget_surplus(self) -> None:
        lines = self.lines
        while len(lines) > 1 and (
            self._characters > self._max_characters
            or (self._max_lines is not None and len(lines) > self._max_lines)
        ):
            self._characters -= sum(map(len, lines.popleft().parts))
        if self._characters > self._max_characters:
            # A single line without end, such as a progress bar's.
            lines[0].parts = [lines[0].text[-(self._max_characters // 2) :]]
            self._characters = len(lines[0].parts[0])
