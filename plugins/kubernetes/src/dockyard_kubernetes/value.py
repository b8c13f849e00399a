"""Look into what an API server sent, which may be anything: what is not there is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dockyard_kubernetes.failure import one_line

Object = Mapping[str, Any]

_EMPTY: Object = MappingProxyType({})


def table(values: object, *path: str) -> Object:
    """Give the object at the end of a path of keys; an empty one where there is none."""
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values if isinstance(values, Mapping) else _EMPTY


def tables(values: object, *path: str) -> Sequence[Object]:
    """Give the objects of the list at the end of a path of keys."""
    *parents, last = path
    found = table(values, *parents).get(last)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def text(values: object, *path: str) -> str:
    """Give the text at the end of a path of keys, in one line; empty where there is none."""
    *parents, last = path
    found = table(values, *parents).get(last)
    return one_line(found) if isinstance(found, str) else ""


def number(values: object, *path: str) -> int:
    """Give the number at the end of a path of keys; 0 where there is none."""
    *parents, last = path
    found = table(values, *parents).get(last)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def name_of(values: object) -> str:
    """Give an object's name."""
    return text(values, "metadata", "name")


def uid_of(values: object) -> str:
    """Give what tells an object from all others, also from those that had its name before."""
    return text(values, "metadata", "uid")
