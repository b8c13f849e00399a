"""Where downloads are kept: outside the repository, so that all clones share them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_root() -> Path:
    """Return the cache folder, made if missing: ``$DOCKYARD_CACHE`` or one in the user's cache."""
    named = os.environ.get("DOCKYARD_CACHE")
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = Path(named) if named else user_cache / "dockyard-dev"
    root.mkdir(parents=True, exist_ok=True)
    return root.resolve()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on ``path`` against other processes; waits for whoever has it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
