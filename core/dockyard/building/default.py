"""The core's own answers to the build and load hooks, registered like any plugin's, and last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.plugin import hookimpl

if TYPE_CHECKING:
    from dockyard.building.load.place import ImageStores
    from dockyard.building.load.record import LoadRecords
    from dockyard.building.workbench import Workbench
    from dockyard.cancellation import Cancellation
    from dockyard.driver import BuildRequest, BuildResult, Image, LoadResult, Node, Progress
    from dockyard.engine.endpoint import EngineEndpoint


class Defaults:
    """Builds through a node's BuildKit, and loads by streaming into an engine."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._known_stores: ImageStores | None = None

    @hookimpl(trylast=True)
    def dockyard_build(
        self, node: Node, request: BuildRequest, progress: Progress, cancel: Cancellation
    ) -> BuildResult:
        """Build through the node's BuildKit."""
        from dockyard.building.attempt import build_on_node
        from dockyard.building.job import Job

        job = Job(self._workbench, node, request, progress, cancel)
        return build_on_node(job, self._stores)

    @hookimpl(trylast=True)
    def dockyard_load(
        self, image: Image, engine: EngineEndpoint, progress: Progress, cancel: Cancellation
    ) -> LoadResult | None:
        """Load an image into an engine; one that is nowhere to read is somebody else's business."""
        if image.content is not None:
            from dockyard.building.load.incremental import load_content

            return load_content(image, engine, self._stores(), self._records(), progress, cancel)
        if image.stream is not None:
            from dockyard.building.load.stream import load_stream

            return load_stream(image.stream, engine, progress, cancel)
        return None

    def _stores(self) -> ImageStores:
        from dockyard.building.load.place import ImageStores

        if self._known_stores is None:
            self._known_stores = ImageStores()
        return self._known_stores

    def _records(self) -> LoadRecords:
        from dockyard.building.load.record import LoadRecords

        environment = self._workbench.environment
        return LoadRecords(environment.buildx, owner=environment.owner)
