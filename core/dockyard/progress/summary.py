"""What follows a build's progress: the logs of failed steps, and the warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from dockyard.progress.model import Step

if TYPE_CHECKING:
    from dockyard.events import VertexWarning

_RULE = "------\n"


def failure_logs(steps: Iterable[Step], show: Callable[[str], str] = str) -> str:
    """Return a block for each failed step: its name and the output that was kept.

    ``show`` makes a line of foreign text fit for where it will be shown.
    """
    blocks = []
    for step in steps:
        if step.failed:
            lines = [f"{line.at} {show(line.text)}\n" for line in step.log.lines]
            blocks.append("".join([_RULE, f" > {show(step.name)}:\n", *lines, _RULE]))
    return "".join(blocks)


def warning_summary(
    warnings: Sequence[VertexWarning],
    *,
    debug: bool,
    colour: bool,
    show: Callable[[str], str] = str,
) -> str:
    """Return the warnings in a line each, or in full with ``debug``."""
    if not warnings:
        return ""
    count = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    title = f"{count} found{'' if debug else ' (use docker --debug to expand)'}:"
    if colour:
        title = f"\x1b[33m{title}\x1b[0m"
    entries = [_full(warning, show) if debug else _short(warning, show) for warning in warnings]
    return f"\n {title}\n" + "".join(entries)


def _short(warning: VertexWarning, show: Callable[[str], str]) -> str:
    return f" - {show(_text(warning.short))}\n"


def _full(warning: VertexWarning, show: Callable[[str], str]) -> str:
    lines = [_short(warning, show)]
    lines += [show(_text(detail)) + "\n" for detail in warning.detail]
    if warning.url:
        lines.append(f"More info: {show(warning.url)}\n")
    if warning.source is not None:
        # Needed in this rare case only, and it brings all of BuildKit's messages with it.
        from dockyard.buildkit.details import excerpt

        snippet = excerpt(warning.source, warning.ranges)
        lines += [show(line) + "\n" for line in snippet.split("\n")] if snippet else []
    return "".join([*lines, "\n"])


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
