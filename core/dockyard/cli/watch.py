"""Do work in a thread while this one shows its progress and takes signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dockyard.builder.builder import Builder
from dockyard.cancellation import Cancellation
from dockyard.cli.invocation import Invocation
from dockyard.driver import Progress

_Result = TypeVar("_Result")


def watch(
    invocation: Invocation,
    builder: Builder,
    work: Callable[[Progress, Cancellation], _Result],
    *,
    mode: str = "auto",
    titled: bool = False,
) -> _Result:
    """Run the work to its end, and give its result or raise its error.

    Notes and warnings are held back for as long as the display has the terminal.

    Args:
        invocation: The command's surroundings.
        builder: Whose name the display shows.
        work: Is given where to report, and the switch that Ctrl-C turns.
        mode: Of the display.
        titled: Whether the display begins with the builder's name.
    """
    from dockyard.building.running import Running
    from dockyard.progress import ProgressWriter, make_display

    cancel = invocation.cancellation
    display = make_display(
        mode,
        invocation.stderr,
        environment=invocation.environment.variables,
        builder=builder.name if titled else "",
        driver=builder.driver,
        debug=invocation.debug,
    )
    failed = True
    with invocation.hold_notes():
        running = Running(
            lambda emit: work(ProgressWriter(emit, warn=invocation.warn), cancel), cancel
        )
        try:
            for update in running.events(display.interval):
                if update is None:
                    display.tick()
                else:
                    display.update(update)
            result = running.result()
            failed = False
        finally:
            display.close(failed)
    return result
