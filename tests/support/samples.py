"""Random values that fit the codec's tables."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from dockyard.wire import messages
from dockyard.wire.codec import Field, Message
from dockyard.wire.varint import map_kinds

TABLES: dict[str, Message] = {
    name: table for name, table in vars(messages).items() if isinstance(table, Message)
}

_NUMBERS = {
    "int32": (-(1 << 31), (1 << 31) - 1),
    "enum": (-(1 << 31), (1 << 31) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint32": (0, (1 << 32) - 1),
    "uint64": (0, (1 << 64) - 1),
}
_TEXTS = ("", "a", "sha256:0123", "käse/ünïcode", "\u2028 \U0001f40b", "x" * 200, "\x00")
_MAX_DEPTH = 3


def sample(table: Message, random: Random, *, full: bool = False, depth: int = 0) -> dict[str, Any]:
    """Make a message of the table; ``full`` sets every field that can be set."""
    fields = table.parsed()
    groups = {field.group: field for field in random.sample(fields, len(fields)) if field.group}
    out: dict[str, Any] = {}
    for field in fields:
        if field.group and groups[field.group] is not field:
            continue
        if full or random.random() < 0.5:
            value = _field(table, field, random, full=full, depth=depth)
            if value is not None:
                out[field.name] = value
    return out


def _field(table: Message, field: Field, random: Random, *, full: bool, depth: int) -> object:
    def one(kind: str) -> object:
        return _value(table, kind, random, full=full, depth=depth)

    deep = depth >= _MAX_DEPTH
    if field.kind.startswith("map<"):
        key, value = map_kinds(field.kind)
        if deep and value.isupper():
            return None
        return {one(key): one(value) for _ in range(random.randint(1 if full else 0, 3))}
    if deep and field.kind.isupper():
        return None
    if field.repeated:
        return [one(field.kind) for _ in range(random.randint(1 if full else 0, 3))]
    return one(field.kind)


def _value(table: Message, kind: str, random: Random, *, full: bool, depth: int) -> object:
    if kind == "string":
        return random.choice(_TEXTS)
    if kind == "bytes":
        return random.choice((b"", b"\x00\xff", random.randbytes(random.randint(1, 300))))
    if kind == "bool":
        return full or random.random() < 0.5
    if kind in _NUMBERS:
        low, high = _NUMBERS[kind]
        return random.choice((0, 1, 127, 128, low, high, random.randint(low, high)))
    return sample(table.table(kind), random, full=full, depth=depth + 1)


def without_defaults(table: Message, values: Mapping[str, Any]) -> dict[str, Any]:
    """The same message without what proto3 does not tell from an absent field."""
    out: dict[str, Any] = {}
    for field in table.parsed():
        value = values.get(field.name)
        if value is None:
            continue
        if field.kind.startswith("map<"):
            kind = map_kinds(field.kind)[1]
            value = {key: _clean(table, kind, one) for key, one in value.items()}
        elif field.repeated:
            value = [_clean(table, field.kind, one) for one in value]
        else:
            value = _clean(table, field.kind, value)
            if field.group or field.kind.isupper():
                out[field.name] = value
                continue
        if value:
            out[field.name] = value
    return out


def _clean(table: Message, kind: str, value: Any) -> object:  # noqa: ANN401  # whatever the table says
    return without_defaults(table.table(kind), value) if kind.isupper() else value
