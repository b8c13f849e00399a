"""The colours of the terminal display, as ``BUILDKIT_COLORS`` changes them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.color import Color
    from rich.style import Style

_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def make_palette(environment: Mapping[str, str]) -> dict[str, Style]:
    """Return the style of each kind of line.

    ``BUILDKIT_COLORS`` reads ``run=green:error=255,100,0``; what it does not name, or names in a
    way that makes no sense, keeps its colour.
    """
    from rich.color import Color
    from rich.style import Style

    colours = {
        # Blue is too dark to be read on the usual Windows terminal.
        "run": Color.parse("cyan" if sys.platform == "win32" else "blue"),
        "error": Color.parse("red"),
        "cancel": Color.parse("yellow"),
        "warning": Color.parse("yellow"),
    }
    for entry in filter(None, environment.get("BUILDKIT_COLORS", "").split(":")):
        kind, _, value = entry.partition("=")
        colour = _parse(value.strip().lower())
        if kind.strip() in colours and colour is not None:
            colours[kind.strip()] = colour
        else:
            _complain(entry)
    return {kind: Style(color=colour) for kind, colour in colours.items()} | {
        "log": Style(dim=True)
    }


def _parse(value: str) -> Color | None:
    from rich.color import Color

    if value in _NAMES:
        return Color.parse(value)
    if value.removeprefix("light-") in _NAMES:
        return Color.parse("bright_" + value.removeprefix("light-"))
    parts = [part.strip() for part in value.split(",")]
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    red, green, blue = (int(part) for part in parts)
    return Color.from_rgb(red, green, blue) if max(red, green, blue) <= 255 else None


def _complain(entry: str) -> None:
    import logging

    logging.getLogger(__name__).warning("BUILDKIT_COLORS: cannot use %r", entry)
