"""A terminal in memory: enough of one to see what a display leaves on the screen."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

_TOKEN = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|\r|\n|[^\x00-\x1f\x7f]|.", re.DOTALL)

_SECONDS = 240
"""For so long a command on a terminal may be silent."""


def _cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class Terminal:
    """Interprets what is written to it; anything it does not know is a failure."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns = columns
        self.lines = lines
        self.scrollback: list[str] = []
        self.rows: list[list[str]] = [[]]
        self.row = 0
        self.column = 0
        self.cursor_shown = True
        self.wraps = True
        self.clipped = 0
        """Characters written past the right edge."""
        self.colours: set[str] = set()
        """The parameters of every colour sequence seen, except the reset."""

    @property
    def text(self) -> str:
        """Everything there is to see, with what scrolled away."""
        lines = self.scrollback + [self._spell(row) for row in self.rows]
        return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"

    @property
    def screen(self) -> list[str]:
        return [self._spell(row).rstrip() for row in self.rows]

    def write(self, text: str) -> None:
        for token in _TOKEN.finditer(text):
            if token.group(3):
                self._control(token.group(1), token.group(2), token.group(3))
            elif token.group() == "\r":
                self.column = 0
            elif token.group() == "\n":
                self._line_feed()
            else:
                assert token.group() >= " ", f"control character {token.group()!r}"
                assert token.group() != "\x7f", "delete character"
                self._put(token.group())

    def resize(self, columns: int, lines: int) -> None:
        """Take another size; lines that no longer fit are broken, as most terminals do."""
        rows: list[list[str]] = []
        for index, row in enumerate(self.rows):
            if index == self.row:
                self.row = len(rows)
            while row and row[-1] == " ":
                row.pop()
            rows += [row[at : at + columns] for at in range(0, len(row), columns)] or [[]]
        self.rows, self.columns, self.lines = rows, columns, lines
        self.column = min(self.column, columns - 1)
        while len(self.rows) > lines and self.row > 0:
            self.scrollback.append(self._spell(self.rows.pop(0)))
            self.row -= 1

    def _spell(self, row: list[str]) -> str:
        return "".join(row)

    def _line_feed(self) -> None:
        self.row += 1
        if self.row == self.lines:
            self.scrollback.append(self._spell(self.rows.pop(0)))
            self.row -= 1
        if self.row == len(self.rows):
            self.rows.append([])

    def _put(self, char: str) -> None:
        width = _cells(char)
        if width and self.column + width > self.columns:
            if not self.wraps:
                self.clipped += 1
                return
            self.column = 0
            self._line_feed()
        row = self.rows[self.row]
        row += [" "] * (self.column - len(row))
        if width:
            row[self.column : self.column + width] = [char, *[""] * (width - 1)]
        elif row:
            row[-1] += char
        self.column += width

    def _control(self, private: str, parameters: str, final: str) -> None:
        if private:
            assert (parameters, final) in {(p, f) for p in ("25", "7") for f in "hl"}
            if parameters == "25":
                self.cursor_shown = final == "h"
            else:
                self.wraps = final == "h"
        elif final == "A":
            self.row = max(self.row - int(parameters or 1), 0)
        elif final == "C":
            self.column = min(self.column + int(parameters or 1), self.columns - 1)
        elif final == "K" and parameters == "2":
            self.rows[self.row].clear()
        elif final == "K":
            # With the cursor kept on a full line, terminals erase the last character.
            del self.rows[self.row][min(self.column, self.columns - 1) :]
        elif final == "J":
            if (self.row, self.column) == (0, 0) and self.columns > 1:
                self.scrollback += map(self._spell, self.rows)  # as tmux does
            del self.rows[self.row][min(self.column, self.columns - 1) :]
            del self.rows[self.row + 1 :]
        elif final == "m":
            self.colours |= {parameters} - {"0"}
        else:
            raise AssertionError(f"unknown control sequence {private}{parameters}{final}")


def run_on_terminal(
    command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, size: tuple[int, int]
) -> Terminal:
    """Run a command on a terminal until it has succeeded, and give what is on the screen then.

    Args:
        command: A program and its arguments.
        env: Its environment, without ``TERM``.
        cwd: Where it runs.
        size: Columns and lines of the terminal.
    """
    ours, theirs = pty.openpty()
    columns, lines = size
    termios.tcsetwinsize(theirs, (lines, columns))
    process = subprocess.Popen(
        command,
        env={**env, "TERM": "xterm"},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    written = bytearray()
    while select.select([ours], [], [], _SECONDS)[0]:
        try:
            written += os.read(ours, 1 << 16)
        except OSError:
            break  # the last who had the terminal open is gone
    os.close(ours)
    assert process.wait(60) == 0, bytes(written)
    screen = Terminal(columns, lines)
    screen.write(written.decode())
    return screen
