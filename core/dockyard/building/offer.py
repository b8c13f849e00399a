"""What a build offers the daemon over its session, and what it takes from it there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.building.export import Export, ExportPlan
from dockyard.building.inputs.source import LocalDirectory
from dockyard.building.job import Job
from dockyard.building.prepare import Work
from dockyard.driver import Output
from dockyard.errors import InputError, OutputError
from dockyard.fsutil.root import DirectoryRoot, Root, VirtualRoot
from dockyard.session.auth import RegistryAuth
from dockyard.session.filesync import LocalSources
from dockyard.session.service import Attachable
from dockyard.session.session import Session

if TYPE_CHECKING:
    from dockyard.building.load.loads import Loads
    from dockyard.session.content_store import ContentStore
    from dockyard.session.oci_layout import OciLayout
    from dockyard.session.output import Outputs, Target

_EXPORT_STORE = "export"
"""What BuildKit calls the store that it writes an image to."""


class Offer:
    """The services of one attempt to build. What they hold is let go by :meth:`close`."""

    def __init__(
        self, job: Job, work: Work, plan: ExportPlan, loads: Loads | None, node_id: str
    ) -> None:
        """Make the services.

        Args:
            job: The build.
            work: What it needs.
            plan: What it shall give.
            loads: Takes the images that go into engines.
            node_id: This machine, to tell its directories from another's.

        Raises:
            InputError: An output has no place to go.
            OutputError: An output's place cannot be written.
        """
        self._work = work
        self._loads = loads
        self._layout: OciLayout | None = None
        self._outputs = self._open_outputs(plan)
        self.attributes: dict[str, str] = work.inputs.contexts.shared_keys(node_id)
        """What tells the frontend the names of what is offered."""
        services = [*self._sources(job), *self._places(plan), *self._archive(), *self._policies()]
        source = work.source
        key = f"{source.key}:{node_id}" if source.key else ""
        self.session = Session(shared_key=key, attachables=services)

    def check(self) -> None:
        """Believe the daemon that it is done only when what was to come is here.

        Raises:
            OutputError: A result is missing, or could not be written.
        """
        if self._outputs is None:
            return
        if self._outputs.failed is not None:
            raise self._outputs.failed
        for target in self._outputs.missing:
            if self._loads is not None and not self._loads.needs(target):
                continue
            raise OutputError(f"BuildKit reports success, but sent no whole result for {target}")

    def finish(self, response: Mapping[str, str]) -> None:
        """Make found what the daemon wrote into directories, once it is known to be whole.

        Args:
            response: What the exporters answered.

        Raises:
            OutputError: It is not whole, or an index cannot be written.
        """
        if self._layout is not None:
            from dockyard.building.results.layout import finish_layout

            finish_layout(self._layout, response)
        self._work.caches.finish(response)

    def close(self) -> None:
        """Leave nothing half-written behind."""
        if self._layout is not None:
            self._layout.close()

    # --- what is given ----------------------------------------------------------------------

    def _sources(self, job: Job) -> list[Attachable]:
        environment, inputs = job.workbench.environment, self._work.inputs
        directories = {**self._work.source.directories, **inputs.contexts.directories}
        return [
            LocalSources({name: _root(place) for name, place in directories.items()}),
            RegistryAuth(
                job.workbench.credentials,
                folder=environment.docker_config,
                variables=environment.variables,
                progress=job.progress,
            ),
            *inputs.attachables(job.progress.warn),
        ]

    def _archive(self) -> list[Attachable]:
        archive = self._work.source.archive
        if archive is None:
            return []
        from dockyard.session.upload import Upload

        upload = Upload(archive.stream, archive.head)
        self.attributes["context"] = upload.url
        return [upload]

    def _policies(self) -> list[Attachable]:
        if self._work.policies is None:
            return []
        from dockyard.session.policy import PolicyVerifier

        return [PolicyVerifier(self._work.policies.policies.decide)]

    # --- what is taken ----------------------------------------------------------------------

    def _places(self, plan: ExportPlan) -> list[Attachable]:
        """Give the services that the daemon writes to; from one of them it reads as well."""
        services: list[Attachable] = [] if self._outputs is None else [self._outputs]
        stores = {**self._stores(plan), **self._work.inputs.contexts.layouts}
        if stores:
            from dockyard.session.content import ContentStores

            services.append(ContentStores(stores))
        return services

    def _stores(self, plan: ExportPlan) -> dict[str, ContentStore]:
        """Give the places for blobs, by the names that BuildKit has for them."""
        stores: dict[str, ContentStore] = {**self._work.caches.stores}
        for export in plan.exports:
            if export.is_layout:
                from dockyard.session.oci_layout import OciLayout

                self._layout = OciLayout(self._path(export.output))
                stores[_EXPORT_STORE] = self._layout
        if self._loads is not None and self._loads.store is not None:
            stores[_EXPORT_STORE] = self._loads.store
        return stores

    def _open_outputs(self, plan: ExportPlan) -> Outputs | None:
        targets = {
            number: self._target(number, export)
            for number, export in enumerate(plan.exports)
            if export.comes_back and not export.is_layout
        }
        if not targets:
            return None
        from dockyard.session.output import Outputs

        return Outputs(targets)

    def _target(self, number: int, export: Export) -> Target:
        from dockyard.session.output import DirectoryTarget, FileTarget, StreamTarget

        output = export.output
        loading = self._loads.target(number) if self._loads is not None else None
        if loading is not None:
            return loading
        if output.dest == "-":
            stdout = self._work.request.stdout
            if stdout is None:
                raise InputError("an output goes to stdout, and the request has none")
            return StreamTarget(stream=stdout)
        path = self._path(output)
        if export.type == "local":
            return DirectoryTarget(path=path, mirror=output.deletes)
        return FileTarget(path=path)

    def _path(self, output: Output) -> Path:
        return Path(self._work.request.working_directory, output.dest or ".")


def _root(place: LocalDirectory) -> Root:
    if isinstance(place, Path):
        return DirectoryRoot(path=place)
    return VirtualRoot(files=place)
