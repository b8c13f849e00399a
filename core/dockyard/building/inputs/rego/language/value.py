"""Rego's values: how they compare, how they are found in collections, how they become JSON.

Null, booleans, numbers and strings are Python's own; arrays are tuples. Sets and objects are made
here, because to Python ``True`` and ``1`` are the same and a list is no key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import cmp_to_key
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Hashable

Value: TypeAlias = "bool | int | float | str | tuple[Value, ...] | RSet | RObject | None"


class MissingError(Exception):
    """Something was looked at that is not known yet."""

    def __init__(self, needs: Iterable[str]) -> None:
        self.needs = frozenset(needs)
        super().__init__(*sorted(self.needs))


class Undefined(Enum):
    """What is not there."""

    ONLY = 0


UNDEFINED: Final = Undefined.ONLY
Maybe: TypeAlias = "Value | Undefined"

_NOTHING: Mapping[str, str] = MappingProxyType({})


class RSet:
    """A set. Iterates in order."""

    __slots__ = ("_members",)

    def __init__(self, members: Iterable[Value] = ()) -> None:
        self._members = {key_of(member): member for member in members}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Value]:
        return iter(in_order(self._members.values()))

    def __contains__(self, member: Value) -> bool:
        return key_of(member) in self._members

    def keys(self) -> frozenset[Hashable]:
        """Give what stands for the members where Python compares."""
        return frozenset(self._members)


class RObject:
    """An object. Iterates in the order of its keys.

    Some of its fields may not be known yet: whoever looks at one, or at the object as a whole,
    gets a :class:`MissingError` that says what to ask for.
    """

    __slots__ = ("_missing", "_pairs")

    def __init__(
        self,
        pairs: Iterable[tuple[Value, Value]] = (),
        missing: Mapping[str, str] = _NOTHING,
    ) -> None:
        self._pairs = {key_of(key): (key, value) for key, value in pairs}
        self._missing = missing

    def __len__(self) -> int:
        self._whole()
        return len(self._pairs)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it, and nothing will be."""
        return not self._pairs and not self._missing

    def get(self, key: Value) -> Maybe:
        """Give the value of a key."""
        if isinstance(key, str):
            if key in self._missing:
                raise MissingError((self._missing[key],))
            found = self._pairs.get(key)
        else:
            found = self._pairs.get(key_of(key))
        return UNDEFINED if found is None else found[1]

    def items(self) -> list[tuple[Value, Value]]:
        """Give all pairs, by the order of the keys."""
        self._whole()
        order = cmp_to_key(compare)
        return sorted(self._pairs.values(), key=lambda pair: order(pair[0]))

    def replaced(self, path: tuple[Value, ...], value: Value) -> RObject:
        """Give the object with another value at the end of a path."""
        first, rest = path[0], path[1:]
        if rest:
            inner = self._pairs.get(key_of(first), (first, None))[1]
            value = (inner if isinstance(inner, RObject) else RObject()).replaced(rest, value)
        missing = {name: need for name, need in self._missing.items() if name != first}
        return RObject([*self._pairs.values(), (first, value)], missing)

    def only_known(self) -> RObject:
        """Give the object without a trace of what is missing."""
        return RObject((key, _only_known(value)) for key, value in self._pairs.values())

    def never(self, need: str) -> RObject:
        """Give the object with another reason why fields are missing."""
        return RObject(self._pairs.values(), dict.fromkeys(self._missing, need))

    def key(self) -> Hashable:
        """Give what stands for the object where Python compares."""
        self._whole()
        return frozenset((key, key_of(value)) for key, (_, value) in self._pairs.items())

    def _whole(self) -> None:
        if self._missing:
            raise MissingError(self._missing.values())


def _only_known(value: Value) -> Value:
    match value:
        case RObject():
            return value.only_known()
        case tuple():
            return tuple(map(_only_known, value))
        case _:
            return value


def key_of(value: Value) -> Hashable:
    """Give what stands for a value where Python compares: the same for equal values only."""
    match value:
        case str():
            return value
        case bool():
            return (1, value)
        case int() | float():
            return (2, value)
        case None:
            return (0,)
        case tuple():
            return (4, tuple(map(key_of, value)))
        case RObject():
            return (5, value.key())
        case _:
            return (6, value.keys())


def equal(left: Value, right: Value) -> bool:
    """Say whether two values are the same."""
    return kind(left) == kind(right) and key_of(left) == key_of(right)


_RANKS = ("null", "boolean", "number", "string", "array", "object", "set")


def kind(value: Value) -> str:
    """Name a value's type."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case tuple():
            return "array"
        case RObject():
            return "object"
        case _:
            return "set"


def compare(left: Value, right: Value) -> int:
    """Order any two values: negative, zero or positive."""
    first, second = kind(left), kind(right)
    if first != second:
        return _RANKS.index(first) - _RANKS.index(second)
    match left, right:
        case RObject(), RObject():
            return _compare_all(_flat(left), _flat(right))
        case ((tuple() | RSet()), (tuple() | RSet())):
            return _compare_all(list(left), list(right))
        case None, None:
            return 0
        case _:
            return (left > right) - (left < right)  # type: ignore[operator]  # of one kind


def _flat(value: RObject) -> list[Value]:
    return [part for pair in value.items() for part in pair]


def _compare_all(left: list[Value], right: list[Value]) -> int:
    for one, other in zip(left, right, strict=False):
        found = compare(one, other)
        if found:
            return found
    return len(left) - len(right)


def in_order(values: Iterable[Value]) -> list[Value]:
    """Sort values of any types."""
    return sorted(values, key=cmp_to_key(compare))


def from_json(value: object) -> Value:
    """Make a value of what a JSON reader gives.

    Raises:
        ValueError: It is nothing that JSON has.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if value != value or value in (float("inf"), float("-inf")):  # NaN
                raise ValueError("a number that JSON does not have")
            return int(value) if value.is_integer() and abs(value) < 1 << 53 else value
        case list() | tuple():
            return tuple(map(from_json, value))
        case dict():
            return RObject((str(key), from_json(inner)) for key, inner in value.items())
        case _:
            raise ValueError(f"{type(value).__name__} is nothing that JSON has")


def to_json(value: Value) -> object:
    """Give what a JSON writer takes: sets become lists, keys that are no text become it."""
    match value:
        case tuple() | RSet():
            return [to_json(inner) for inner in value]
        case RObject():
            return {_name(key): to_json(inner) for key, inner in value.items()}
        case _:
            return value


def _name(key: Value) -> str:
    return key if isinstance(key, str) else text_of(key)


def text_of(value: Value) -> str:
    """Write a value as JSON, without blanks."""
    import json

    return json.dumps(to_json(value), ensure_ascii=False, separators=(",", ":"))
