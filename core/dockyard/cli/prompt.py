"""Questions to the person at the terminal."""

from __future__ import annotations

from dockyard.cli.invocation import Invocation


def confirm(invocation: Invocation, question: str) -> bool:
    """Ask; only ``y`` is a yes, and so is the end of the input a no."""
    invocation.stdout.write(f"{question} [y/N] ")
    invocation.stdout.flush()
    return invocation.stdin.readline().strip().lower() == "y"
