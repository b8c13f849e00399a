"""Fixtures with a BuildKit image for builders in containers.

The image is made of Debian's packages (``tools/buildkit_image.py``), so that no registry has to be
reached. ``DOCKYARD_TEST_BUILDKIT_IMAGE`` names another to use in its place, such as
``moby/buildkit:buildx-stable-1``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tools import buildkit_image as debian_image
from tools.cache import cache_root, locked
from tools.engine import Engine, PrivateEngine

from support import registry
from support.engines import StartEngine, or_skip

VARIABLE = "DOCKYARD_TEST_BUILDKIT_IMAGE"
BuildkitImage = Callable[[Engine], str]
"""``buildkit_image(engine)``: see the fixture."""
MirroredEngine = Callable[[str], PrivateEngine]
"""``mirrored_engine("26.1")``: see the fixture."""


@pytest.fixture(scope="session")
def buildkit_image() -> BuildkitImage:
    """Make sure that an engine has the BuildKit image, and give its name."""
    ready: set[str] = set()

    def give(engine: Engine) -> str:
        if named := os.environ.get(VARIABLE):
            return named
        archive = or_skip(debian_image.archive)
        if engine.host not in ready:
            _load(engine, archive)
            ready.add(engine.host)
        return archive.name

    return give


def _load(engine: Engine, archive: debian_image.Archive) -> None:
    # Every worker of pytest-xdist comes here; the first does the work.
    with locked(cache_root() / "buildkit" / "load.lock"):
        found = engine.docker("image", "inspect", archive.name, check=False)
        if found.returncode != 0:
            engine.docker("load", "--input", str(archive.path))


@pytest.fixture(scope="session")
def mirror() -> Iterator[registry.Registry]:
    """A registry that has the BuildKit image under the name that builders use by default.

    An engine with this registry as its mirror pulls that name from it and not from Docker Hub.
    The registry's folder is kept in the cache: only the first run has to push.
    """
    archive = or_skip(debian_image.archive)
    storage = cache_root() / "buildkit" / f"registry-{archive.path.stem}"
    pushed = storage / "pushed"
    with ExitStack() as stack, ExitStack() as held:
        held.enter_context(locked(cache_root() / "buildkit" / "registry.lock"))
        running = registry.start(stack, storage=storage)
        if not pushed.exists():
            registry.push_archive(running, debian_image.STOCK_NAME, archive.path)
            pushed.touch()
        held.close()
        yield running


@pytest.fixture
def mirrored_engine(start_engine: StartEngine, mirror: registry.Registry) -> MirroredEngine:
    """Start an engine for this test alone that really pulls ``moby/buildkit:buildx-stable-1``."""

    def start(name: str) -> PrivateEngine:
        return start_engine(name, {"registry-mirrors": [f"http://{mirror.address}"]})

    return start
