"""The core's own answers to the build and load hooks, registered like any plugin's, and last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dockyard.builder.store import BuildRecord
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
    from typing import BinaryIO

    from dockyard.building.streamed_load import StreamedLoad
    from dockyard.building.workbench import Workbench
    from dockyard.session.output import Outputs, Target

_SESSION_GRACE = 1.0
"""Seconds for which a build goes on without its session."""
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

    @hookimpl(trylast=True)
    def dockyard_build(
        self, node: Node, request: BuildRequest, progress: Progress, cancel: Cancellation
    ) -> BuildResult:
        """Build through the node's BuildKit."""
        return _NodeBuild(self._workbench, node, request, progress, cancel).run()

    @hookimpl(trylast=True)
    def dockyard_load(
        self, image: Image, engine: EngineEndpoint, progress: Progress, cancel: Cancellation
    ) -> LoadResult | None:
        """Load an archive into an engine; an image without one is somebody else's business."""
        if image.stream is None:
            return None
        from dockyard.building.engine_load import load_into_engine

        return load_into_engine(image.stream, engine, progress, cancel)


class _NodeBuild:
    """One build on one node."""

    def __init__(
        self,
        workbench: Workbench,
        node: Node,
        request: BuildRequest,
        progress: Progress,
        cancel: Cancellation,
    ) -> None:
        self.workbench = workbench
        self.node = node
        self.request = request
        self.progress = progress
        self.cancel = cancel
        self._ref = buildkit.new_id()
        self._warnings: dict[VertexWarning, None] = {}
        self._load: StreamedLoad | None = None
        self._outputs: Outputs | None = None

    def run(self) -> BuildResult:
        """Solve, with everything around it, and give the result."""
        link = self.workbench.links.get(self.node, self.cancel)
        source = open_source(self.request)
        plan = plan_exports(self.request, link.features)
        frontend, attributes = frontend_for(self.request)
        attributes |= source.attributes
        attributes |= frontend_attributes(
            self.request,
            link.features,
            proxies=self._proxies(),
            source_date_epoch=self.workbench.environment.get("SOURCE_DATE_EPOCH"),
        )
        check_text(attributes)
        node_id = self._save_record()
        try:
            session, more = self._session(source, plan, node_id)
            response = self._solve(session, frontend, {**attributes, **more}, plan)
            self._check_outputs()
        except BaseException:
            if self._load is not None:
                self._load.abandon()
            raise
        if plan.prefer_image_digest:
            response.pop("containerimage.config.digest", None)
        return BuildResult(
            ref=f"{self.node.builder}/{self.node.name}/{self._ref}",
            response=response,
            warnings=tuple(self._warnings),
        )

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
            raise OutputError(f"BuildKit reports success, but sent no whole result for {target}")

    def _update(self, update: StatusUpdate) -> None:
        for warning in update.warnings:
            self._warnings.setdefault(warning)
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
            number: self._target(export)
            for number, export in enumerate(plan.exports)
            if export.comes_back
        }
        if targets:
            from dockyard.session.output import Outputs

            self._outputs = Outputs(targets)
            attachables.append(self._outputs)
        if source.archive is not None:
            from dockyard.session.upload import Upload

            upload = Upload(source.archive.stream, source.archive.head)
            attributes["context"] = upload.url
            attachables.append(upload)
        key = f"{source.key}:{node_id}" if source.key else ""
        return Session(shared_key=key, attachables=attachables), attributes

    def _target(self, export: Export) -> Target:
        from dockyard.session.output import DirectoryTarget, FileTarget, StreamTarget

        output = export.output
        if output.is_load:
            return StreamTarget(stream=self._streamed_load(export), closes=True)
        if output.dest == "-":
            if self.request.stdout is None:
                raise InputError("an output goes to stdout, and the request has none")
            return StreamTarget(stream=self.request.stdout)
        path = Path(self.request.working_directory, output.dest or ".")
        return DirectoryTarget(path=path) if export.type == "local" else FileTarget(path=path)

    def _streamed_load(self, export: Export) -> BinaryIO:
        from dockyard.building.streamed_load import StreamedLoad

        contexts = self.workbench.contexts
        name = export.output.attributes.get("context", "")
        engine = contexts.get(name) if name else contexts.current()
        stop = Cancellation()
        self.cancel.on_cancel(stop.cancel)

        def load(archive: BinaryIO) -> LoadResult:
            image = Image(names=self.request.tags, stream=archive)
            return self.workbench.manager.load(self.node, image, engine, self.progress, stop)

        self._load = StreamedLoad(load, stop.cancel)
        return cast("BinaryIO", self._load)

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
