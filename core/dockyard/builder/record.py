"""The JSON text of a stored builder, both ways. Only the store uses it.

The keys are buildx's, so that either tool reads what the other wrote. Readers of such files must
take missing keys, null for any collection, and keys in any letter case. What nobody changed is
written back as it was read, keys that we don't know included.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from dockyard.builder.group import NodeEntry, NodeGroup
from dockyard.platforms import Platform

_Object = Mapping[str, Any]
_Kind = TypeVar("_Kind")

_KINDS: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}

# What Go escapes in JSON text beyond what JSON asks for.
_ESCAPES = {ord(mark): f"\\u{ord(mark):04x}" for mark in "&<>\u2028\u2029"}


def parse_group(data: bytes, fallback_name: str) -> NodeGroup:
    """Read a stored builder.

    Raises:
        ValueError: It is damaged; says where.
    """
    return _parse_group(parse_object(data), fallback_name)


def format_group(group: NodeGroup) -> bytes:
    """Write a builder as it is stored."""
    before = _group_fields(_parse_group(group.source, group.name)) if group.source else {}
    return format_object(_merge(_group_fields(group), group.source, before))


def parse_object(data: bytes) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        ValueError: It is none.
    """
    try:
        found = json.loads(data.decode("utf-8"), parse_constant=_refuse, parse_float=_float)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return _object(found, "it")


def format_object(values: _Object) -> bytes:
    """Write one JSON object in the compact form that Go writes."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A lone half of a surrogate pair has no UTF-8 form; its backslash form is JSON again.
    return text.translate(_ESCAPES).encode("utf-8", "backslashreplace")


def find(source: _Object, key: str) -> object:
    """Give the value of a key, in any letter case; None when there is none."""
    if key in source:
        return source[key]
    wanted = key.casefold()
    return next((value for name, value in source.items() if name.casefold() == wanted), None)


def _parse_group(source: _Object, fallback_name: str) -> NodeGroup:
    nodes = _value(source, "Nodes", list, "the record")
    return NodeGroup(
        name=_value(source, "Name", str, "the record") or fallback_name,
        driver=_value(source, "Driver", str, "the record"),
        nodes=tuple(
            _parse_node(_object(node, f"node {index}"), f"node {index}")
            for index, node in enumerate(nodes)
        ),
        source=source,
    )


def _parse_node(source: _Object, where: str) -> NodeEntry:
    name = _value(source, "Name", str, where)
    if not name:
        raise ValueError(f"{where} has no name")
    return NodeEntry(
        name=name,
        endpoint=_value(source, "Endpoint", str, where),
        platforms=tuple(
            _parse_platform(_object(platform, f"a platform of {where}"), where)
            for platform in _value(source, "Platforms", list, where)
        ),
        options={
            key: _text(value, f"option {key} of {where}")
            for key, value in _value(source, "DriverOpts", dict, where).items()
        },
        flags=tuple(
            _text(flag, f"a flag of {where}") for flag in _value(source, "Flags", list, where)
        ),
        files={
            path: _decode(_text(content, f"file {path} of {where}"))
            for path, content in _value(source, "Files", dict, where).items()
        },
        source=source,
    )


def _parse_platform(source: _Object, where: str) -> Platform:
    return Platform(
        os=_value(source, "os", str, where),
        architecture=_value(source, "architecture", str, where),
        variant=_value(source, "variant", str, where),
        os_version=_value(source, "os.version", str, where),
        os_features=tuple(
            _text(feature, f"os.features of {where}")
            for feature in _value(source, "os.features", list, where)
        ),
    )


def _group_fields(group: NodeGroup) -> dict[str, Any]:
    return {
        "Name": group.name,
        "Driver": group.driver,
        "Nodes": [_format_node(node) for node in group.nodes],
        "Dynamic": False,
    }


def _format_node(entry: NodeEntry) -> dict[str, Any]:
    before = _node_fields(_parse_node(entry.source, "node")) if entry.source else {}
    return _merge(_node_fields(entry), entry.source, before)


def _node_fields(entry: NodeEntry) -> dict[str, Any]:
    return {
        "Name": entry.name,
        "Endpoint": entry.endpoint,
        "Platforms": [_platform_fields(platform) for platform in entry.platforms] or None,
        "DriverOpts": dict(sorted(entry.options.items())) or None,
        "Flags": list(entry.flags) or None,
        "Files": {path: _encode(entry.files[path]) for path in sorted(entry.files)} or None,
    }


def _platform_fields(platform: Platform) -> dict[str, Any]:
    optional = {
        "os.version": platform.os_version,
        "os.features": list(platform.os_features),
        "variant": platform.variant,
    }
    return {
        "architecture": platform.architecture,
        "os": platform.os,
        **{key: value for key, value in optional.items() if value},
    }


def _merge(values: _Object, old: _Object, before: _Object) -> dict[str, Any]:
    """Lay values over the object that was read, in its order and with what it had besides.

    A value that is what ``before`` has, which is what was read, stays as it was spelled.
    """
    wanted = {key.casefold(): key for key in values}
    merged: dict[str, Any] = {}
    for name, value in old.items():
        key = wanted.get(name.casefold())
        if key is None or (name != key and key in old):
            merged[name] = value  # ours to keep, not to understand
            continue
        del wanted[name.casefold()]
        merged[name] = value if key in before and before[key] == values[key] else values[key]
    return merged | {key: values[key] for key in wanted.values()}


def _value(source: _Object, key: str, kind: type[_Kind], where: str) -> _Kind:
    value = find(source, key)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ValueError(f"{key} of {where} is not {_KINDS[kind]}")  # noqa: TRY004  # bad text
    return value


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")  # noqa: TRY004  # bad text
    return value


def _text(value: object, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{where} is not a text")  # noqa: TRY004  # bad text
    return value


def _decode(text: str) -> bytes:
    import base64

    return base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)


def _encode(content: bytes) -> str:
    import base64

    return base64.b64encode(content).decode("ascii")


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is too large")
    return value
