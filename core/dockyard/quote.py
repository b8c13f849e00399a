"""Texts of people and daemons as they stand in a message of one line."""

from __future__ import annotations

_NAMED = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def quoted(text: str) -> str:
    """Give a text in double quotes, escaped as Go's ``%q`` does."""
    return '"' + in_line(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def in_line(text: str) -> str:
    """Give a text with an escape for each character that no line can show."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8, as Python has it
        return f"\\x{ord(character) - 0xDC00:02x}"
    return _NAMED.get(character) or character.encode("unicode_escape").decode()
