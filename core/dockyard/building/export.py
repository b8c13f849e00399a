"""A request's outputs, as exporters for one node and what is left to do beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from attrs import evolve

from dockyard.building.grammar.output import is_layout
from dockyard.driver import BuildRequest, Feature, NodeFeatures, Output
from dockyard.errors import InputError

ONE_PLATFORM = "docker exporter does not currently support exporting manifest lists"
ONE_PLATFORM_IN_ARCHIVE = (
    "docker exporter does not support exporting manifest lists, use the oci exporter instead"
)
_NAMED = frozenset({"image", "oci", "docker"})
_ARCHIVES = frozenset({"oci", "docker"})
_PREFER_DIGEST = "prefer-image-digest"


class Export(NamedTuple):
    """One exporter to ask the daemon for, and where its data goes."""

    output: Output
    """What was asked for."""
    type: str
    """The exporter's name on the wire."""
    attributes: Mapping[str, str]

    @property
    def comes_back(self) -> bool:
        """Whether the daemon sends the result to us."""
        return self.type in {"local", "tar", "oci", "docker"}

    @property
    def is_load(self) -> bool:
        """Whether what comes back goes into an engine."""
        return self.output.is_load and self.comes_back

    @property
    def is_layout(self) -> bool:
        """Whether what comes back is written as a directory of blobs instead of an archive."""
        return is_layout(self.output) and self.comes_back


class ExportPlan(NamedTuple):
    """What to do with a build's result."""

    exports: tuple[Export, ...] = ()
    load: bool = False
    """Whether the image has to be in an engine afterwards."""
    push: bool = False
    """Whether the image has to be pushed afterwards, from the node's own store."""

    @property
    def prefer_image_digest(self) -> bool:
        """Whether an image is known by its manifest afterwards, and not by its configuration."""
        return any(each.attributes.get(_PREFER_DIGEST) == "true" for each in self.exports)


def default_outputs(request: BuildRequest, features: NodeFeatures, *, load: bool) -> BuildRequest:
    """Give the request the output that its node has for requests without one.

    Args:
        request: What to build.
        features: What the node can do.
        load: Whether automatic loading is wanted at all.
    """
    if request.outputs or not load or not features.has(Feature.AUTO_LOAD):
        return request
    return evolve(request, outputs=(Output(type="docker"),))


def plan_exports(request: BuildRequest, features: NodeFeatures) -> ExportPlan:
    """Turn a request's outputs into exporters for a node.

    Raises:
        InputError: An output is asked for in a form that has no place to go.
    """
    _check_forms(request.outputs)
    exports = tuple(
        _export(output, request.tags, features)
        for output in request.outputs
        if output.type != "cacheonly"
    )
    return ExportPlan(
        exports=_merged(exports),
        load=any(output.is_load for output in request.outputs),
        push=any(output.pushes for output in request.outputs)
        and not features.has(Feature.DIRECT_PUSH),
    )


def fit_loads(
    plan: ExportPlan, request: BuildRequest, has_containerd: Callable[[Export], bool]
) -> ExportPlan:
    """Ask for the images that go into engines in the form that each engine's store takes.

    Args:
        plan: What was planned.
        request: What to build.
        has_containerd: Says whether the engine that an export is for has containerd's store.

    Raises:
        InputError: An engine's store does not take images for several platforms, or attestations.
    """
    several = len(request.platforms) > 1 or any(request.attestations.values())
    fitted = []
    for export in plan.exports:
        if export.is_load and has_containerd(export):
            attributes = {**export.attributes, _PREFER_DIGEST: "true"}
            fitted.append(export._replace(type="oci", attributes=attributes))
            continue
        if export.type == "docker" and several:
            raise InputError(ONE_PLATFORM if export.is_load else ONE_PLATFORM_IN_ARCHIVE)
        fitted.append(export)
    return plan._replace(exports=tuple(fitted))


def one_platform(outputs: Sequence[Output]) -> str:
    """Say why these outputs allow for one platform only; nothing if they don't."""
    for output in outputs:
        if output.type == "docker":
            return ONE_PLATFORM if output.is_load else ONE_PLATFORM_IN_ARCHIVE
    return ""


def _export(output: Output, tags: Sequence[str], features: NodeFeatures) -> Export:
    attributes = dict(output.attributes)
    if tags and output.type in _NAMED:
        attributes["name"] = ",".join(tags)
    own_store = output.type == "image" or (output.is_load and features.loads_itself)
    if not own_store:
        return Export(output=output, type=output.type, attributes=attributes)
    if not features.has(Feature.DIRECT_PUSH):
        attributes.pop("push", None)
    if features.prefer_image_digest:
        attributes[_PREFER_DIGEST] = "true"
    return Export(output=output, type=features.image_exporter, attributes=attributes)


def _check_forms(outputs: Sequence[Output]) -> None:
    """Refuse what BuildKit would only say of that we lack a method."""
    layouts = [output for output in outputs if is_layout(output)]
    for output in layouts:
        if output.dest is None:
            raise InputError(f"dest is required for {output.type} exporter")
    if len(layouts) > 1:
        raise InputError(
            "only one output of a build can have tar=false",
            hint="BuildKit knows one place for all of them; build twice, the second build comes "
            "from the cache",
        )


def _merged(exports: Sequence[Export]) -> tuple[Export, ...]:
    """Ask once for what several outputs leave in the same store, as ``--load --push`` does.

    Outputs that contradict each other, such as two names, stay apart. So does the order: of
    several answers with the same key the daemon keeps the last one.
    """
    merged: list[Export] = []
    for export in exports:
        place = next((n for n, other in enumerate(merged) if _fit(other, export)), None)
        if place is None:
            merged.append(export)
        else:
            attributes = {**merged[place].attributes, **export.attributes}
            merged[place] = merged[place]._replace(attributes=attributes)
    return tuple(merged)


def _fit(one: Export, other: Export) -> bool:
    return (
        one.type == other.type
        and not one.comes_back
        and not other.comes_back
        and all(one.attributes.get(key, value) == value for key, value in other.attributes.items())
    )
