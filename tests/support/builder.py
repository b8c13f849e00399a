"""A builder in a container of an engine, made for one module's tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tools.engine import Engine

from support.buildkit_image import BuildkitImage
from support.cli import Cli


@contextmanager
def container_builder(
    engine: Engine, buildkit_image: BuildkitImage, home: Path, *flags: str
) -> Iterator[Cli]:
    """Give the command line with a new builder selected, which reaches registries on loopback.

    Args:
        engine: Where its container runs.
        buildkit_image: The fixture.
        home: A directory for all that the command line keeps.
        flags: More for ``create``.
    """
    builder = f"test-{uuid4().hex[:8]}"
    cli = Cli(home=home, docker_host=engine.host, variables={"BUILDX_BUILDER": builder})
    options = (f"image={buildkit_image(engine)}", "network=host")
    words = [word for option in options for word in ("--driver-opt", option)]
    cli.ok("create", "--name", builder, "--driver", "docker-container", *words, *flags)
    try:
        yield cli
    finally:
        cli.ok("rm", "--force", builder)
