"""What stands at a path, asked so that what cannot be looked at is an answer too."""

from __future__ import annotations

import os
import stat
from pathlib import Path

DIRECTORY = "is a directory"
NO_DIRECTORY = "is not a directory"
MISSING = "not found"


def is_directory(path: Path) -> bool:
    """Say whether a directory is there; a path that cannot be one, such as a long URL, is none."""
    return os.path.isdir(path)  # noqa: PTH112  # Path.is_dir raises where this says no


def is_fifo(path: Path) -> bool:
    """Say whether a FIFO is there."""
    try:
        return path.is_fifo()
    except OSError:
        return False


def state(path: Path) -> str:
    """Say in a few words what is there: one of the constants, or why it cannot be known."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return f"cannot be used: {reason[:1].lower()}{reason[1:]}"
    return DIRECTORY if stat.S_ISDIR(mode) else NO_DIRECTORY
