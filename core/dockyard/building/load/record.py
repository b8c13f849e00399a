"""What is remembered of images that were loaded into engines with containerd's store.

Such an engine does not tell which blobs it has, and takes an image whose blobs are missing. So we
note which blobs an image has that we loaded and found whole: while the engine has that image, it
has them. A record that is lost costs one full load; so does one that makes no sense.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from dockyard.builder.directory import StateDirectory
from dockyard.config import Owner
from dockyard.errors import StoreError
from dockyard.session.content_store import is_digest

_FOLDER = "dockyard/loaded"
_KEPT = 100
_MAX_RECORD = 1 << 20


class LoadRecords:
    """The records below one state directory; each is a small file of its own."""

    def __init__(self, path: Path, *, owner: Owner | None = None) -> None:
        """Name the place; nothing is touched yet.

        Args:
            path: The state directory, shared with buildx.
            owner: Whom to give what is made; None leaves it to the system.
        """
        self._directory = StateDirectory(path, owner=owner)

    def layers(self, engine: str, manifest: str) -> frozenset[str] | None:
        """Give the layers that an engine has when it has an image; None when nothing is known."""
        return self._read(_file(engine, manifest), manifest)

    def candidates(self, engine: str, layers: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
        """Give the images that share layers with another, with these layers, the best first."""
        ending = _file(engine, "")
        found = []
        for name in self._names():
            if name.endswith(ending):
                manifest = f"sha256:{name.removesuffix(ending)}"
                shared = layers & (self._read(name, manifest) or frozenset())
                if shared:
                    found.append((manifest, shared))
        return sorted(found, key=lambda each: len(each[1]), reverse=True)

    def add(self, engine: str, manifest: str, layers: frozenset[str]) -> None:
        """Note that an engine has all of an image. The oldest records make room.

        Of an engine without a name nothing is noted: it could be any of them.
        """
        if not engine:
            return
        record = {"engine": engine, "manifest": manifest, "layers": sorted(layers)}
        with suppress(StoreError):
            data = json.dumps(record, indent=2).encode()
            self._directory.replace(f"{_FOLDER}/{_file(engine, manifest)}", data, lasting=False)
            self._prune()

    def forget(self, engine: str, manifest: str) -> None:
        """Drop what is known of an image that an engine no longer has, or not all of."""
        with suppress(StoreError):
            self._directory.remove(f"{_FOLDER}/{_file(engine, manifest)}")

    def _read(self, name: str, manifest: str) -> frozenset[str] | None:
        try:
            data = self._directory.read(f"{_FOLDER}/{name}")
            values = json.loads(data) if data and len(data) <= _MAX_RECORD else {}
        except (StoreError, ValueError, RecursionError):
            return None
        if not isinstance(values, dict) or values.get("manifest") != manifest:
            return None
        layers = values.get("layers")
        if not isinstance(layers, list):
            return None
        whole = all(isinstance(each, str) and is_digest(each) for each in layers)
        return frozenset(layers) if whole else None

    def _names(self) -> list[str]:
        try:
            return self._directory.names(_FOLDER)
        except StoreError:
            return []

    def _prune(self) -> None:
        names = self._names()
        if len(names) <= _KEPT:
            return
        aged = []
        for name in names:
            with suppress(OSError):
                status = (self._directory.path / _FOLDER / name).lstat()
                aged.append((status.st_mtime_ns, name))
        for _, name in sorted(aged)[:-_KEPT]:
            self._directory.remove(f"{_FOLDER}/{name}")


def _file(engine: str, manifest: str) -> str:
    """Name the file for an image in an engine, which may call itself anything."""
    import hashlib

    mark = hashlib.sha256(engine.encode()).hexdigest()[:16]
    return f"{manifest.removeprefix('sha256:')}-{mark}.json"
