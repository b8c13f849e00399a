"""BuildKit's configuration files as config maps: one for each directory, mounted in its place."""

from __future__ import annotations

from collections.abc import Mapping
from posixpath import basename, dirname, join
from typing import Any, NamedTuple

from dockyard.driver import Node
from dockyard.errors import DriverError
from dockyard_kubernetes import naming

_ROOT = "/etc/buildkit"
_LARGEST = 1 << 20
"""Bytes that the API server takes in one config map."""


class Directory(NamedTuple):
    """The files of one directory."""

    volume: str
    """The name of the volume; the config map's ends in it."""
    mount_path: str
    files: Mapping[str, bytes]


def node_directories(node: Node) -> list[Directory]:
    """Give the directories of files that BuildKit shall find in a node's pods.

    Raises:
        DriverError: No config map can hold them.
        BootstrapError: The event that started a run of GitHub Actions cannot be read.
    """
    from dockyard.driver.provenance import provenance_files

    told = provenance_files(node.variables) if node.options.get("provenance-add-gha") else {}
    return directories({**node.files, **told})


def directories(files: Mapping[str, bytes]) -> list[Directory]:
    """Sort files into directories, which get the same names each time.

    Raises:
        DriverError: No config map can hold them.
    """
    sorted_in: dict[str, dict[str, bytes]] = {}
    for path in sorted(files, key=lambda path: (dirname(path), path)):
        try:
            naming.config_key(basename(path))
        except ValueError as error:
            raise DriverError(
                f"configuration file {path} fits into no config map: {error}"
            ) from error
        sorted_in.setdefault(dirname(path), {})[basename(path)] = files[path]
    found = []
    below = 0
    for place, content in sorted_in.items():
        below += bool(place)
        _check_size(place, content)
        volume = f"config-{below}" if place else "config"
        found.append(Directory(volume, join(_ROOT, place).rstrip("/"), content))
    return found


def config_map(name: str, annotations: Mapping[str, str], files: Mapping[str, bytes]) -> Any:  # noqa: ANN401  # JSON
    """Give the config map that holds files."""
    texts, others = {}, {}
    for key, content in files.items():
        try:
            texts[key] = content.decode("utf-8")
        except UnicodeDecodeError:
            others[key] = _base64(content)
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "annotations": dict(annotations)},
    }
    if texts:
        body["data"] = texts
    if others:
        body["binaryData"] = others
    return body


def _check_size(place: str, files: Mapping[str, bytes]) -> None:
    size = sum(len(content) for content in files.values())
    if size > _LARGEST:
        raise DriverError(
            f"configuration files in {join(_ROOT, place)} are too large for a config map: "
            f"{size} bytes, at most {_LARGEST}"
        )


def _base64(content: bytes) -> str:
    import base64

    return base64.b64encode(content).decode("ascii")
