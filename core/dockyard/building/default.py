"""The core's own answers to the build and load hooks, registered like any plugin's, and last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.builder.store import BuildRecord
from dockyard.building.cache import LocalCaches, check_caches
from dockyard.building.export import Export, ExportPlan, plan_exports
from dockyard.building.frontend import check_text, frontend_attributes, frontend_for
from dockyard.building.place import is_directory
from dockyard.building.source import LocalDirectory, Source, open_source
from dockyard.buildkit import solve as buildkit
from dockyard.cancellation import Cancellation
from dockyard.driver import (
    BuildRequest,
    BuildResult,
    Image,
    LoadResult,
    Node,
    Output,
    Progress,
)
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.errors import CanceledError, DockyardError, InputError, OutputError
from dockyard.events import StatusUpdate, VertexWarning
from dockyard.fsutil.root import DirectoryRoot, Root, VirtualRoot
from dockyard.plugin import hookimpl
from dockyard.session.auth import RegistryAuth
from dockyard.session.filesync import LocalSources
from dockyard.session.secrets import Secrets
from dockyard.session.service import Attachable
from dockyard.session.session import Session

if TYPE_CHECKING:
    from dockyard.building.link import Link
    from dockyard.building.load.loads import Loads
    from dockyard.building.load.place import ImageStores
    from dockyard.building.load.record import LoadRecords
    from dockyard.building.workbench import Workbench
    from dockyard.session.content_store import ContentStore
    from dockyard.session.oci_layout import OciLayout
    from dockyard.session.output import Outputs, Target

_SESSION_GRACE = 1.0
"""Seconds for which a build goes on without its session."""
_EXPORT_STORE = "export"
_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
}


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
        build = _NodeBuild(self._workbench, node, request, progress, cancel, self._stores)
        return build.run()

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


class _Work(NamedTuple):
    """What is the same however often it is attempted."""

    source: Source
    plan: ExportPlan
    frontend: str
    attributes: Mapping[str, str]


class _NodeBuild:
    """One build on one node."""

    def __init__(
        self,
        workbench: Workbench,
        node: Node,
        request: BuildRequest,
        progress: Progress,
        cancel: Cancellation,
        stores: Callable[[], ImageStores],
    ) -> None:
        self.workbench = workbench
        self.node = node
        self.request = request
        self.progress = progress
        self.cancel = cancel
        self._stores = stores
        self._ref = ""
        self._warnings: dict[VertexWarning, None] = {}
        self._loads: Loads | None = None
        self._outputs: Outputs | None = None
        self._caches: LocalCaches | None = None
        self._layout: OciLayout | None = None

    def run(self) -> BuildResult:
        """Solve, with everything around it, and give the result."""
        if check_caches(self.request):
            self._caches = LocalCaches()
            self.request = self._caches.prepare(self.request, self.progress.warn)
        try:
            return self._run()
        finally:
            if self._caches is not None:
                self._caches.close()

    def _run(self) -> BuildResult:
        link = self.workbench.links.get(self.node, self.cancel)
        source = open_source(self.request)
        plan = plan_exports(self.request, link.features)
        frontend, attributes = frontend_for(self.request)
        attributes |= source.attributes
        attributes |= frontend_attributes(
            self.request,
            link.features,
            driver=self.node.driver,
            proxies=self._proxies(),
            source_date_epoch=self.workbench.environment.get("SOURCE_DATE_EPOCH"),
        )
        check_text(attributes)
        work = _Work(source, plan, frontend, attributes)
        if not any(export.is_load for export in plan.exports):
            return self._attempt(work)
        from dockyard.building.load.delivery import ArchiveNeededError

        try:
            return self._attempt(work, incremental=self._may_repeat(source, link))
        except ArchiveNeededError as error:
            if source.archive is not None:  # it can be read only once
                raise error.cause from error
        return self._attempt(work)

    def _may_repeat(self, source: Source, link: Link) -> bool:
        """Say whether an image may be asked for in pieces, which may fail and be repeated.

        What comes from a pipe cannot be repeated; then it has to be likely to work.
        """
        if source.archive is None:
            return True
        from dockyard.buildkit.content import serves_blobs

        return serves_blobs(link.client)

    def _attempt(self, work: _Work, *, incremental: bool = False) -> BuildResult:
        # A second attempt is a build of its own: the daemon has a record of the first.
        self._ref = buildkit.new_id() if self._ref else self.request.ref or buildkit.new_id()
        plan = self._with_loads(work.plan, incremental=incremental)
        node_id = self._save_record()
        try:
            session, more = self._session(work.source, plan, node_id)
            attributes = {**work.attributes, **more}
            response = self._solve(session, work.frontend, attributes, plan)
            self._check_outputs()
            self._finish_directories(response)
            if plan.prefer_image_digest:
                response.pop("containerimage.config.digest", None)
            result = BuildResult(
                ref=f"{self.node.builder}/{self.node.name}/{self._ref}",
                response=response,
                warnings=tuple(self._warnings),
            )
            if self._loads is not None:
                client = self.workbench.links.get(self.node, self.cancel).client
                self._loads.finish(client, result)
        except BaseException as error:
            if self._loads is not None:
                self._loads.abandon()
                if isinstance(error, DockyardError):
                    self._loads.check_failure(error)
            raise
        finally:
            if self._layout is not None:
                self._layout.close()
        return result

    def _with_loads(self, plan: ExportPlan, *, incremental: bool) -> ExportPlan:
        """Get ready for the images that engines shall get."""
        self._loads = None
        if not any(export.type == "docker" or export.is_load for export in plan.exports):
            return plan
        from dockyard.building.load.loads import Engines, Loads

        load = partial(self.workbench.manager.load, self.node)
        engines = Engines(self.workbench.contexts, self._stores(), load)
        self._loads = Loads(engines, self.request, self.progress, self.cancel)
        return self._loads.prepare(plan, incremental=incremental)

    def _solve(
        self, session: Session, frontend: str, attributes: Mapping[str, str], plan: ExportPlan
    ) -> dict[str, str]:
        client = self.workbench.links.get(self.node, self.cancel).client
        request = buildkit.SolveRequest(
            ref=self._ref,
            session=session.id,
            frontend=frontend,
            attributes=attributes,
            exporters=tuple(
                buildkit.Exporter(type=export.type, attributes=export.attributes)
                for export in plan.exports
            ),
            cache_imports=self.request.cache_from,
            cache_exports=self.request.cache_to,
            entitlements=("network.host",) if self.request.network == "host" else (),
        )
        # Without its session a build only waits, so it has to end; but when the daemon died, the
        # other connection breaks too and says more.
        stop = Cancellation()

        def end_soon(_error: DockyardError) -> None:
            client.loop.call_later(_SESSION_GRACE, stop.cancel)

        session.on_close = end_soon
        forget = self.cancel.on_cancel(stop.cancel)
        try:
            session.open(client)
            return buildkit.solve(client, request, self._update, stop)
        except DockyardError as error:
            raise self._cause(session, error) from error
        finally:
            forget()
            session.close()

    def _cause(self, session: Session, error: DockyardError) -> DockyardError:
        """Give what went wrong on our side, when the daemon only reports that we failed."""
        if self.cancel.canceled:
            return error
        own = session.failed
        if isinstance(own, DockyardError) and not isinstance(own, CanceledError):
            return own
        if isinstance(error, CanceledError) and session.lost is not None:
            return session.lost
        return error

    def _check_outputs(self) -> None:
        """Believe the daemon that it is done only when what was to come is here."""
        if self._outputs is None:
            return
        if self._outputs.failed is not None:
            raise self._outputs.failed
        for target in self._outputs.missing:
            if self._loads is not None and not self._loads.needs(target):
                continue
            raise OutputError(f"BuildKit reports success, but sent no whole result for {target}")

    def _finish_directories(self, response: Mapping[str, str]) -> None:
        """Make found what the daemon wrote into directories, once it is known to be whole."""
        if self._layout is not None:
            from dockyard.building.layout import finish_layout

            finish_layout(self._layout, response)
        if self._caches is not None:
            self._caches.finish(response)

    def _update(self, update: StatusUpdate) -> None:
        for warning in update.warnings:
            self._warnings.setdefault(warning)
        if self._loads is not None:
            self._loads.update(update)
        else:
            self.progress.update(update)

    def _session(
        self, source: Source, plan: ExportPlan, node_id: str
    ) -> tuple[Session, dict[str, str]]:
        """Make the session, and the attributes that name what it offers."""
        environment = self.workbench.environment
        attributes: dict[str, str] = {}
        attachables: list[Attachable] = [
            LocalSources({name: _root(place) for name, place in source.directories.items()}),
            RegistryAuth(
                self.workbench.credentials,
                folder=environment.docker_config,
                variables=environment.variables,
                progress=self.progress,
            ),
            Secrets(self.request.secrets),
        ]
        targets = {
            number: self._target(number, export)
            for number, export in enumerate(plan.exports)
            if export.comes_back and not export.is_layout
        }
        if targets:
            from dockyard.session.output import Outputs

            self._outputs = Outputs(targets)
            attachables.append(self._outputs)
        stores = self._content_stores(plan)
        if stores:
            from dockyard.session.content import ContentStores

            attachables.append(ContentStores(stores))
        if source.archive is not None:
            from dockyard.session.upload import Upload

            upload = Upload(source.archive.stream, source.archive.head)
            attributes["context"] = upload.url
            attachables.append(upload)
        key = f"{source.key}:{node_id}" if source.key else ""
        return Session(shared_key=key, attachables=attachables), attributes

    def _content_stores(self, plan: ExportPlan) -> dict[str, ContentStore]:
        """Give the places for blobs, by the names that BuildKit has for them."""
        stores: dict[str, ContentStore] = {}
        if self._caches is not None:
            stores |= self._caches.stores
        for export in plan.exports:
            if export.is_layout:
                from dockyard.session.oci_layout import OciLayout

                self._layout = OciLayout(self._path(export.output))
                stores[_EXPORT_STORE] = self._layout
        if self._loads is not None and self._loads.store is not None:
            stores[_EXPORT_STORE] = self._loads.store
        return stores

    def _target(self, number: int, export: Export) -> Target:
        from dockyard.session.output import DirectoryTarget, FileTarget, StreamTarget

        output = export.output
        loading = self._loads.target(number) if self._loads is not None else None
        if loading is not None:
            return loading
        if output.dest == "-":
            if self.request.stdout is None:
                raise InputError("an output goes to stdout, and the request has none")
            return StreamTarget(stream=self.request.stdout)
        path = self._path(output)
        return DirectoryTarget(path=path) if export.type == "local" else FileTarget(path=path)

    def _path(self, output: Output) -> Path:
        return Path(self.request.working_directory, output.dest or ".")

    def _save_record(self) -> str:
        """Note that the build happens, as buildx does, and give the id of this machine."""
        place = self.request.build_context
        dockerfile = self.request.dockerfile or "Dockerfile"
        directory = Path(self.request.working_directory, place)
        if place != "-" and is_directory(directory):
            place = str(directory.resolve())
            if self.request.dockerfile is None:
                dockerfile = str(Path(place, dockerfile))
            elif dockerfile != "-":
                dockerfile = str(Path(self.request.working_directory, dockerfile))
        record = BuildRecord(
            target=self.request.target or "default", build_context=place, dockerfile=dockerfile
        )
        with self.workbench.store.locked() as records:
            records.save_build(self.node.builder, self.node.name, self._ref, record)
            return records.node_id()

    def _proxies(self) -> Mapping[str, str]:
        host = self.node.engine.host if self.node.engine else self.node.endpoint
        configured = self.workbench.environment.docker.proxies(host)
        return {arg: configured[key] for key, arg in _PROXIES.items() if configured.get(key)}


def _root(place: LocalDirectory) -> Root:
    if isinstance(place, Path):
        return DirectoryRoot(path=place)
    return VirtualRoot(files=place)
