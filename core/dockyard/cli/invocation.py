"""One run of a command: what surrounds it, what it reads and writes, and how it is ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from dockyard.builder.builder import BuilderLoader
    from dockyard.builder.store import Store
    from dockyard.cancellation import Cancellation
    from dockyard.config import Environment
    from dockyard.engine.context import DockerContexts
    from dockyard.plugin.manager import PluginManager


class Mode(Enum):
    """As what we were called. The value is how a person calls us."""

    DOCKYARD = "dockyard"
    STANDALONE = "docker-buildx"
    PLUGIN = "docker buildx"


class Invocation:
    """Everything that a command works with. What is costly is made when it is asked for."""

    def __init__(
        self,
        *,
        mode: Mode,
        environment: Environment,
        builder: str,
        debug: bool,
        stdin: TextIO,
        stdout: TextIO,
        stderr: TextIO,
    ) -> None:
        self.mode = mode
        self.environment = environment
        self.builder = builder
        """The name that ``--builder`` or ``BUILDX_BUILDER`` gave; may be empty."""
        self.debug = debug
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._held: list[str] | None = None

    @cached_property
    def store(self) -> Store:
        """The builder records."""
        from dockyard.builder.store import Store

        return Store.of(self.environment)

    @cached_property
    def contexts(self) -> DockerContexts:
        """The docker contexts."""
        from dockyard.engine.context import DockerContexts

        return DockerContexts(self.environment)

    @cached_property
    def manager(self) -> PluginManager:
        """The installed plugins."""
        from dockyard.plugin.manager import PluginManager

        return PluginManager.of(self.environment)

    @cached_property
    def loader(self) -> BuilderLoader:
        """What makes builders of records."""
        from dockyard.builder.builder import BuilderLoader

        return BuilderLoader(self.manager, self.contexts)

    @cached_property
    def cancellation(self) -> Cancellation:
        """The switch that the first Ctrl-C turns.

        Whoever asks for it promises to end when it is turned: from then on Ctrl-C raises nothing
        the first time. Commands that never ask are ended by KeyboardInterrupt.
        """
        from dockyard.cli.interrupt import Interruption

        interruption = Interruption()
        interruption.install(self.environment.variables)
        return interruption.cancellation

    def echo(self, text: str) -> None:
        """Write a line of output."""
        self.stdout.write(f"{text}\n")

    def note(self, text: str) -> None:
        """Write a line beside the output, where people look and scripts don't."""
        if self._held is not None:
            self._held.append(text)
            return
        self.stderr.write(f"{text}\n")
        self.stderr.flush()

    def warn(self, text: str) -> None:
        """Write a warning."""
        self.note(f"WARNING: {text}")

    @contextmanager
    def hold_notes(self) -> Iterator[Callable[[], None]]:
        """Keep notes and warnings back for as long as a display has the terminal.

        What it gives writes them, and lets those that follow through.
        """
        if self._held is not None:
            yield lambda: None
            return
        self._held = []
        try:
            yield self._give_notes
        finally:
            self._give_notes()

    def _give_notes(self) -> None:
        held, self._held = self._held, None
        for text in held or ():
            self.note(text)
