"""How ``./dev`` speaks: lines on standard error, and one exception that is one line."""

from __future__ import annotations

import sys


class DevError(Exception):
    """Something the person at the keyboard has to know; ``./dev`` prints it and ends with 1."""


def say(text: str) -> None:
    """Tell what happens, on standard error: standard output belongs to results."""
    sys.stderr.write(f"dev: {text}\n")
    sys.stderr.flush()
