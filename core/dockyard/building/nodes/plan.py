"""What several nodes are asked for in one build, and what is left to do when they are done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from attrs import evolve

from dockyard.building.export import ONE_PLATFORM_IN_ARCHIVE
from dockyard.building.grammar.output import is_layout
from dockyard.driver import BuildRequest, Output
from dockyard.errors import InputError

if TYPE_CHECKING:
    from dockyard.building.nodes.merge import Push
    from dockyard.registry.annotation import Annotations

_TRUE = frozenset({"1", "t", "true"})


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


def _check(output: Output) -> None:
    if output.type == "tar" or (output.type == "oci" and is_layout(output)):
        raise InputError(f"{output.type} for multi-node builds currently not supported")
    if output.deletes:
        raise InputError(
            "local output with mode=delete for multi-node builds currently not supported",
            hint="each node would remove what the others wrote; use mode=copy",
        )
    if output.type == "docker" and not output.is_load:
        raise InputError(ONE_PLATFORM_IN_ARCHIVE)


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
    from dockyard.building.nodes.merge import Push
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


def part_output(output: Output | Archive, folder: Path, part: int) -> Output:
    """Give what one node is asked for.

    Args:
        output: What is planned.
        folder: Where its archives lie meanwhile.
        part: The node's number.
    """
    if isinstance(output, Output):
        return output
    from dockyard.registry.annotation import Annotations

    _, attributes = Annotations.take(output.output.attributes)
    for key in ("name", "context"):  # what was joined is named, and nothing before
        attributes.pop(key, None)
    return Output(type="oci", attributes=attributes, dest=str(output.piece(folder, part)))


def _is_true(value: str) -> bool:
    return value.lower() in _TRUE
