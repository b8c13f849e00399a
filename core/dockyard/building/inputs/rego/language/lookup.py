"""Looking into collections."""

from __future__ import annotations

from collections.abc import Iterator

from dockyard.building.inputs.rego.language.value import UNDEFINED, Maybe, RObject, RSet, Value


def inside(value: Value, key: Value) -> Maybe:
    """Give what a collection has at a key."""
    match value:
        case RObject():
            return value.get(key)
        case tuple():
            if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < len(value):
                return value[key]
        case RSet():
            return key if key in value else UNDEFINED
        case _:
            pass
    return UNDEFINED


def entries(value: Value) -> Iterator[tuple[Value, Value]]:
    """Give the keys and values of a collection, none of what is no collection."""
    match value:
        case RObject():
            yield from value.items()
        case tuple():
            yield from enumerate(value)
        case RSet():
            for member in value:
                yield member, member
        case _:
            pass
