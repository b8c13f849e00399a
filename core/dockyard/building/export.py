"""A request's outputs, as exporters for one node and what is left to do beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from attrs import evolve

from dockyard.driver import BuildRequest, Feature, NodeFeatures, Output

_NAMED = frozenset({"image", "oci", "docker"})


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


class ExportPlan(NamedTuple):
    """What to do with a build's result."""

    exports: tuple[Export, ...] = ()
    load: bool = False
    """Whether the image has to be in an engine afterwards."""
    push: bool = False
    """Whether the image has to be pushed afterwards, from the node's own store."""
    prefer_image_digest: bool = False


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
    """Turn a request's outputs into exporters for a node."""
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
        prefer_image_digest=features.prefer_image_digest,
    )


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
        attributes["prefer-image-digest"] = "true"
    return Export(output=output, type=features.image_exporter, attributes=attributes)


def _merged(exports: Sequence[Export]) -> tuple[Export, ...]:
    """Ask once for what several outputs leave in the same store, as ``--load --push`` does."""
    merged: dict[str, Export] = {}
    others = []
    for export in exports:
        if export.comes_back:
            others.append(export)
        elif export.type in merged:
            first = merged[export.type]
            merged[export.type] = first._replace(
                attributes={**first.attributes, **export.attributes}
            )
        else:
            merged[export.type] = export
    return (*merged.values(), *others)
