"""One build on several nodes: what each is asked for, and how their results become one.

Each node pushes its images by digest; the index of all of them is then made and pushed from here.
Archives are taken from each node and joined, and so are images for an engine's store.
"""

from __future__ import annotations

import select
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from attrs import evolve

from dockyard.building.several import together
from dockyard.buildkit.solve import new_id
from dockyard.cancellation import Cancellation
from dockyard.driver import (
    BuildRequest,
    BuildResult,
    Feature,
    Image,
    Node,
    NodeFeatures,
    Output,
    Progress,
)
from dockyard.engine.wait import Wait
from dockyard.errors import EngineError, EngineUnreachableError, InputError

if TYPE_CHECKING:
    from dockyard.building.merge import Push
    from dockyard.building.workbench import Workbench
    from dockyard.engine.endpoint import EngineEndpoint
    from dockyard.registry.annotation import Annotations
    from dockyard.registry.descriptor import Index

_ONE_PLATFORM = "docker exporter does not currently support exporting manifest lists"
_ONE_PLATFORM_IN_ARCHIVE = (
    "docker exporter does not support exporting manifest lists, use the oci exporter instead"
)
_PIECE = 256 << 10
_LOOK_AGAIN = 60.0
"""Seconds of silence of a stream; any number would do, because canceling ends the waiting."""
_TRUE = frozenset({"1", "t", "true"})


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


class Archive(NamedTuple):
    """An archive or an engine's image that is joined when all nodes are done."""

    output: Output
    number: int
    annotations: Annotations

    def piece(self, folder: Path, part: int) -> Path:
        """Give where a node's own archive lies meanwhile."""
        return folder / f"output-{self.number}-node-{part}.tar"


class Plan(NamedTuple):
    """What to ask of each node, and what to do afterwards."""

    outputs: tuple[Output | Archive, ...]
    """What each node is asked for; an archive is one of its own for each node."""
    push: Push | None = None

    @property
    def archives(self) -> list[Archive]:
        return [output for output in self.outputs if isinstance(output, Archive)]


def plan_outputs(request: BuildRequest) -> Plan:
    """Say what to do for a request's outputs on several nodes.

    Raises:
        InputError: One of them cannot be made there.
    """
    images = [output for output in request.outputs if output.type == "image"]
    outputs: list[Output | Archive] = []
    push = None
    for number, output in enumerate(request.outputs):
        _check(output)
        if output.type == "image":
            if output is images[0]:  # a node is asked only once for all of them
                image, push = _plan_image(images, request.tags)
                outputs.append(image)
        elif output.type in {"oci", "docker"}:
            outputs.append(Archive(output, number, _annotations(output.attributes)))
        else:
            outputs.append(output)
    if push and any(isinstance(output, Archive) for output in outputs):
        raise InputError(
            "an image cannot be pushed and written or loaded in one build on several nodes",
            hint="build twice; the second build comes from the cache",
        )
    return Plan(tuple(outputs), push)


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
        ref = new_id()
        parts = [
            share._replace(request=_part_request(share.request, plan, folder, number, ref))
            for number, share in enumerate(shares)
        ]
        for part in parts:
            features = check(part)
            able = features.has(Feature.DIRECT_PUSH) and not features.loads_itself
            if plan.push is not None and not able:
                raise InputError(
                    f"multi-node push can't currently be performed with the {part.node.driver} "
                    "driver, please switch to a different driver"
                )
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


def _check(output: Output) -> None:
    if output.type == "tar" or (
        output.type == "oci" and not _is_true(output.attributes.get("tar", "true"))
    ):
        raise InputError(f"{output.type} for multi-node builds currently not supported")
    if output.type == "docker" and not output.is_load:
        raise InputError(_ONE_PLATFORM_IN_ARCHIVE)


def _plan_image(images: Sequence[Output], tags: Sequence[str]) -> tuple[Output, Push | None]:
    """Put all images that a node shall keep or push into one output."""
    attributes = {key: value for image in images for key, value in image.attributes.items()}
    if tags:
        attributes["name"] = ",".join(tags)
    image = evolve(images[0], attributes=attributes)
    names = tuple(filter(None, attributes.get("name", "").split(",")))
    if not image.pushes:
        return image, None
    if not names:
        raise InputError("tag is needed when pushing to registry")
    from dockyard.building.merge import Push
    from dockyard.registry.annotation import Annotations
    from dockyard.registry.reference import Reference

    annotations, attributes = Annotations.take(attributes)
    push = Push(
        names=names,
        annotations=annotations,
        insecure=_is_true(attributes.get("registry.insecure", "")),
        by_digest=_is_true(attributes.get("push-by-digest", "")),
    )
    repositories = dict.fromkeys(Reference.parse(name).name for name in names)
    attributes |= {"name": ",".join(repositories), "push-by-digest": "true"}
    return evolve(image, attributes=attributes), push


def _annotations(attributes: Mapping[str, str]) -> Annotations:
    from dockyard.registry.annotation import Annotations

    return Annotations.take(attributes)[0]


def _output(output: Output | Archive, folder: Path, part: int) -> Output:
    if isinstance(output, Output):
        return output
    from dockyard.registry.annotation import Annotations

    _, attributes = Annotations.take(output.output.attributes)
    for key in ("name", "context"):  # what was joined is named, and nothing before
        attributes.pop(key, None)
    return Output(type="oci", attributes=attributes, dest=str(output.piece(folder, part)))


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
                raise InputError(_ONE_PLATFORM)


def _part_request(
    request: BuildRequest, plan: Plan, folder: Path, number: int, ref: str
) -> BuildRequest:
    """Make what one node is asked for; names stand in its outputs."""
    return evolve(
        request,
        multi_platform=True,
        ref=ref,
        tags=(),
        outputs=tuple(_output(each, folder, number) for each in plan.outputs),
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
        while piece := _read_some(request.stdin, cancel):
            file.write(piece)
    return path


def _read_some(source: BinaryIO, cancel: Cancellation) -> bytes:
    """Read from a stream that may be silent for long; no bytes are its end."""
    try:
        descriptor = source.fileno()
    except (OSError, AttributeError, ValueError):
        return source.read(_PIECE)  # in memory: nobody is waited for
    # What the stream holds in its own buffer comes with the next bytes, or at the end.
    with Wait(_LOOK_AGAIN, cancel) as wait:
        while not wait.until_ready(descriptor, select.POLLIN, _LOOK_AGAIN / 2):
            wait.restart()
    read = getattr(source, "read1", source.read)
    return bytes(read(_PIECE) or b"")


def _is_true(value: str) -> bool:
    return value.lower() in _TRUE


# --- after ----------------------------------------------------------------------------------


def _joined(
    site: Site, request: BuildRequest, plan: Plan, results: Sequence[BuildResult], folder: Path
) -> BuildResult:
    """Make one result of the nodes'."""
    response = dict(results[0].response)
    for archive in plan.archives:
        response = _response(_join_archive(site, archive, request, len(results), folder))
    if plan.push is not None:
        from dockyard.building.merge import push_index

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
    warnings = dict.fromkeys(warning for result in results for warning in result.warnings)
    return BuildResult(ref=results[0].ref, response=response, warnings=tuple(warnings))


def _response(index: Index) -> dict[str, str]:
    return {"containerimage.digest": index.descriptor.digest}


def _join_archive(
    site: Site, archive: Archive, request: BuildRequest, count: int, folder: Path
) -> Index:
    from dockyard.building.join import JoinedArchive

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
