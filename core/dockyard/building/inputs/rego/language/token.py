"""Splitting a policy's text into tokens."""

from __future__ import annotations

import re
from typing import NamedTuple

from dockyard.building.inputs.rego.language.fault import PolicyFaultError

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_TOKEN = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r'|(?P<string>"(?:[^"\\\n]|\\.)*")'
    r"|(?P<raw>`[^`]*`)"
    r"|(?P<operator>:=|==|!=|<=|>=|[-+*/%&|<>=.,:;(){}\[\]])"
)
_MOST = 1 << 20
"""Characters of one file."""


class Token(NamedTuple):
    """A word, a number, a text or a sign."""

    kind: str
    """``name``, ``number``, ``string``, ``operator`` or ``end``."""
    text: str
    """As it stands there; of a string, what it means."""
    line: int
    glued: bool
    """Whether nothing stands between it and the one before."""
    first: bool
    """Whether it is the first of its line."""


def tokens(text: str, file: str) -> list[Token]:
    """Split a text.

    Raises:
        PolicyFaultError: Something in it is no Rego.
    """
    if len(text) > _MOST:
        raise PolicyFaultError(f"longer than {_MOST >> 20} MiB", file)
    found: list[Token] = []
    position, line = 0, 1
    while True:
        space = _SPACE.match(text, position)
        end = position if space is None else space.end()
        lines = text.count("\n", position, end)
        line += lines
        glued, first = end == position, bool(lines) or not found
        position = end
        if position == len(text):
            found.append(Token("end", "", line, glued=False, first=True))
            return found
        match = _TOKEN.match(text, position)
        if match is None:
            raise PolicyFaultError(f"unexpected {_shown(text, position)}", file, line)
        kind, word = match.lastgroup or "", match.group()
        if kind == "raw":
            kind, meaning = "string", word[1:-1]
        elif kind == "string":
            meaning = _unescaped(word, file, line)
        else:
            meaning = word
        found.append(Token(kind, meaning, line, glued, first))
        line += word.count("\n")
        position = match.end()


def _shown(text: str, position: int) -> str:
    if text.startswith('$"', position) or text.startswith("$`", position):
        return "template string, which is not supported"
    if text[position] in '"`':
        return "end of a text that is not closed"
    return repr(text[position])


def _unescaped(word: str, file: str, line: int) -> str:
    import json

    try:
        meaning = json.loads(word, strict=False)
    except ValueError as error:
        raise PolicyFaultError(f"the text {word} has a wrong escape", file, line) from error
    if not isinstance(meaning, str):  # a text in quotes is nothing else
        raise TypeError(word)
    return meaning
