"""Find installed plugins by their entry points, without importing them.

Group ``dockyard``: drivers; the entry point's name is the driver's name. Group
``dockyard.wrapper``: plugins that wrap the hooks of every driver. Either names a module, or an
object in one, that has the hook functions.

Walking all installed distributions takes some 50 ms, so what was found is remembered in a cache
file, keyed by the modification times of the directories on the import path. A wrong, damaged or
missing cache file is only slower.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

DRIVERS = "dockyard"
WRAPPERS = "dockyard.wrapper"

_CACHE_VERSION = 1


class Offer(NamedTuple):
    """A plugin that some installed distribution offers, not imported yet."""

    name: str
    group: str
    value: str
    """``module`` or ``module:object``."""
    distribution: str
    version: str

    @property
    def provider(self) -> str:
        """The distribution, as people read it."""
        return f"{self.distribution} {self.version}"


def find_offers(cache_directory: Path | None, path: Sequence[str] | None = None) -> list[Offer]:
    """Give every plugin on the import path, from the cache where it is still right.

    Args:
        cache_directory: Where the cache file lies; None goes without.
        path: The import path; ``sys.path`` when not given.
    """
    entries = list(sys.path if path is None else path)
    if cache_directory is None:
        return _walk(entries)
    key = _key(entries)
    file = cache_directory / _file_name(entries)
    cached = _read_cache(file, key)
    if cached is not None:
        return cached
    offers = _walk(entries)
    _write_cache(file, key, offers)
    return offers


def _walk(path: Sequence[str]) -> list[Offer]:
    from importlib.metadata import distributions

    offers: dict[tuple[str, str, str], Offer] = {}
    for distribution in distributions(path=list(path)):
        name = distribution.metadata["Name"]
        for entry in distribution.entry_points:
            if entry.group in (DRIVERS, WRAPPERS):
                # The first on the path wins, as it does for imports.
                offers.setdefault(
                    (entry.group, entry.name, name),
                    Offer(
                        name=entry.name,
                        group=entry.group,
                        value=entry.value,
                        distribution=name,
                        version=distribution.version,
                    ),
                )
    return sorted(offers.values(), key=lambda offer: (offer.group, offer.name, offer.distribution))


def _key(path: Iterable[str]) -> list[object]:
    entries: list[object] = [_CACHE_VERSION, sys.version, sys.prefix]
    for entry in path:
        try:
            modified = os.stat(entry or ".").st_mtime_ns  # noqa: PTH116  # 20 calls a start
        except OSError:
            modified = 0
        entries.append([entry or str(Path.cwd()), modified])
    return entries


def _file_name(path: Sequence[str]) -> str:
    """Name the cache file by the import path, so that environments don't undo each other's."""
    import zlib

    return (
        f"plugins-{zlib.crc32(os.pathsep.join(path).encode('utf-8', 'surrogateescape')):08x}.json"
    )


def _read_cache(file: Path, key: list[object]) -> list[Offer] | None:
    try:
        content = json.loads(file.read_bytes())
        if content["key"] == key:
            return [Offer(**offer) for offer in content["offers"]]
    except (OSError, ValueError, TypeError, KeyError):
        pass  # a cache that cannot be used is no cache
    return None


def _write_cache(file: Path, key: list[object], offers: Iterable[Offer]) -> None:
    content = {"key": key, "offers": [offer._asdict() for offer in offers]}
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(file)
    except OSError:
        pass  # a read-only home directory only costs the time again
