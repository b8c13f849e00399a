"""A few lines of a terminal that are drawn again and again in the same place.

The only module that touches ``rich``, which knows colours and the widths of characters.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dockyard.progress.display import Paper

_CONTROL_SEQUENCE = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
_STRING_SEQUENCE = r"(?:\x1b[P\]X^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
_ESCAPE = re.compile(rf"{_CONTROL_SEQUENCE}|{_STRING_SEQUENCE}|\x1b[ -/]*[0-~]?")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
# Controls, what turns the direction of writing, line separators and halves of surrogates.
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_HIDE_CURSOR = "\x1b[?25l"
_SHOW_CURSOR = "\x1b[?25h"
_WRAP_OFF = "\x1b[?7l"
_WRAP_ON = "\x1b[?7h"
_ERASE_LINE = "\x1b[K"
_ERASE_BELOW = "\x1b[J"
# From the second column, as a terminal erased from its very first cell may take that for "clear"
# and keep a copy of the old screen in its history (tmux does).
_ERASE_ALL = "\x1b[2K\x1b[C\x1b[J\r"
_DEFAULT_SIZE = (80, 24)
_GAP = 2
"""Columns between the two parts of a row, at least."""
_SHORTEST = 16
"""Columns of a row's name below which the amount beside it goes."""


class Line(NamedTuple):
    """One line of the screen, with one colour."""

    text: str
    style: str = ""
    """``run``, ``error``, ``cancel``, ``warning``, ``log``, or empty."""


def printable(text: str, *, colour: bool = False, limit: int | None = None) -> str:
    """Return foreign text as it can be shown in a line without harm to the screen.

    Of what was overwritten with carriage returns the last remains. Escape sequences go, except
    those that set colours if ``colour`` is true. Characters beyond ``limit`` are not looked at.
    """
    text = text.rstrip("\r")
    text = text[text.rfind("\r") + 1 :][:limit]
    if text.isascii() and text.isprintable():
        return text
    text = text.expandtabs(8)
    pieces: list[str] = []
    painted = False
    end = 0
    for match in _ESCAPE.finditer(text):
        pieces.append(_UNPRINTABLE.sub("", text[end : match.start()]))
        if colour and _COLOUR.fullmatch(match.group()):
            painted = True
            pieces.append(match.group())
        end = match.end()
    pieces.append(_UNPRINTABLE.sub("", text[end:]))
    return "".join(pieces) + ("\x1b[0m" if painted else "")


class Screen:
    """Draws lines over those drawn before.

    Every frame is written in one piece that ends with the cursor shown and wrapping on, at the
    start of the last line: however the program ends, the terminal is left usable.
    """

    def __init__(self, paper: Paper, size: Callable[[], tuple[int, int]] | None) -> None:
        from rich.cells import cell_len, set_cell_size
        from rich.console import COLOR_SYSTEMS, Console

        from dockyard.progress.palette import make_palette

        self._output = paper.output
        self._size = size or self._ask_size
        self._cell_len = cell_len
        self._set_cell_size = set_cell_size
        console = Console(file=paper.output.stream, force_terminal=True, _environ=paper.environment)
        self._colours = COLOR_SYSTEMS[console.color_system] if console.color_system else None
        self.colour = paper.colour and self._colours is not None
        self._styles = make_palette(paper.environment) if self.colour else {}
        self.columns, self.lines = _DEFAULT_SIZE
        self._drawn: list[int] = []
        """The widths of the lines on the screen."""
        self._drawn_size = _DEFAULT_SIZE

    def measure(self) -> None:
        """Ask for the terminal's size; ``columns`` and ``lines`` say it from now on."""
        columns, lines = self._size()
        # A terminal whose size nobody has set says 0.
        self.columns = columns if columns > 0 else _DEFAULT_SIZE[0]
        self.lines = lines if lines > 0 else _DEFAULT_SIZE[1]

    def width(self, text: str) -> int:
        """Return how many columns a text takes."""
        return len(text) if text.isascii() else self._cell_len(text)

    def fit(self, text: str, width: int) -> str:
        """Return the text cut to at most ``width`` columns."""
        return text if self.width(text) <= width else self._set_cell_size(text, width).rstrip()

    def row(self, left: str, right: str, amount: str = "") -> str:
        """Return a line with ``right`` at its right edge, if there is room for it.

        The last column stays free. ``amount`` follows ``left``, which gives way to it.
        """
        columns = max(self.columns - 1, 1)
        room = columns - self.width(right) - _GAP
        if not right or room < 1:
            room, right = columns, ""
        beside = room - self.width(amount) - 1
        if amount and beside >= _SHORTEST:
            left = f"{self.fit(left, beside)} {amount}"
        left = self.fit(left, room)
        if not right:
            return left
        return left + " " * (columns - self.width(left) - self.width(right)) + right

    def draw(self, lines: Sequence[Line]) -> None:
        """Put these lines, no more than fit, in the place of those drawn before."""
        frame = [_HIDE_CURSOR, _WRAP_OFF, self._go_to_top()]
        widths = [self.width(line.text) for line in lines]
        for index, (line, width) in enumerate(zip(lines, widths, strict=True)):
            frame += ["\r\n" if index else "", self._paint(line)]
            # On a full line the cursor is still on its last character, which would be erased.
            if width < self.columns:
                frame.append(_ERASE_LINE)
        unchanged = self._drawn_size == (self.columns, self.lines)
        if unchanged and len(self._drawn) > len(lines):
            frame.append(f"\r\n{_ERASE_BELOW}\x1b[A")
        frame += ["\r", _WRAP_ON, _SHOW_CURSOR]
        self._drawn = widths
        self._drawn_size = (self.columns, self.lines)
        self._output.write("".join(frame))

    def leave(self, lines: Sequence[Line], after: str) -> None:
        """Replace what was drawn by any number of lines that stay, then write ``after``."""
        if not (self._drawn or lines or after):
            return
        page = [_WRAP_OFF, self._go_to_top(), _ERASE_ALL if self._drawn else ""]
        for line in lines:
            page += [self._paint(line), "\r\n"]
        page += [_WRAP_ON, _SHOW_CURSOR, after]
        self._drawn = []
        self._output.write("".join(page))

    def _paint(self, line: Line) -> str:
        style = self._styles.get(line.style)
        return style.render(line.text, color_system=self._colours) if style else line.text

    def _go_to_top(self) -> str:
        rows = len(self._drawn) - 1
        erase = ""
        if self._drawn and self._drawn_size != (self.columns, self.lines):
            # A terminal made narrower has broken the lines that no longer fit.
            rows = sum(max(-(-width // self.columns), 1) for width in self._drawn[:-1])
            erase = _ERASE_ALL
        return "\r" + (f"\x1b[{rows}A" if rows > 0 else "") + erase

    def _ask_size(self) -> tuple[int, int]:
        try:
            return os.get_terminal_size(self._output.stream.fileno())
        except (OSError, ValueError):
            return _DEFAULT_SIZE
