"""A build on one node, from what is asked of its BuildKit to the result.

It is attempted once; twice when an image was asked for in pieces, and that turned out not to work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from dockyard.building.caches.local import LocalCaches
from dockyard.building.export import ExportPlan
from dockyard.building.grammar.entitlement import entitlements
from dockyard.building.job import Job
from dockyard.building.lead import lead
from dockyard.building.offer import Offer
from dockyard.building.prepare import Work, prepare
from dockyard.building.record import record_name, save_record
from dockyard.buildkit.gateway import GatewayMissingError
from dockyard.buildkit.request import Exporter, SolveRequest, new_id
from dockyard.buildkit.solve import solve
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildResult
from dockyard.errors import CanceledError, DockyardError
from dockyard.session.session import Session

if TYPE_CHECKING:
    from dockyard.building.load.loads import Loads
    from dockyard.building.load.place import ImageStores
    from dockyard.events import StatusUpdate, VertexWarning

_SESSION_GRACE = 1.0
"""Seconds for which a build goes on without its session."""


def build_on_node(job: Job, stores: Callable[[], ImageStores]) -> BuildResult:
    """Build through the node's BuildKit.

    Args:
        job: The build.
        stores: Gives what is known of engines' image stores; called only if that matters.

    Raises:
        DockyardError: As :func:`dockyard.building.run.run_build` says.
    """
    with closing(LocalCaches()) as caches:
        work = prepare(job, caches)
        build = _Build(job, work, stores)
        if not any(export.is_load for export in work.plan.exports):
            return build.attempt()
        from dockyard.building.load.delivery import ArchiveNeededError

        try:
            return build.attempt(incremental=_may_repeat(job, work))
        except ArchiveNeededError as error:
            if work.source.archive is not None:  # it can be read only once
                raise error.cause from error
        return build.attempt()


def _may_repeat(job: Job, work: Work) -> bool:
    """Say whether an image may be asked for in pieces, which may fail and be repeated.

    What comes from a pipe cannot be repeated; then it has to be likely to work.
    """
    if work.source.archive is None:
        return True
    from dockyard.buildkit.content import serves_blobs

    return serves_blobs(job.client)


class _Build:
    """What the attempts of one build share."""

    def __init__(self, job: Job, work: Work, stores: Callable[[], ImageStores]) -> None:
        self._job = job
        self._work = work
        self._stores = stores
        self._ref = ""
        self._leads = True
        self._warnings: dict[VertexWarning, None] = {}
        self._loads: Loads | None = None

    def attempt(self, *, incremental: bool = False) -> BuildResult:
        """Build; leave it all to the daemon if that cannot be asked for anything meanwhile."""
        try:
            return self._attempt(incremental=incremental)
        except GatewayMissingError:
            if self._work.request.call or self._work.definitions:
                raise
            self._leads = False
            return self._attempt(incremental=incremental)

    def _attempt(self, *, incremental: bool) -> BuildResult:
        # A second attempt is a build of its own: the daemon has a record of the first.
        self._ref = new_id() if self._ref else self._work.request.ref or new_id()
        plan = self._with_loads(incremental=incremental)
        node_id = save_record(self._job, self._ref)
        try:
            with closing(Offer(self._job, self._work, plan, self._loads, node_id)) as offer:
                response = self._solve(offer, plan)
                return self._finish(offer, plan, response)
        except BaseException as error:
            if self._loads is not None:
                self._loads.abandon()
                if isinstance(error, DockyardError):
                    self._loads.check_failure(error)
            raise

    # --- before -----------------------------------------------------------------------------

    def _with_loads(self, *, incremental: bool) -> ExportPlan:
        """Get ready for the images that engines shall get; give what to ask for."""
        plan, job = self._work.plan, self._job
        self._loads = None
        if not any(export.type == "docker" or export.is_load for export in plan.exports):
            return plan
        from dockyard.building.load.loads import Engines, Loads

        load = partial(job.workbench.manager.load, job.node)
        engines = Engines(job.workbench.contexts, self._stores(), load)
        self._loads = Loads(engines, self._work.request, job.progress, job.cancel)
        return self._loads.prepare(plan, incremental=incremental)

    def _request(self, offer: Offer, plan: ExportPlan) -> SolveRequest:
        wanted = self._work.request
        return SolveRequest(
            ref=self._ref,
            session=offer.session.id,
            frontend=self._work.frontend,
            attributes={**self._work.attributes, **offer.attributes},
            inputs=self._work.definitions,
            exporters=tuple(
                Exporter(type=export.type, attributes=export.attributes) for export in plan.exports
            ),
            cache_imports=wanted.cache_from,
            cache_exports=wanted.cache_to,
            entitlements=entitlements(wanted),
            source_policy=self._work.request.source_policy,
            policy_session=offer.session.id if self._work.policies else "",
            proxy_network=bool(self._work.policies and self._work.policies.proxy),
        )

    # --- during -----------------------------------------------------------------------------

    def _solve(self, offer: Offer, plan: ExportPlan) -> dict[str, str]:
        client, session = self._job.client, offer.session
        # Without its session a build only waits, so it has to end; but when the daemon died, the
        # other connection breaks too and says more.
        stop = Cancellation()

        def end_soon(_error: DockyardError) -> None:
            client.loop.call_later(_SESSION_GRACE, stop.cancel)

        session.on_close = end_soon
        forget = self._job.cancel.on_cancel(stop.cancel)
        answer: dict[str, str] = {}
        request, talk = self._request(offer, plan), None
        if self._leads:
            request, talk = lead(request, self._work.request.call, answer.update)
        try:
            session.open(client)
            return {**solve(client, request, self._update, stop, talk=talk), **answer}
        except DockyardError as error:
            raise self._cause(session, error) from error
        finally:
            forget()
            session.close()

    def _update(self, update: StatusUpdate) -> None:
        for warning in update.warnings:
            self._warnings.setdefault(warning)
        if self._loads is not None:
            self._loads.update(update)
        else:
            self._job.progress.update(update)

    def _cause(self, session: Session, error: DockyardError) -> DockyardError:
        """Give what went wrong on our side, when the daemon only reports that we failed."""
        if self._job.cancel.canceled:
            return error
        own = session.failed
        if isinstance(own, DockyardError) and not isinstance(own, CanceledError):
            return own
        if isinstance(error, CanceledError) and session.lost is not None:
            return session.lost
        return error

    # --- after ------------------------------------------------------------------------------

    def _finish(self, offer: Offer, plan: ExportPlan, response: dict[str, str]) -> BuildResult:
        """Check what came, bring images where they shall be, and give the result."""
        offer.check()
        offer.finish(response)
        if plan.prefer_image_digest:
            response.pop("containerimage.config.digest", None)
        result = BuildResult(
            ref=record_name(self._job, self._ref),
            response=response,
            warnings=tuple(self._warnings),
        )
        if self._loads is not None:
            self._loads.finish(self._job.client, result)
        return evolve(result, response={**response, **self._provenance()})

    def _provenance(self) -> Mapping[str, str]:
        """Give what the metadata shall say of how the image came about."""
        mode, job = self._work.request.metadata_provenance, self._job
        if not mode or not job.client.keeps_records:
            return {}
        from dockyard.building.results.provenance import metadata_provenance

        try:
            return metadata_provenance(job.client, self._ref, mode, job.progress, job.cancel)
        except CanceledError:
            raise
        except DockyardError as error:  # the image is built all the same
            job.progress.warn(f"the metadata has no provenance: {error}")
            return {}
