"""Run a build: from a builder's name and a request to the result.

Choose the builder, pick the node, boot it, refuse what it cannot do, build, and bring the image
where it shall be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from attrs import evolve

from dockyard.builder.builder import Builder, BuilderLoader
from dockyard.builder.resolver import Assignment, resolve_declared
from dockyard.builder.selection import check_context as check_docker_context
from dockyard.builder.selection import choose
from dockyard.building.export import default_outputs, one_platform, plan_exports
from dockyard.building.feature import Advice, Alternative, check_features
from dockyard.building.grammar.annotation import annotated
from dockyard.building.inputs.extras import open_inputs, open_services, with_source_policy
from dockyard.building.inputs.git import Repository
from dockyard.building.inputs.source import check_context
from dockyard.building.link import Link
from dockyard.building.request import check_network_and_hosts, check_tags
from dockyard.building.workbench import Workbench
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildRequest, Node, NodeFeatures, Output, Progress, boolean
from dockyard.errors import BuilderError, CanceledError, DockyardError, PluginError
from dockyard.platforms import Platform

if TYPE_CHECKING:
    from dockyard.building.nodes.multi import Share
    from dockyard.driver import BuildResult


def open_builder(workbench: Workbench, name: str = "", *, sticky_key: str = "") -> Builder:
    """Choose a builder to build with, and note that it was used.

    Args:
        workbench: What the process's builds share.
        name: A builder's or docker context's name; the selected builder when empty.
        sticky_key: What drivers with several daemons choose one by.

    Raises:
        BuilderNotFoundError: There is none of this name.
        BuilderError: It belongs to a docker context that is not the current one.
        DockyardError: None of its nodes can be used; says why of the first.
    """
    group = choose(workbench.store, workbench.contexts, name)
    check_docker_context(group, workbench.contexts)
    loader = BuilderLoader(workbench.manager, workbench.contexts)
    builder = loader.load([group], sticky_key=sticky_key)[0]
    if builder.error is not None:
        raise builder.error
    with workbench.store.locked() as records:
        records.touch(builder.name)
    if not usable_nodes(builder):
        raise builder.first_error() or BuilderError(f'builder "{builder.name}" has no nodes')
    return builder


def sticky_key(request: BuildRequest) -> str:
    """Give what a driver with several daemons chooses one by: the build context's place.

    A URL is treated as if it were a path, because buildx does so, too.
    """
    return os.path.abspath(os.path.join(request.working_directory, request.build_context))  # noqa: PTH100, PTH118  # Path keeps ".."


def usable_nodes(builder: Builder) -> list[Node]:
    """Give the builder's nodes that could be made sense of."""
    if builder.error is not None:
        return []
    return [info.node for info in builder.nodes if info.node is not None and info.error is None]


def run_build(
    workbench: Workbench,
    builder: Builder,
    request: BuildRequest,
    *,
    progress: Progress,
    cancel: Cancellation,
) -> BuildResult:
    """Build.

    Args:
        workbench: What the process's builds share.
        builder: From :func:`open_builder`.
        request: What to build.
        progress: Where status and warnings go.
        cancel: Turned when the build shall end.

    Raises:
        UnsupportedFeatureError: The node lacks what the request needs. Nothing was sent.
        BuildError: The build failed.
        ConnectionLostError: The daemon died, or the way to it broke.
        CanceledError: ``cancel`` was turned.
    """
    run = _Run(workbench, builder, progress, cancel)
    try:
        return run.build(request)
    finally:
        for node in usable_nodes(builder):
            workbench.links.close(node)
        for problem in workbench.manager.problems:
            progress.warn(str(problem))


