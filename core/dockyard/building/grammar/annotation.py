"""The grammar of ``--annotation``, and what of it an output takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from attrs import evolve

from dockyard.driver import BuildRequest, Feature, NodeFeatures, Output
from dockyard.errors import InputError
from dockyard.platforms import Platform
from dockyard.quote import quoted

_TYPE = r"([a-z-]+)(?:\[([A-Za-z0-9_/-]+)\])?"
_ON_MANIFESTS = frozenset({"manifest", "manifest-descriptor"})
_ON_INDEXES = frozenset({"index", "index-descriptor"})
_ANNOTATED = frozenset({"image", "oci", "docker"})


def parse_annotations(values: Iterable[str]) -> dict[str, str]:
    """Turn ``[type[,type...]:]key=value`` texts into exporter attributes.

    A type may name its platform: ``manifest[linux/amd64]:key=value``.

    Raises:
        InputError: A value does not follow the grammar.
    """
    found = {}
    for value in values:
        if not value:
            continue
        name, equals, text = value.partition("=")
        if not equals:
            raise _wrong(f"invalid annotation {quoted(value)}, expected key=value")
        kinds, colon, key = name.partition(":")
        if not colon:
            found[f"annotation.{name}"] = text
            continue
        for kind in kinds.split(","):
            found[f"annotation-{_place(kind)}.{key}"] = text
    return found


def annotated(request: BuildRequest) -> BuildRequest:
    """Give a request whose outputs have the annotations that were asked for."""
    if not request.annotations:
        return request
    return evolve(
        request,
        outputs=tuple(_annotated(output, request.annotations) for output in request.outputs),
    )


def check_annotations(request: BuildRequest, features: NodeFeatures) -> None:
    """Make sure that a node's store has a place for the annotations.

    Raises:
        InputError: It makes no index that could have some.
    """
    if not features.loads_itself or features.has(Feature.MULTI_PLATFORM):
        return
    kept = any(output.type == "image" or output.is_load for output in request.outputs)
    on_index = any(name.startswith("annotation-index") for name in request.annotations)
    if kept and on_index:
        raise InputError("index annotations not supported for single platform export")


def _place(text: str) -> str:
    match = re.fullmatch(_TYPE, text)
    if match is None:
        raise _wrong(
            f"invalid annotation type {quoted(text)}, expected type and optional platform in "
            "square brackets"
        )
    kind, platform = match[1], match[2]
    if kind not in _ON_MANIFESTS | _ON_INDEXES:
        raise _wrong(f"unknown annotation type {quoted(kind)}")
    if not platform:
        return kind
    try:
        parsed = Platform.parse(platform)
    except InputError as error:
        raise _wrong(f"invalid platform {quoted(platform)}: {error}") from error
    return f"{kind}[{parsed}]" if kind in _ON_MANIFESTS else kind


def _annotated(output: Output, annotations: Mapping[str, str]) -> Output:
    if output.type not in _ANNOTATED:
        return output
    return evolve(output, attributes={**output.attributes, **annotations})


def _wrong(what: str) -> InputError:
    return InputError(f"parse annotations: {what}")
