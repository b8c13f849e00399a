"""One build on several nodes: what each is asked for, and how their results become one.

Each node pushes its images by digest; the index of all of them is then made and pushed from here.
Archives are taken from each node and joined, and so are images for an engine's store.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from attrs import evolve

from dockyard.building.export import ONE_PLATFORM
from dockyard.building.nodes.plan import Archive, Plan, part_output, plan_outputs
from dockyard.building.nodes.several import together
from dockyard.buildkit.request import new_id
from dockyard.cancellation import Cancellation
from dockyard.driver import (
    BuildRequest,
    BuildResult,
    Feature,
    Image,
    Node,
    NodeFeatures,
    Progress,
)
from dockyard.errors import EngineError, EngineUnreachableError, InputError
from dockyard.session.reader import read_pieces

if TYPE_CHECKING:
    from dockyard.building.workbench import Workbench
    from dockyard.engine.endpoint import EngineEndpoint
    from dockyard.registry.descriptor import Index


class Share(NamedTuple):
    """One node's share of a build."""

    node: Node
    request: BuildRequest


Check = Callable[[Share], NodeFeatures]
Build = Callable[[Share, Cancellation], BuildResult]


class Site(NamedTuple):
    """Where a build on several nodes happens."""

    workbench: Workbench
    nodes: Sequence[Node]
    """All of the builder's, whose files say how registries are reached."""
    progress: Progress
    cancel: Cancellation


def build_on_several(
    site: Site, request: BuildRequest, shares: Sequence[Share], *, check: Check, build: Build
) -> BuildResult:
    """Build on several nodes, and join what came of it.

    Args:
        site: Where.
        request: What to build, all of it.
        shares: The nodes, and which platforms each builds.
        check: Refuses what a node cannot do, and gives what it can.
        build: Builds on one node.

    Raises:
        InputError: An output cannot be made by several nodes. Nothing was built.
        DockyardError: The first thing that went wrong; all other nodes were told to stop.
    """
    plan = plan_outputs(request)
    _check_engines(site, plan)
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="dockyard-", ignore_cleanup_errors=True)
            )
        )
        parts = _parts(plan, shares, folder)
        for part in parts:
            _check_push(plan, part.node, check(part))
        stdin = _shared_stdin(request, folder, site.cancel)
        if stdin is not None:
            files = [stack.enter_context(stdin.open("rb")) for _ in parts]
            parts = [
                part._replace(request=evolve(part.request, stdin=file))
                for part, file in zip(parts, files, strict=True)
            ]
        results = together([partial(build, part) for part in parts], site.cancel)
        return _joined(site, request, plan, results, folder)


# --- before ---------------------------------------------------------------------------------


def _check_engines(site: Site, plan: Plan) -> None:
    """Make sure that the engines that get images can hold one for several platforms.

    Raises:
        InputError: One cannot.
        EngineUnreachableError: One does not answer.
    """
    from dockyard.building.load.place import ImageStores

    stores = ImageStores()
    for archive in plan.archives:
        if archive.output.is_load:
            try:
                capable = stores.get(_engine(site, archive), site.cancel).containerd
            except EngineUnreachableError:
                raise
            except EngineError:
                capable = False
            if not capable:
                raise InputError(ONE_PLATFORM)


def _parts(plan: Plan, shares: Sequence[Share], folder: Path) -> list[Share]:
    """Make what each node is asked for; names stand in its outputs."""
    ref = new_id()
    return [
        share._replace(
            request=evolve(
                share.request,
                multi_platform=True,
                ref=ref,
                tags=(),
                outputs=tuple(part_output(each, folder, number) for each in plan.outputs),
            )
        )
        for number, share in enumerate(shares)
    ]


def _check_push(plan: Plan, node: Node, features: NodeFeatures) -> None:
    able = features.has(Feature.DIRECT_PUSH) and not features.loads_itself
    if plan.push is not None and not able:
        raise InputError(
            f"multi-node push can't currently be performed with the {node.driver} driver, please "
            "switch to a different driver"
        )


def _shared_stdin(request: BuildRequest, folder: Path, cancel: Cancellation) -> Path | None:
    """Keep what can be read only once where every node's build can read it.

    Raises:
        CanceledError: ``cancel`` was turned.
    """
    if request.stdin is None or [request.build_context, request.dockerfile].count("-") != 1:
        return None
    path = folder / "stdin"
    with path.open("wb") as file:
        for piece in read_pieces(request.stdin, cancel):
            file.write(piece)
    return path


# --- after ----------------------------------------------------------------------------------


def _joined(
    site: Site, request: BuildRequest, plan: Plan, results: Sequence[BuildResult], folder: Path
) -> BuildResult:
    """Make one result of the nodes'."""
    response = dict(results[0].response)
    for archive in plan.archives:
        response = _response(_join_archive(site, archive, request, len(results), folder))
    if plan.push is not None:
        from dockyard.building.nodes.merge import push_index

        response = _response(
            push_index(
                plan.push,
                results,
                workbench=site.workbench,
                files=[node.files for node in site.nodes],
                progress=site.progress,
                cancel=site.cancel,
            )
        )
    response |= {
        key: value
        for result in results
        for key, value in result.response.items()
        if key.startswith("buildx.build.provenance")
    }
    warnings = dict.fromkeys(warning for result in results for warning in result.warnings)
    return BuildResult(ref=results[0].ref, response=response, warnings=tuple(warnings))


def _response(index: Index) -> dict[str, str]:
    return {"containerimage.digest": index.descriptor.digest}


def _join_archive(
    site: Site, archive: Archive, request: BuildRequest, count: int, folder: Path
) -> Index:
    from dockyard.building.nodes.join import JoinedArchive

    name = archive.output.attributes.get("name", "")
    names = request.tags or tuple(filter(None, name.split(",")))
    pieces = [archive.piece(folder, number) for number in range(count)]
    with ExitStack() as stack:
        joined = stack.enter_context(JoinedArchive(pieces, names, archive.annotations))
        if archive.output.is_load:
            image = Image(names=names, stream=joined.stream)
            engine = _engine(site, archive)
            manager = site.workbench.manager
            manager.load(site.nodes[0], image, engine, site.progress, site.cancel)
        else:
            dest = archive.output.dest or "-"
            with site.progress.step(f"joining the images of {count} nodes"):
                joined.write(dest, request, site.cancel)
        return joined.index


def _engine(site: Site, archive: Archive) -> EngineEndpoint:
    contexts = site.workbench.contexts
    name = archive.output.attributes.get("context", "")
    return contexts.get(name) if name else contexts.current()
