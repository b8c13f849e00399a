"""Showing a build: displays that render status updates, and the writer of our own steps.

``make_display`` is the way in. Only the display that is asked for is imported, and with it
what it needs: the terminal library is loaded on a terminal and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from dockyard.errors import InputError

if TYPE_CHECKING:
    from dockyard.progress.display import Display
    from dockyard.progress.writer import ProgressWriter

__all__ = ["MODES", "Display", "ProgressWriter", "make_display", "resolve_mode"]

MODES = ("auto", "plain", "tty", "quiet", "rawjson", "none")
"""The names that ``--progress`` takes."""


def __getattr__(name: str) -> Any:  # noqa: ANN401  # module attributes have any type
    # A mode is looked at long before something is shown.
    if name == "Display":
        from dockyard.progress.display import Display

        return Display
    if name == "ProgressWriter":
        from dockyard.progress.writer import ProgressWriter

        return ProgressWriter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def resolve_mode(mode: str, environment: Mapping[str, str], *, terminal: bool) -> str:
    """Return the mode that a display will really use; never ``auto``.

    ``BUILDKIT_PROGRESS`` counts only while ``mode`` leaves the choice open. A screen can be
    redrawn on a terminal only, so ``tty`` becomes ``plain`` elsewhere.

    Raises:
        InputError: No mode has this name.
    """
    chosen = mode or "auto"
    if chosen == "auto":
        chosen = environment.get("BUILDKIT_PROGRESS") or "auto"
    if chosen not in MODES:
        from dockyard.quote import in_line

        raise InputError(
            f"invalid progress mode {in_line(chosen)}", hint=f"the modes are {', '.join(MODES)}"
        )
    if chosen == "auto":
        return "tty" if terminal and environment.get("TERM") != "dumb" else "plain"
    return "plain" if chosen == "tty" and not terminal else chosen


def make_display(
    mode: str,
    stream: TextIO,
    *,
    environment: Mapping[str, str],
    builder: str,
    driver: str,
    debug: bool = False,
    terminal: bool | None = None,
    size: Callable[[], tuple[int, int]] | None = None,
    clock: Callable[[], int] = time.time_ns,
    before_warnings: Callable[[], None] = lambda: None,
) -> Display:
    """Return a display that writes to ``stream``.

    Args:
        mode: One of ``MODES``.
        stream: Where the progress goes, usually standard error.
        environment: Where ``BUILDKIT_PROGRESS``, ``NO_COLOR`` and the like are looked up.
        builder: The builder's name for the first line or header; empty leaves that out.
        driver: The driver's name beside it.
        debug: Show warnings at full length.
        terminal: Whether ``stream`` is a terminal; asked of the stream when not given.
        size: Gives the terminal's columns and lines; asked of the stream when not given.
        clock: Nanoseconds since the epoch.
        before_warnings: Called when all steps are shown, before the list of warnings is.

    Raises:
        InputError: No mode has this name.
    """
    if terminal is None:
        terminal = stream.isatty()
    chosen = resolve_mode(mode, environment, terminal=terminal)
    if chosen in ("quiet", "none"):
        from dockyard.progress.quiet import QuietDisplay

        return QuietDisplay(chosen)
    from dockyard.progress.output import Output

    output = Output(stream)
    if chosen == "rawjson":
        from dockyard.progress.rawjson import RawJsonDisplay

        return RawJsonDisplay(output)
    from dockyard.progress.display import Paper

    paper = Paper(
        output=output,
        environment=environment,
        builder=builder,
        driver=driver,
        debug=debug,
        terminal=terminal,
        clock=clock,
        before_warnings=before_warnings,
    )
    if chosen == "plain":
        from dockyard.progress.plain import PlainDisplay

        return PlainDisplay(paper)
    from dockyard.progress.tty import TtyDisplay

    return TtyDisplay(paper, size)
