"""Say how to install an emulator when a step failed for want of one.

BuildKit says only ``exec format error``, and says it in the step's output, not in the error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

from attrs import define, field

from dockyard.driver import Progress, Step
from dockyard.errors import BuildError, DockyardError, InputError
from dockyard.events import StatusUpdate
from dockyard.platforms import Platform

INSTALL = "docker run --privileged --rm tonistiigi/binfmt --install"
SIGN = "exec format error"
"""What the kernel says to a program of another architecture, and to a script without ``#!``."""


@contextmanager
def explained(
    progress: Progress,
    platforms: Sequence[Platform],
    available: Callable[[], Sequence[Platform]],
) -> Iterator[Progress]:
    """Run a build; a failure for want of an emulator gets a hint that says how to install it.

    Args:
        progress: Where status goes.
        platforms: What was asked for.
        available: Asks which platforms the node's workers list; called only when a build failed.

    Yields:
        What the build shall report to in place of ``progress``.
    """
    if not platforms:
        yield progress
        return
    watch = Watch(progress)
    try:
        yield watch
    except BuildError as error:
        if error.hint is None and (step := watch.unrunnable(error)) is not None:
            with suppress(DockyardError):  # a daemon that is gone explains nothing
                error.hint = emulator_hint(step, platforms, available())
        raise


def emulator_hint(
    step: str, platforms: Sequence[Platform], available: Sequence[Platform]
) -> str | None:
    """Say which emulator is missing and how to install it; None when none is.

    Args:
        step: The name of the step whose program could not be executed; empty if unknown.
        platforms: What was asked for.
        available: What the node's workers list.
    """
    listed = {(each.os, each.architecture) for each in available}
    foreign = [each for each in platforms if (each.os, each.architecture) not in listed]
    named = _platform_in(step)
    if named is not None and named in platforms:
        foreign = [each for each in foreign if each == named]
    if not foreign:
        return None
    architectures = ",".join(dict.fromkeys(each.architecture for each in foreign))
    names = ", ".join(dict.fromkeys(map(str, foreign)))
    one = len(foreign) == 1
    return (
        f"the machine that builds cannot run programs of {names}; install "
        f"{'an emulator' if one else 'emulators'} there: {INSTALL} {architectures}"
    )


@define(eq=False)
class Watch:
    """Passes progress on and remembers which steps had a program that could not be executed."""

    _progress: Progress
    _names: dict[str, str] = field(factory=dict, init=False)
    _unrunnable: set[str] = field(factory=set, init=False)

    def step(self, name: str) -> AbstractContextManager[Step]:
        """Pass on a step of our own."""
        return self._progress.step(name)

    def update(self, update: StatusUpdate, /) -> None:
        """Pass on what BuildKit reported."""
        for vertex in update.vertexes:
            self._names[vertex.digest] = vertex.name
        for log in update.logs:
            if SIGN.encode() in log.data:
                self._unrunnable.add(log.vertex)
        self._progress.update(update)

    def warn(self, text: str) -> None:
        """Pass on a warning."""
        self._progress.warn(text)

    def unrunnable(self, error: BuildError) -> str | None:
        """Give the name of the step that failed so, empty if unknown; None when none did."""
        if error.vertex in self._unrunnable:
            return self._names.get(error.vertex, "")
        # Old daemons do not tell which step it was.
        if SIGN in error.message or (error.vertex is None and self._unrunnable):
            return self._names.get(error.vertex or "", "")
        return None


def _platform_in(step: str) -> Platform | None:
    """Give the platform that a step's name begins with: ``[linux/arm64 builder 2/3] RUN ...``."""
    found = re.match(r"\[([a-z0-9]+/[^ \]]+)[ \]]", step)
    with suppress(InputError):
        return Platform.parse(found[1]) if found else None
    return None
