"""Building from what another build on the same daemon has just made, without storing it first.

The other build is forwarded (see :mod:`dockyard.buildkit.forward`) and held; its result is a graph
that the daemon knows by heart, and an input for this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dockyard.buildkit.answer import Values

_CONTEXT = "context:"
_TARGET = "target:"
_CONFIG = "containerimage.config"
_PLATFORM = "::"


class Linked(NamedTuple):
    """A frontend's attributes and inputs, instead of names of other builds."""

    attributes: dict[str, str]
    inputs: dict[str, bytes]


def targets_of(attributes: Mapping[str, str]) -> dict[str, str]:
    """Give the builds that attributes name as contexts, by attribute."""
    return {
        key: value.removeprefix(_TARGET)
        for key, value in attributes.items()
        if key.startswith(_CONTEXT) and value.startswith(_TARGET)
    }


def link(attributes: Mapping[str, str], results: Mapping[str, Values]) -> Linked:
    """Put the results of other builds where attributes name them.

    Args:
        attributes: Of a request; contexts whose value is ``target:NAME`` stand for results.
        results: What the other builds' frontends answered, by name.

    Raises:
        KeyError: A result is missing.
    """
    linked = Linked(dict(attributes), {})
    for context, name in targets_of(attributes).items():
        result = results[name]
        several: Mapping[str, Values] = result.get("refs", {}).get("refs", {})
        for platform, reference in several.items():
            suffix = _PLATFORM + platform
            _add(linked, context + suffix, name + suffix, reference, _config(result, platform))
        if several:
            del linked.attributes[context]
        else:
            _add(linked, context, name, result.get("ref", {}), _config(result))
    return linked


def _add(linked: Linked, context: str, key: str, reference: Values, config: bytes | None) -> None:
    linked.inputs[key] = reference.get("def", b"")
    linked.attributes[context] = f"input:{key}"
    if config is not None:
        linked.attributes[f"input-metadata:{key}"] = _as_json(config)


def _config(result: Values, platform: str = "") -> bytes | None:
    """Give the image's configuration: without it the other build would lose it."""
    metadata: Mapping[str, Any] = result.get("metadata", {})
    return metadata.get(f"{_CONFIG}/{platform}" if platform else _CONFIG)


def _as_json(config: bytes) -> str:
    import base64
    import json

    return json.dumps({_CONFIG: base64.b64encode(config).decode()})
