"""Kubernetes' strategic merge: one object laid over another as ``kubectl patch`` does it.

Mappings are merged field by field, and null takes a field away. Lists whose items have a key are
merged item by item, new ones after ours; other lists are replaced. ``$patch: replace``,
``$patch: delete`` and ``$retainKeys`` say otherwise where they stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dockyard_kubernetes.shape import Shape, field, item

PATCH, RETAIN = "$patch", "$retainKeys"
ACTIONS = ("replace", "delete")

_Object = Mapping[str, Any]


def merge(base: _Object, patch: _Object, shape: Shape) -> dict[str, Any]:
    """Lay a mapping over another one. Neither is changed, and nothing of them is shared.

    Args:
        base: The one below.
        patch: The one above, its types checked.
        shape: What both are.
    """
    action = patch.get(PATCH)
    if action == "delete":
        return {}
    if action == "replace":
        return _plain(patch)
    retained = patch.get(RETAIN)
    merged = {
        name: without_directives(value)
        for name, value in base.items()
        if retained is None or name in retained
    }
    for name, value in patch.items():
        if name in (PATCH, RETAIN):
            continue
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge_value(merged.get(name), value, field(shape, name))
    return merged


def _plain(value: _Object) -> dict[str, Any]:
    return {
        name: without_directives(each)
        for name, each in value.items()
        if name not in (PATCH, RETAIN) and each is not None
    }


def without_directives(value: Any) -> Any:  # noqa: ANN401  # JSON
    """Copy a value without the directives and the nulls in it."""
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, list):
        return [without_directives(each) for each in value if not is_directive(each)]
    return value


def is_directive(value: object) -> bool:
    """Tell whether an item only says what to do: with the list, or with an item to delete."""
    if not isinstance(value, Mapping) or PATCH not in value:
        return False
    return value == {PATCH: "replace"} or value[PATCH] == "delete"


def _merge_value(base: Any, patch: Any, shape: Shape) -> Any:  # noqa: ANN401  # JSON
    if isinstance(patch, Mapping):
        return merge(base if isinstance(base, Mapping) else {}, patch, shape)
    if isinstance(base, list) and isinstance(patch, list) and shape.key:
        return _merge_items(base, patch, shape)
    return without_directives(patch)


def _merge_items(base: Sequence[Any], patch: Sequence[_Object], shape: Shape) -> list[Any]:
    if any(entry == {PATCH: "replace"} for entry in patch):
        return [without_directives(entry) for entry in patch if not is_directive(entry)]
    merged = list(base)
    for entry in patch:
        place = next(
            (at for at, each in enumerate(merged) if each.get(shape.key) == entry.get(shape.key)),
            None,
        )
        if entry.get(PATCH) == "delete":
            if place is not None:
                del merged[place]
        elif place is None:
            merged.append(without_directives(entry))
        else:
            merged[place] = merge(merged[place], entry, item(shape))
    return merged
