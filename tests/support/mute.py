"""An image whose BuildKit runs and never answers, so that its boot lasts until it is ended."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tools.engine import Engine

SAID = "not yet"
"""What its ``buildctl`` says, each time."""
LOGGED = "waking up"
"""What the container logs."""

_BUILDCTL = f"#!/bin/busybox sh\necho {SAID} >&2\nexit 1\n"
_CHANGES = (
    "ENV PATH=/bin",
    f'ENTRYPOINT ["/bin/busybox", "sh", "-c", "echo {LOGGED}; exec /bin/busybox sleep 1000"]',
)


def import_mute(engine: Engine, name: str, busybox: Path, folder: Path) -> str:
    """Make the image under a name of the test's own, and give the name.

    Args:
        engine: Where it is to be.
        name: What it is called; whoever asks for it removes it.
        busybox: The fixture.
        folder: Where files can be put.
    """
    buildctl = folder / "buildctl"
    buildctl.write_text(_BUILDCTL)
    buildctl.chmod(0o755)
    archive = folder / "mute.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(busybox, "bin/busybox")
        tar.add(buildctl, "bin/buildctl")
    changes = [word for change in _CHANGES for word in ("--change", change)]
    engine.docker("import", *changes, str(archive), name)
    return name
