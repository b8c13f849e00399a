"""The keys by which a daemon tells whether two sessions have the same credentials (wire.md 4.3).

For each registry a random seed is kept beside docker's ``config.json``, in the file that the
Docker CLI uses for it, so that every build of one user on one machine gives the same key.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FILE = ".token_seed"
_LOCK_FILE = ".token_seed.lock"
_SEED_SIZE = 16
_WAIT_FOR_LOCK = 2.0
_MAX_FILE = 1 << 20


def authority_seed(salt: bytes, host_seed: bytes) -> bytes:
    """Give the seed of the key for one daemon's salt; ``host_seed`` is empty without a secret."""
    import hmac

    return hmac.digest(salt, host_seed, "sha256")


class SeedStore:
    """The seeds of the registries. May be used from several threads and processes at once."""

    def __init__(self, folder: Path | None) -> None:
        """Take the folder of docker's configuration; without one nothing is kept."""
        self._folder = folder
        self._lock = threading.Lock()
        self._made: dict[str, bytes] = {}

    def get(self, host: str) -> bytes:
        """Give the seed of a registry, made when first asked for.

        A folder that cannot be written, or a file that makes no sense, is no error: the seed
        then lives as long as this object.
        """
        with self._lock:
            if host not in self._made:
                self._made[host] = self._stored(host) or os.urandom(_SEED_SIZE)
            return self._made[host]

    def _stored(self, host: str) -> bytes | None:
        if self._folder is None:
            return None
        try:
            with _locked(self._folder / _LOCK_FILE):
                return self._read_or_add(self._folder / _FILE, host)
        except (OSError, ValueError, RecursionError):
            return None

    def _read_or_add(self, path: Path, host: str) -> bytes:
        import base64

        seeds = _read(path)
        entry = seeds.get(host)
        if isinstance(entry, dict) and isinstance(entry.get("Seed"), str):
            seed = base64.b64decode(entry["Seed"], validate=True)
            if seed:
                return seed
        seed = os.urandom(_SEED_SIZE)
        seeds[host] = {"Seed": base64.b64encode(seed).decode()}
        _write(path, seeds)
        return seed


def _read(path: Path) -> dict[str, Any]:
    import json

    try:
        with path.open("rb") as file:
            seeds = json.loads(file.read(_MAX_FILE))
    except FileNotFoundError:
        return {}
    if not isinstance(seeds, dict):
        raise ValueError(f"{path} holds no object")  # noqa: TRY004  # wrong data, not a wrong call
    return seeds


def _write(path: Path, seeds: dict[str, Any]) -> None:
    """Replace the file at once, readable by its owner only."""
    import json

    new = path.with_name(f"{path.name}.{os.urandom(6).hex()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # a descriptor
            json.dump(seeds, file, indent=2)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file. Gives up with OSError when somebody else does not let go of it."""
    import fcntl

    until = time.monotonic() + _WAIT_FOR_LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
