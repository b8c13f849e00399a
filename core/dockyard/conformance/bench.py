"""Where one driver is tried: builders that only it sees, and what the command line does to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, NoReturn, TypeVar, Unpack

from dockyard.api import BuildOptions, request
from dockyard.builder.builder import BuilderLoader
from dockyard.builder.creation import Creation, Wish, undo
from dockyard.builder.selection import choose
from dockyard.building.run import open_builder, run_build, sticky_key
from dockyard.building.workbench import Workbench
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.conformance.leftovers import engine_leftovers
from dockyard.conformance.subject import Subject
from dockyard.conformance.trial import Fault, Trial, fault
from dockyard.driver import (
    Booted,
    BuildRequest,
    BuildResult,
    Connection,
    DriverType,
    Node,
    NodeFeatures,
    NodeStatus,
    Worker,
)
from dockyard.errors import BuilderError, DockyardError
from dockyard.events import StatusUpdate, Vertex
from dockyard.plugin import hookimpl
from dockyard.plugin.manager import PluginManager
from dockyard.progress.writer import ProgressWriter

_Value = TypeVar("_Value")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Built(NamedTuple):
    """A build that succeeded."""

    result: BuildResult
    vertexes: tuple[Vertex, ...]
    """Everything that was said about its steps."""
    warnings: tuple[str, ...]


class Bench:
    """One driver, and the builders that were made of it."""

    def __init__(self, subject: Subject, home: Path) -> None:
        self.subject = subject
        self.home = home
        variables = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(home),
            "DOCKER_CONFIG": str(home / "docker"),
            **({"DOCKER_HOST": subject.engine} if subject.engine else {}),
            **subject.variables,
        }
        self.environment = Environment.from_process(variables=variables)
        self.manager = PluginManager.of(self.environment)
        self.workbench = Workbench.of(self.environment, self.manager)
        self._watcher = _Watcher()
        self.manager.register(self._watcher, "conformance")

    @property
    def declared(self) -> DriverType:
        """The driver's declaration."""
        return self.manager.driver_type(self.subject.driver)

    @property
    def sent(self) -> int:
        """How many builds have gone to a node."""
        return self._watcher.builds

    def fault(self, words: str) -> NoReturn:
        """Fail the test, and say whose fault it is."""
        fault(f"driver {self.subject.driver!r}: {words}")

    @contextmanager
    def promised(self, words: str) -> Iterator[None]:
        """Turn an error of the block into a fault that begins with these words."""
        try:
            yield
        except DockyardError as error:
            self.fault(f"{words}: {error}")

    # --- builders ---------------------------------------------------------------------------

    def create(self, *, options: Mapping[str, str] = _NOTHING, config: Path | None = None) -> str:
        """Make a builder that has not booted, and give its name.

        Raises:
            DockyardError: It is refused. Nothing is left of it then.
        """
        subject = self.subject
        if not self.declared.creatable:
            if options or config is not None:
                raise BuilderError(f"builders of driver {subject.driver} cannot be created")
            return "default"
        wish = Wish(
            name=f"conformance-{os.urandom(4).hex()}",
            driver=subject.driver,
            endpoint=subject.endpoint,
            options={**subject.options, **options},
            config=config,
        )
        bench = self.workbench
        creation = Creation(self.environment, bench.store, bench.contexts, self.manager)
        change = creation.create(wish)
        try:
            self._loaded(change.after.name)
        except BaseException:
            undo(bench.store, change)
            raise
        return change.after.name

    def node(self, name: str) -> Node:
        """Make a builder's node anew, as every command does.

        Raises:
            DockyardError: It cannot be used.
        """
        node = self._loaded(name)
        if node.driver != self.subject.driver:
            self.fault(f"the docker context is served by driver {node.driver!r} instead")
        return node

    def _loaded(self, name: str) -> Node:
        bench = self.workbench
        loader = BuilderLoader(self.manager, bench.contexts)
        (builder,) = loader.load([choose(bench.store, bench.contexts, name)])
        if (error := builder.first_error()) is not None:
            raise error
        (info,) = builder.nodes
        assert info.node is not None  # or there were an error
        return info.node

    def things(self, name: str) -> list[str] | None:
        """Name what exists because of a builder; None when there is no way to know."""
        find = self.subject.leftovers
        if find is None and self.subject.engine:
            find = engine_leftovers(self.subject.engine)
        return None if find is None else sorted(find(name))

    # --- one method a hook; none of them hangs ----------------------------------------------

    def status(self, node: Node) -> NodeStatus:
        return self.answer("dockyard_status", lambda: self.manager.status(node))

    def boot(
        self,
        node: Node,
        *,
        emit: Callable[[StatusUpdate], None] = lambda _: None,
        cancel: Cancellation | None = None,
    ) -> Trial[Booted]:
        """Start to boot a node."""
        switch = cancel or Cancellation()
        progress = ProgressWriter(emit)
        return self.trial(
            "dockyard_bootstrap", lambda: self.manager.bootstrap(node, progress, switch)
        )

    def connect(self, node: Node) -> Connection:
        switch = Cancellation()
        try:
            return self.answer("dockyard_connect", lambda: self.manager.connect(node, switch))
        except Fault:
            switch.cancel()
            raise

    def workers(self, node: Node) -> tuple[Worker, ...]:
        """Ask the node's daemon who works for it."""
        from dockyard.buildkit.client import Client

        connection = self.connect(node)
        try:
            client = Client(connection)
            return self.answer("the daemon behind dockyard_connect", client.workers)
        finally:
            connection.close()

    def features(self, node: Node) -> NodeFeatures:
        workers = self.workers(node)
        return self.answer("dockyard_features", lambda: self.manager.features(node, workers))

    def stop(self, node: Node) -> None:
        trial = self.trial("dockyard_stop", lambda: self.manager.stop(node))
        trial.result(self.subject.boot_seconds)

    def remove(self, node: Node) -> None:
        trial = self.trial("dockyard_rm", lambda: self.manager.remove(node, force=True))
        trial.result(self.subject.boot_seconds)

    def discard(self, name: str) -> None:
        """Take a builder away, as far as that works."""
        with suppress(DockyardError, Fault):
            node = self.node(name)
            with suppress(DockyardError, Fault):
                self.stop(node)
            with suppress(DockyardError, Fault):
                self.remove(node)
        if self.declared.creatable:
            with suppress(DockyardError), self.workbench.store.locked() as records:
                records.remove(name)

    @contextmanager
    def builder(
        self, *, options: Mapping[str, str] = _NOTHING, config: Path | None = None
    ) -> Iterator[str]:
        """Make a builder for the block."""
        name = self.create(options=options, config=config)
        try:
            yield name
        finally:
            self.discard(name)

    @contextmanager
    def fresh(self, name: str) -> Iterator[str]:
        """Make a builder that shares no cache with another, if the driver can make one."""
        if not self.declared.creatable:
            yield name
            return
        with self.builder() as other:
            yield other

    # --- builds -----------------------------------------------------------------------------

    def build(self, name: str, context: Path, **options: Unpack[BuildOptions]) -> Built:
        """Build as the command line does, within the time that a small build may take.

        Raises:
            DockyardError: The build failed.
        """
        asked = request(context, **options)
        switch = Cancellation()
        trial = self.trial("a build", lambda: self.run(name, asked, cancel=switch))
        try:
            return trial.result(self.subject.boot_seconds)
        finally:
            switch.cancel()

    def run(
        self,
        name: str,
        asked: BuildRequest,
        *,
        cancel: Cancellation,
        emit: Callable[[StatusUpdate], None] = lambda _: None,
    ) -> Built:
        """Build, for however long it takes.

        Raises:
            DockyardError: The build failed.
        """
        vertexes: list[Vertex] = []
        warnings: list[str] = []

        def on_update(update: StatusUpdate) -> None:
            vertexes.extend(update.vertexes)
            emit(update)

        result = run_build(
            self.workbench,
            open_builder(self.workbench, name, sticky_key=sticky_key(asked)),
            asked,
            progress=ProgressWriter(on_update, warn=warnings.append),
            cancel=cancel,
        )
        return Built(result, tuple(vertexes), tuple(warnings))

    # --- time -------------------------------------------------------------------------------

    def trial(self, what: str, work: Callable[[], _Value]) -> Trial[_Value]:
        """Start a piece of work that may hang."""
        return Trial(f"driver {self.subject.driver!r}: {what}", work)

    def answer(self, what: str, work: Callable[[], _Value]) -> _Value:
        """Do what has to end soon."""
        return self.trial(what, work).result(self.subject.answer_seconds)


class _Watcher:
    """Counts the builds that reach a node."""

    def __init__(self) -> None:
        self.builds = 0

    @hookimpl(wrapper=True)
    def dockyard_build(self) -> Generator[None, BuildResult, BuildResult]:
        """Count, and change nothing."""
        self.builds += 1
        return (yield)
