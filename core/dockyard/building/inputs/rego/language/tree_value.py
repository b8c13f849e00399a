"""The object that rules with brackets in their heads make together, piece by piece."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from dockyard.building.inputs.rego.language.value import RObject, RSet, Value, equal, key_of


class ConflictError(Exception):
    """Two rules say different things of one place."""


class Growing:
    """An object that is being made."""

    def __init__(self) -> None:
        self.places: dict[Hashable, tuple[Value, Growing | list[Value] | _Leaf]] = {}
        """What is there, by what stands for the keys; with the keys."""

    def put(self, keys: Sequence[Value], value: Value) -> None:
        """Put a value at the end of a path.

        Raises:
            ConflictError: Another one is there.
        """
        place = self._below(keys[:-1])
        _, found = place.places.setdefault(key_of(keys[-1]), (keys[-1], _Leaf(value)))
        if not isinstance(found, _Leaf) or not equal(found.value, value):
            raise ConflictError

    def add(self, keys: Sequence[Value], member: Value) -> None:
        """Put a member into the set at the end of a path.

        Raises:
            ConflictError: Something else is there.
        """
        place = self._below(keys[:-1])
        _, found = place.places.setdefault(key_of(keys[-1]), (keys[-1], []))
        if not isinstance(found, list):
            raise ConflictError
        found.append(member)

    def value(self) -> RObject:
        """Give the object."""
        return RObject((key, _value(inner)) for key, inner in self.places.values())

    def _below(self, keys: Sequence[Value]) -> Growing:
        place = self
        for key in keys:
            _, inner = place.places.setdefault(key_of(key), (key, Growing()))
            if not isinstance(inner, Growing):
                raise ConflictError
            place = inner
        return place


class _Leaf:
    def __init__(self, value: Value) -> None:
        self.value = value


def _value(inner: Growing | list[Value] | _Leaf) -> Value:
    match inner:
        case Growing():
            return inner.value()
        case _Leaf():
            return inner.value
        case _:
            return RSet(inner)