class _Run(NamedTuple):
    workbench: Workbench
    builder: Builder
    progress: Progress
    cancel: Cancellation

    def build(self, request: BuildRequest) -> BuildResult:
        open_services(request)  # before anything is started for them
        with self._warning(request, usable_nodes(self.builder)[0]):
            check_tags(request)
            check_context(request)
            request = with_source_policy(request, self.workbench.environment)
            open_inputs(request)
            check_network_and_hosts(request)
        repository = Repository(request, self.workbench.environment, self.cancel)
        try:
            return self._build(request, repository)
        finally:
            repository.close()

    def _build(self, request: BuildRequest, repository: Repository) -> BuildResult:
        nodes = usable_nodes(self.builder)
        shares = self._shares(request, nodes)
        node = nodes[shares[0].node]
        with self._warning(request, node):
            if len(nodes) > 1:
                self._boot([nodes[share.node] for share in shares])
            link = self._link(node, self.cancel)
        asked = request.outputs
        request = annotated(self._with_default_output(request, node, link.features))
        request = repository.describe(request, self.progress.warn)
        if len(shares) > 1 and not request.call:
            return self._build_on_several(request, nodes, shares)
        if not request.call:  # of which one node can tell for all platforms
            request = evolve(request, platforms=shares[0].platforms)
        self._check(request, node, link.features, asked)
        return self._build_on(node, request, self.cancel)

    def _shares(self, request: BuildRequest, nodes: Sequence[Node]) -> tuple[Assignment, ...]:
        """Choose the nodes; boots all of them when only their workers can settle it."""
        declared = [node.platforms for node in nodes]
        shares = resolve_declared(request.platforms, declared)
        if shares is not None:
            return shares
        if len(nodes) == 1:
            return (Assignment(node=0, platforms=request.platforms),)
        from dockyard.building.nodes.several import share_out

        return share_out(
            request.platforms,
            nodes,
            self._worker_platforms,
            cancel=self.cancel,
            warn=self.progress.warn,
        )

    def _boot(self, nodes: Sequence[Node]) -> None:
        """Boot several nodes at once."""
        from dockyard.building.nodes.several import name_node, together

        def boot(node: Node, cancel: Cancellation) -> None:
            try:
                self._link(node, cancel)
            except CanceledError:
                raise
            except DockyardError as error:
                name_node(error, node)
                raise

        together([partial(boot, node) for node in nodes], self.cancel)

    def _build_on_several(
        self, request: BuildRequest, nodes: Sequence[Node], assigned: Sequence[Assignment]
    ) -> BuildResult:
        from dockyard.building.nodes.multi import Share, Site, build_on_several

        def check(share: Share) -> NodeFeatures:
            features = self.workbench.links.get(share.node, self.cancel).features
            self._check(share.request, share.node, features)
            return features

        return build_on_several(
            Site(self.workbench, nodes, self.progress, self.cancel),
            request,
            [
                Share(nodes[each.node], evolve(request, platforms=each.platforms))
                for each in assigned
            ],
            check=check,
            build=self._build_share,
        )

    def _build_share(self, share: Share, cancel: Cancellation) -> BuildResult:
        """Build on one of several nodes; an error says on which."""
        try:
            return self._build_on(share.node, share.request, cancel)
        except CanceledError:
            raise
        except DockyardError as error:
            error.message += f" (on node {share.node.name})"
            raise

    def _check(
        self,
        request: BuildRequest,
        node: Node,
        features: NodeFeatures,
        asked: Sequence[Output] = (),
    ) -> None:
        check_features(
            request,
            features,
            driver=node.driver,
            advice=self._advice,
            one_platform=one_platform(asked),
        )

    def _build_on(self, node: Node, request: BuildRequest, cancel: Cancellation) -> BuildResult:
        build = self.workbench.manager.build
        if request.platforms:
            from dockyard.building.emulator import explained

            platforms = partial(self._worker_platforms, node, cancel)
            with explained(self.progress, request.platforms, platforms) as progress:
                result = build(node, request, progress, cancel)
        else:
            result = build(node, request, self.progress, cancel)
        link = self.workbench.links.get(node, cancel)
        return self._deliver(request, node, link, result, cancel)

    def _worker_platforms(self, node: Node, cancel: Cancellation) -> tuple[Platform, ...]:
        workers = self._link(node, cancel).client.workers()
        return tuple(platform for worker in workers for platform in worker.platforms)

    def _link(self, node: Node, cancel: Cancellation) -> Link:
        cancel.check()
        self.workbench.manager.bootstrap(node, self.progress, cancel)
        return self.workbench.links.get(node, cancel)

    @contextmanager
    def _warning(self, request: BuildRequest, node: Node) -> Iterator[None]:
        """Warn of a missing output also when what is done meanwhile fails."""
        try:
            yield
        except DockyardError:
            with suppress(DockyardError):  # the first error is the one to tell
                features = self.workbench.manager.features(node, ())
                self._with_default_output(request, node, features)
            raise

    def _with_default_output(
        self, request: BuildRequest, node: Node, features: NodeFeatures
    ) -> BuildRequest:
        """Give the request the node's default output, or warn that it has none."""
        if request.outputs:
            return request
        load = not self._default_load_disabled()
        found = default_outputs(request, features, load=load)
        if not found.outputs and load:
            self.progress.warn(
                f"No output specified with {node.driver} driver. Build result will only remain "
                "in the build cache. To push result image into registry use --push or to load "
                "image into docker use --load"
            )
        return found

    def _default_load_disabled(self) -> bool:
        value = self.workbench.environment.get("BUILDX_NO_DEFAULT_LOAD")
        try:
            return bool(value) and boolean(value)
        except ValueError:
            self.progress.warn(f"invalid non-bool value for BUILDX_NO_DEFAULT_LOAD: {value}")
            return False

    def _advice(self) -> Advice:
        manager = self.workbench.manager
        return Advice(self._alternatives(), manager.driver_types(), manager.missing_hint(None))

    def _alternatives(self) -> list[Alternative]:
        with self.workbench.store.locked() as records:
            groups = records.groups().groups
        found = []
        for group in groups:
            if group.name == self.builder.name:
                continue
            try:
                declared = self.workbench.manager.driver_type(group.driver)
            except PluginError:
                continue  # a builder that nobody can drive is no advice
            found.append(Alternative(group.name, declared))
        return found

    def _deliver(
        self,
        request: BuildRequest,
        node: Node,
        link: Link,
        result: BuildResult,
        cancel: Cancellation,
    ) -> BuildResult:
        """Bring the image where it shall be, as far as the build itself has not done so."""
        plan = plan_exports(request, link.features)
        load = plan.load and link.features.loads_itself
        if not load and not plan.push:
            return result
        from dockyard.driver import Image

        manager = self.workbench.manager
        image = Image(
            names=request.tags or result.names,
            image_id=result.image_id,
            credentials=self.workbench.credentials if plan.push else None,
        )
        if load:
            engine = self.workbench.contexts.current()
            manager.load(node, image, engine, self.progress, cancel)
        if plan.push:
            pushed = manager.push(node, image, self.progress, cancel)
            if pushed.digest:
                response = {**result.response, "containerimage.digest": pushed.digest}
                return evolve(result, response=response)
        return result
