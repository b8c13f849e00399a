"""Kubeconfig files as kubectl reads them: several as one, each entry with the file that has it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dockyard_kubernetes.failure import one_line

_LARGEST_FILE = 16 << 20


class Entry(NamedTuple):
    """A named part of a kubeconfig, and the file that has it. Its content has secrets."""

    content: Mapping[str, Any]
    file: Path

    def __repr__(self) -> str:
        return f"<entry of {self.file}>"


class Config(NamedTuple):
    """Several files as one."""

    files: tuple[Path, ...]
    current: str
    contexts: Mapping[str, Entry]
    clusters: Mapping[str, Entry]
    users: Mapping[str, Entry]


class UnusableError(Exception):
    """What there is makes no sense; made into a KubeconfigError by who reads it."""

    def __init__(self, words: str, hint: str, *, files: bool = True) -> None:
        super().__init__(words)
        self.hint = hint
        self.files = files
        """Whether it lies at kubeconfig files."""


def load_files(named: str, variables: Mapping[str, str]) -> Config | None:
    """Read the files; None when none are named and there is none in the usual place."""
    home = variables.get("HOME") or os.path.expanduser("~")  # noqa: PTH111  # the caller's HOME
    if not named:
        usual = Path(home, ".kube", "config")
        return _merge([usual]) if usual.exists() else None
    whole = _expanded(named, home)
    # Like kubectl, what of a list is not there is passed over.
    paths = [whole]
    if not whole.exists():
        paths = [_expanded(part, home) for part in named.split(os.pathsep) if part]
    found = [path for path in paths if path.exists()]
    if not found:
        names = " or ".join(str(path) for path in paths) or named
        raise UnusableError(
            f"no such file: {names}",
            "it is what KUBECONFIG said when the builder was made, or says now; "
            "put the file there, or make the builder anew",
        )
    return _merge(found)


def _expanded(path: str, home: str) -> Path:
    return Path(home, path[2:]) if path.startswith("~/") else Path(path)


def _merge(paths: list[Path]) -> Config:
    current = ""
    merged: dict[str, dict[str, Entry]] = {"contexts": {}, "clusters": {}, "users": {}}
    for path in paths:
        content = _read(path)
        current = current or text_of(path, content, "current-context")
        for kind, entries in merged.items():
            for name, entry in _entries(path, content, kind):
                entries.setdefault(name, Entry(entry, path.absolute()))
    return Config(tuple(paths), current, **merged)


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise malformed(path, (error.strerror or str(error)).lower()) from error
    if len(data) > _LARGEST_FILE:
        raise malformed(path, "it is longer than 16 MiB")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # A safe loader, the faster where there is one. Like kubectl, only the first document.
        content = next(yaml.load_all(data, Loader=loader), None)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        # Not the error's text: that quotes the file, which has secrets.
        raise malformed(path, f"it is no YAML{place}: {one_line(str(problem))}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise malformed(path, f"expected a mapping, got {kind_of(content)}")
    return content


def _entries(
    path: Path, content: Mapping[str, Any], kind: str
) -> list[tuple[str, Mapping[str, Any]]]:
    found = content.get(kind) or []
    if not isinstance(found, list):
        raise malformed(path, f"{kind}: expected a list, got {kind_of(found)}")
    singular = kind.removesuffix("s")
    entries: list[tuple[str, Mapping[str, Any]]] = []
    for number, item in enumerate(found):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise malformed(path, f"{kind}[{number}] has no name")
        inner = item.get(singular)
        inner = {} if inner is None else inner
        if not isinstance(inner, dict):
            raise malformed(
                path, f'{singular} of "{item["name"]}": expected a mapping, got {kind_of(inner)}'
            )
        entries.append((item["name"], inner))
    return entries


def malformed(path: Path, words: str) -> UnusableError:
    """Make the error of a file that makes no sense."""
    return UnusableError(
        f"kubeconfig {path} cannot be used: {words}", "kubectl config view shows what is in it"
    )


def kind_of(value: object) -> str:
    """Say what a value is, for a person."""
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a truth value"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "nothing")


def text_of(path: Path, content: Mapping[str, Any], key: str) -> str:
    """Give a text; empty when it is missing."""
    value = content.get(key)
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # what YAML takes for a number, such as a context's name
    if not isinstance(value, str):
        raise malformed(path, f"{key}: expected text, got {kind_of(value)}")
    return value


def truth_of(entry: Entry, key: str) -> bool:
    """Give a truth value; false when it is missing."""
    value = entry.content.get(key)
    if value is not None and not isinstance(value, bool):
        raise malformed(entry.file, f"{key}: expected true or false, got {kind_of(value)}")
    return bool(value)
