"""A person's pod template: read from a YAML file, checked, and laid over what we make.

The file is read whenever a workload is made, so it may change until then; a workload that is there
needs it no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from dockyard.driver import Node
from dockyard.errors import OptionError
from dockyard_kubernetes.guard import check_builder
from dockyard_kubernetes.merge import merge
from dockyard_kubernetes.shape import TEMPLATE
from dockyard_kubernetes.typecheck import TemplateError, check_types

_LARGEST = 256 << 10
"""Bytes; the API server takes not much more in one object."""

_HEADER = ("apiVersion", "kind")
"""What a file may begin with so that editors know what it is."""


def merged(template: Mapping[str, Any], node: Node) -> dict[str, Any]:
    """Give a pod template with the one that the node's option names laid over it.

    Raises:
        OptionError: The file cannot be read or is no pod template, or would break the builder.
    """
    path = node.options.get("template")
    if not path:
        return merge(template, {}, TEMPLATE)
    found = merge(template, read(path), TEMPLATE)
    try:
        check_builder(template, found)
    except TemplateError as error:
        _refuse(path, error)
    return found


def read(path: str) -> dict[str, Any]:
    """Read a pod template and check the types in it.

    Raises:
        OptionError: It cannot be read, or is none.
    """
    try:
        found = _parse(_content(path))
        if isinstance(found, dict) and found.get("kind") in ("Pod", "PodTemplate"):
            found = {name: each for name, each in found.items() if name not in _HEADER}
        check_types(found)
    except TemplateError as error:
        _refuse(path, error)
    if not found:
        _refuse(path, TemplateError("it is empty"))
    return dict(found)


def _refuse(path: str, error: TemplateError) -> NoReturn:
    shown = path if path.isprintable() else repr(path)
    raise OptionError(f"pod template {shown}: {error}", hint=error.hint) from error


def _content(path: str) -> str:
    hint = "the file is read when pods are made; name another one with --driver-opt template=PATH"
    try:
        file = Path(path)
        if not file.is_file():
            problem = "it is no file" if file.exists() else "there is no such file"
            raise TemplateError(problem, hint=hint)
        with file.open("rb") as opened:
            data = opened.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TemplateError(f"it cannot be read: {reason.lower()}", hint=hint) from error
    if len(data) > _LARGEST:
        raise TemplateError(f"it is too large, at most {_LARGEST >> 10} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TemplateError(f"it is not UTF-8 at byte {error.start}") from error


def _parse(text: str) -> Any:  # noqa: ANN401  # whatever stands there
    import yaml

    from dockyard_kubernetes.yaml_loader import loader

    try:
        return yaml.load(text, loader())  # a safe one
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        words = ", ".join(filter(None, (error.context, error.problem)))
        raise TemplateError(f"{where}{words}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        lines = str(error).splitlines() or ["it is no YAML"]
        raise TemplateError(f"it is no YAML: {lines[0]}") from error
