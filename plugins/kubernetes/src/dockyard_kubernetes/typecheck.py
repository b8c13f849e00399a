"""Check a pod template's types, with the path of the field in the message."""

from __future__ import annotations

from typing import Any

from dockyard_kubernetes.merge import ACTIONS, PATCH, RETAIN
from dockyard_kubernetes.shape import TEMPLATE, Shape, field, is_mapping, item

_MOST_VALUES = 10_000
_DEEPEST = 40

_EXPECTED = {
    "text": "text",
    "number": "a whole number",
    "flag": "true or false",
    "quantity": "a quantity",
}
_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int,),
    "flag": (bool,),
    "quantity": (str, int, float),
}
_GOT: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number with a fraction",
    list: "a list",
    dict: "a mapping",
}
_REFUSED = "a pod template has metadata (labels and annotations) and spec"


class TemplateError(Exception):
    """A pod template cannot be used; says why, and where in it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def check_types(template: Any) -> None:  # noqa: ANN401  # whatever was read
    """Make sure that a template's fields are what the API has.

    Raises:
        TemplateError: One is not; names it.
    """
    if template is None:
        return
    _Check().value(template, TEMPLATE, "", 0)
    for name in template:
        if name not in ("metadata", "spec"):
            raise TemplateError(f"unknown field {name}", hint=_REFUSED)
    for name in template.get("metadata") or {}:
        if name not in ("labels", "annotations") and not name.startswith("$"):
            raise TemplateError(f"metadata.{name} belongs to the builder", hint=_REFUSED)


class _Check:
    """Walks through a template, and not for ever."""

    def __init__(self) -> None:
        self._seen = 0

    def value(self, value: Any, shape: Shape, path: str, depth: int) -> None:  # noqa: ANN401  # JSON
        self._seen += 1
        if self._seen > _MOST_VALUES or depth > _DEEPEST:
            raise TemplateError(f"it is too large: more than {_MOST_VALUES} values, or too deep")
        if shape.is_list or (not shape.kind and isinstance(value, list)):
            self._list(value, shape, path, depth)
        elif is_mapping(shape) or (not shape.kind and isinstance(value, dict)):
            self._mapping(value, shape, path, depth)
        else:
            _check_scalar(value, shape, path)

    def _list(self, value: object, shape: Shape, path: str, depth: int) -> None:
        if not isinstance(value, list):
            raise _mismatch(value, "a list", path)
        for at, each in enumerate(value):
            here = f"{path}[{at}]"
            self.value(each, item(shape), here, depth + 1)
            _check_item(each, shape.key, here)

    def _mapping(self, value: object, shape: Shape, path: str, depth: int) -> None:
        if not isinstance(value, dict):
            raise _mismatch(value, "a mapping", path)
        for name, each in value.items():
            here = f"{path}.{name}" if path else name
            if name.startswith("$"):
                _check_directive(name, each, here)
            elif each is not None:
                self.value(each, field(shape, name), here, depth + 1)


def _check_scalar(value: object, shape: Shape, path: str) -> None:
    types = _TYPES.get(shape.kind)
    is_flag = isinstance(value, bool)
    if types and (not isinstance(value, types) or (is_flag and bool not in types)):
        raise _mismatch(value, _EXPECTED[shape.kind], path)
    if isinstance(value, float) and not float("-inf") < value < float("inf"):
        raise TemplateError(f"{path}: the number is too large")


def _check_item(value: Any, key: str, path: str) -> None:  # noqa: ANN401  # JSON
    """Check what an item says about itself, or about its list."""
    action = value.get(PATCH) if isinstance(value, dict) else None
    if action and (not key or (value != {PATCH: "replace"} and action != "delete")):
        raise TemplateError(
            f"{path}.{PATCH}: {action} has no meaning here",
            hint="in a list whose items have keys, an item may say delete; replace stands alone",
        )
    if key and value != {PATCH: "replace"} and value.get(key) is None:
        raise TemplateError(f"{path}: expected {key}, by which it is found")


def _check_directive(name: str, value: object, path: str) -> None:
    if name == PATCH and value in ACTIONS:
        return
    is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
    if name == RETAIN and is_list:
        return
    raise TemplateError(
        f"{path}: unknown directive", hint=f"{PATCH}: {', '.join(ACTIONS)}; {RETAIN}: [field, ...]"
    )


def _mismatch(value: object, expected: str, path: str) -> TemplateError:
    got = _GOT.get(type(value), "nothing")
    hint = "put it in quotes" if expected == "text" and isinstance(value, int | float) else None
    where = f"{path}: " if path else ""
    return TemplateError(f"{where}expected {expected}, got {got}", hint=hint)
