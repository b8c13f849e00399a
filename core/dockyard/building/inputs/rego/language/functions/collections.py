# ruff: noqa: D103  # named as in Rego, whose own documentation says what they do
"""Arrays, sets, objects and types."""

from __future__ import annotations

from dockyard.building.inputs.rego.language.fault import WrongOperandError
from dockyard.building.inputs.rego.language.functions.operand import (
    a_set,
    an_object,
    array,
    bounded,
    integer,
    members,
    text,
)
from dockyard.building.inputs.rego.language.value import (
    UNDEFINED,
    RObject,
    RSet,
    Value,
    equal,
    kind,
)


def member_2(value: Value, collection: Value) -> Value:
    """Say whether a collection has a value."""
    match collection:
        case RSet():
            return value in collection
        case tuple():
            return any(equal(value, each) for each in collection)
        case RObject():
            return any(equal(value, each) for _, each in collection.items())
        case _:
            return False


def member_3(key: Value, value: Value, collection: Value) -> Value:
    """Say whether a collection has a value at a key."""
    match collection:
        case RSet():
            return equal(key, value) and value in collection
        case tuple():
            pairs: list[tuple[Value, Value]] = list(enumerate(collection))
        case RObject():
            pairs = collection.items()
        case _:
            return False
    return any(equal(key, each) and equal(value, inner) for each, inner in pairs)


def both(left: Value, right: Value) -> Value:
    other = a_set(right)
    return RSet(member for member in a_set(left) if member in other)


def either(left: Value, right: Value) -> Value:
    return RSet([*a_set(left), *a_set(right)])


def intersection(sets: Value) -> Value:
    found = [a_set(each) for each in a_set(sets)]
    if not found:
        return RSet()
    return RSet(member for member in found[0] if all(member in each for each in found))


def union(sets: Value) -> Value:
    return RSet(member for each in a_set(sets) for member in a_set(each))


def array_concat(left: Value, right: Value) -> Value:
    bounded(len(array(left)) + len(array(right)))
    return array(left) + array(right)


def array_slice(value: Value, start: Value, stop: Value) -> Value:
    found = array(value)
    first, last = max(integer(start), 0), max(integer(stop), 0)
    return found[first:last]


def array_reverse(value: Value) -> Value:
    return array(value)[::-1]


def array_flatten(value: Value) -> Value:
    found: list[Value] = []
    for each in array(value):
        if isinstance(each, tuple):
            found += each
        else:
            found.append(each)
    return tuple(found)


# --- objects --------------------------------------------------------------------------------


def object_get(value: Value, key: Value, otherwise: Value) -> Value:
    """Give what is at a key, or at the end of a path."""
    whole: Value = an_object(value)
    for step in key if isinstance(key, tuple) else (key,):
        match whole:
            case RObject():
                inner = whole.get(step)
            case tuple() if isinstance(step, int) and not isinstance(step, bool):
                inner = whole[step] if 0 <= step < len(whole) else UNDEFINED
            case RSet():
                inner = step if step in whole else UNDEFINED
            case _:
                inner = UNDEFINED
        if inner is UNDEFINED:
            return otherwise
        whole = inner
    return whole


def object_keys(value: Value) -> Value:
    return RSet(key for key, _ in an_object(value).items())


def object_remove(value: Value, keys: Value) -> Value:
    gone = _keys(keys)
    return RObject(pair for pair in an_object(value).items() if pair[0] not in gone)


def object_filter(value: Value, keys: Value) -> Value:
    kept = _keys(keys)
    return RObject(pair for pair in an_object(value).items() if pair[0] in kept)


def _keys(value: Value) -> RSet:
    if isinstance(value, RObject):
        return RSet(key for key, _ in value.items())
    return RSet(members(value))


def object_union(left: Value, right: Value) -> Value:
    """Put two objects together, those inside of them too; the right one's values count."""
    first, second = an_object(left), an_object(right)
    found = RObject(first.items())
    pairs = first.items()
    for key, value in second.items():
        before = found.get(key)
        if isinstance(before, RObject) and isinstance(value, RObject):
            pairs.append((key, object_union(before, value)))
        else:
            pairs.append((key, value))
    return RObject(pairs)


def object_union_n(values: Value) -> Value:
    found: Value = RObject()
    for each in array(values):
        found = object_union(found, each)
    return found


def object_subset(whole: Value, part: Value) -> Value:
    """Say whether everything of the second is in the first."""
    match whole, part:
        case RObject(), RObject():
            return all(_has(whole, key, value) for key, value in part.items())
        case RSet(), RSet():
            return all(member in whole for member in part)
        case tuple(), RSet():
            return all(member_2(member, whole) for member in part)
        case tuple(), tuple():
            size = len(part)
            return not size or any(
                equal(whole[start : start + size], part) for start in range(len(whole) - size + 1)
            )
        case _:
            raise WrongOperandError


def _has(whole: RObject, key: Value, value: Value) -> bool:
    found = whole.get(key)
    if found is UNDEFINED:
        return False
    if kind(found) == kind(value) and isinstance(value, RObject | RSet | tuple):
        return bool(object_subset(found, value))
    return equal(found, value)


# --- paths into JSON ------------------------------------------------------------------------


def json_remove(value: Value, paths: Value) -> Value:
    found: Value = an_object(value)
    for path in _paths(paths):
        found = _without(found, path)
    return found


def json_filter(value: Value, paths: Value) -> Value:
    return _only(an_object(value), _paths(paths))


def _paths(value: Value) -> list[tuple[Value, ...]]:
    found: list[tuple[Value, ...]] = []
    for path in members(value):
        if isinstance(path, tuple):
            found.append(path)
        else:
            parts = text(path).lstrip("/").split("/")
            found.append(tuple(part.replace("~1", "/").replace("~0", "~") for part in parts))
    return found


def _without(value: Value, path: tuple[Value, ...]) -> Value:
    if not path:
        return value
    if isinstance(value, RObject):
        return RObject(
            (key, inner if not equal(key, path[0]) else _without(inner, path[1:]))
            for key, inner in value.items()
            if len(path) > 1 or not equal(key, path[0])
        )
    if isinstance(value, tuple):
        return tuple(
            inner if str(number) != str(path[0]) else _without(inner, path[1:])
            for number, inner in enumerate(value)
            if len(path) > 1 or str(number) != str(path[0])
        )
    return value


def _only(value: Value, paths: list[tuple[Value, ...]]) -> Value:
    if any(not path for path in paths):
        return value
    if isinstance(value, RObject):
        found = []
        for key, inner in value.items():
            below = [path[1:] for path in paths if equal(path[0], key)]
            if below:
                found.append((key, _only(inner, below)))
        return RObject(found)
    if isinstance(value, tuple):
        return tuple(
            _only(inner, below)
            for number, inner in enumerate(value)
            if (below := [path[1:] for path in paths if str(path[0]) == str(number)])
        )
    return value


# --- types ----------------------------------------------------------------------------------


def type_name(value: Value) -> Value:
    return kind(value)


def is_number(value: Value) -> Value:
    return _is(value, "number")


def is_string(value: Value) -> Value:
    return _is(value, "string")


def is_boolean(value: Value) -> Value:
    return _is(value, "boolean")


def is_array(value: Value) -> Value:
    return _is(value, "array")


def is_set(value: Value) -> Value:
    return _is(value, "set")


def is_object(value: Value) -> Value:
    return _is(value, "object")


def is_null(value: Value) -> Value:
    return _is(value, "null")


def _is(value: Value, name: str) -> bool:
    # In Rego these have no value, instead of false, for everything else.
    return kind(value) == name
