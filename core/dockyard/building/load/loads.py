"""All images of one build that engines shall get; usually one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dockyard.building.export import Export, ExportPlan, fit_loads
from dockyard.building.load.delivery import Delivery, IncrementalDelivery, can_be_incremental
from dockyard.building.load.place import ImageStores
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildRequest, BuildResult, Image, LoadResult, Progress
from dockyard.engine.context import DockerContexts
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.errors import (
    BuilderNotFoundError,
    DockyardError,
    EngineError,
    EngineUnreachableError,
    InputError,
)
from dockyard.events import StatusUpdate
from dockyard.quote import in_line

if TYPE_CHECKING:
    from dockyard.buildkit.client import Client
    from dockyard.session.content_store import ExportStore
    from dockyard.session.output import Target

Load = Callable[[Image, EngineEndpoint, Progress, Cancellation], LoadResult]


class Engines(NamedTuple):
    """Where images can go, and who brings them there."""

    contexts: DockerContexts
    stores: ImageStores
    load: Load

    def of(self, export: Export) -> EngineEndpoint:
        """Give the engine that an export is for.

        Raises:
            InputError: There is no such docker context.
        """
        name = export.output.attributes.get("context", "")
        if not name:
            return self.contexts.current()
        try:
            return self.contexts.get(name)
        except BuilderNotFoundError as error:
            message = f"unable to parse docker host `{in_line(name)}`"
            raise InputError(message, hint=error.hint) from error

    def has_containerd(self, export: Export, cancel: Cancellation) -> bool | None:
        """Say whether that engine has containerd's image store; None when it does not tell.

        Raises:
            EngineUnreachableError: No engine answers.
        """
        try:
            return self.stores.get(self.of(export), cancel).containerd
        except EngineUnreachableError:
            raise
        except EngineError:
            return None


class Loads:
    """The deliveries of one attempt to build, by the number of their exporter."""

    def __init__(
        self, engines: Engines, request: BuildRequest, progress: Progress, cancel: Cancellation
    ) -> None:
        self._engines = engines
        self._request = request
        self._progress = progress
        self._cancel = cancel
        self._deliveries: dict[int, Delivery] = {}
        self._incremental: tuple[int, Export, IncrementalDelivery] | None = None

    def prepare(self, plan: ExportPlan, *, incremental: bool) -> ExportPlan:
        """Make ready to take what is planned, and give the plan as it shall be asked for.

        Args:
            plan: What was planned.
            incremental: Whether the first image may be asked for in pieces.

        Raises:
            InputError: An engine's store does not take images for several platforms.
            EngineUnreachableError: An engine does not answer.
        """
        has_containerd = partial(self._engines.has_containerd, cancel=self._cancel)
        plan = fit_loads(plan, self._request, lambda export: bool(has_containerd(export)))
        exports = list(plan.exports)
        taken = any(export.is_layout for export in exports)  # the session's only such store
        incremental = incremental and len(self._request.platforms) < 2 and not taken
        for number, export in enumerate(exports):
            if not export.is_load:
                continue
            load = partial(self._load, self._engines.of(export))
            names = tuple(filter(None, export.attributes.get("name", "").split(",")))
            known = () if "*" in names else names
            if incremental and has_containerd(export) is not None and can_be_incremental(export):
                incremental = False  # the session has one store to export into
                delivery = IncrementalDelivery(known, load, self._progress, self._cancel)
                self._incremental = (number, export, delivery)
                self._deliveries[number] = delivery
                attributes = {**export.attributes, "tar": "false"}
                exports[number] = export._replace(attributes=attributes)
            else:
                self._deliveries[number] = Delivery(known, load, self._progress, self._cancel)
        return plan._replace(exports=tuple(exports))

    @property
    def store(self) -> ExportStore | None:
        """Where the daemon writes an image in pieces."""
        return self._incremental[2].store if self._incremental else None

    def target(self, number: int) -> Target | None:
        """Give where the archive of an exporter goes, when that is an engine."""
        delivery = self._deliveries.get(number)
        return delivery.target if delivery else None

    def needs(self, target: Target) -> bool:
        """Say whether a target should have got something: not when it came in pieces."""
        if self._incremental is None:
            return True
        delivery = self._incremental[2]
        return target is not delivery.target or not delivery.came

    def update(self, update: StatusUpdate) -> None:
        """Show what BuildKit reports."""
        if self._incremental is not None:
            update = self._incremental[2].sending.take(update)
        self._progress.update(update)

    def check_failure(self, error: DockyardError) -> None:
        """Look whether a build failed only because of how an image was asked for.

        Raises:
            ArchiveNeededError: It did.
        """
        if self._incremental is not None:
            self._incremental[2].check_failure(error)

    def finish(self, client: Client, response: BuildResult) -> None:
        """Load what came in pieces.

        Raises:
            ArchiveNeededError: That did not do.
        """
        if self._incremental is not None:
            _, export, delivery = self._incremental
            delivery.finish(
                client,
                containerd=bool(self._engines.has_containerd(export, self._cancel)),
                names=response.names,
            )

    def abandon(self) -> None:
        """End everything that was begun: the build failed."""
        for delivery in self._deliveries.values():
            delivery.abandon()

    def _load(
        self, engine: EngineEndpoint, image: Image, progress: Progress, cancel: Cancellation
    ) -> LoadResult:
        return self._engines.load(image, engine, progress, cancel)
