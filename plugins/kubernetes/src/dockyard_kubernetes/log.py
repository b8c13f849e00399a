"""What of a container's log says why it ended."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from dockyard.engine.exec import shown_lines

TAIL = 200
"""Lines that are asked for: help texts and stacks are long, and may come after what matters."""

_LAST = 10
_NO_LOG = ("failed to try resolving symlinks in path", "unable to retrieve container logs for")
"""How a machine's kubelet says, in place of a log, that it has none."""
_ERROR = "buildkitd: "
"""How BuildKit begins its last words. Then comes a stack, and maybe the help text before it."""
_PANIC = ("panic: ", "fatal error: ")


def last_words(log: str) -> list[str]:
    """Give BuildKit's own words of why it ended, or else its last lines; none of what is no log."""
    lines = shown_lines(log.encode())
    if not lines or lines[-1].startswith(_NO_LOG):
        return []
    return _error(lines) or lines[-_LAST:]


def last_word(log: str) -> str:
    """Give the one line that says most; empty where there is none."""
    lines = last_words(log)
    return next(iter(_error(lines) or lines[-1:]), "")


def _error(lines: Sequence[str]) -> list[str]:
    starts = (_ERROR, *_PANIC)
    at = next((at for at in reversed(range(len(lines))) if lines[at].startswith(starts)), None)
    if at is None:
        return []
    if lines[at].startswith(_PANIC):
        return [lines[at]]
    # The names and places of a stack are single words.
    more = takewhile(lambda line: " " in line, lines[at + 1 :])
    return [lines[at], *more][:_LAST]
