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
    from dockyard.progress import ProgressWriter, make_display, resolve_mode

    variables = invocation.environment.variables
    resolve_mode(mode, variables, terminal=False)  # checks it
    cancel = invocation.cancellation
    failed = True
    with invocation.hold_notes() as give_notes:
        # First the work, because it soon waits for a daemon; displays are imported meanwhile.
        running = Running(
            lambda emit: work(ProgressWriter(emit, warn=invocation.warn), cancel), cancel
        )
        display = make_display(
            mode,
            invocation.stderr,
            environment=variables,
            builder=builder.name if titled else "",
            driver=builder.driver,
            debug=invocation.debug,
            before_warnings=give_notes,
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
