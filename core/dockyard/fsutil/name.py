"""File names and system errors in words, for messages of one line."""

from __future__ import annotations

import os
from pathlib import Path


def display(path: bytes | str) -> str:
    """Give a path in double quotes that is one printable line whatever its bytes are."""
    raw = path if isinstance(path, bytes) else _encoded(path)
    text = raw.decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f'"{shown}"'


def display_in(root: Path, path: bytes) -> str:
    """Give a path below a root, or with ``b""`` the root, as :func:`display` does."""
    top = os.fsencode(root)
    return display(top.rstrip(b"/") + b"/" + path if path else top)


def _encoded(path: str) -> bytes:
    """Give the bytes of a path; one that no file system gave us may be no text at all."""
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogatepass")


def reason(error: OSError | ValueError) -> str:
    """Say in a few lower-case words why a system call failed."""
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    text = os.strerror(error.errno)
    return text[:1].lower() + text[1:]
