"""The command line with the drivers ``stand`` and ``kiosk`` installed, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.cli import Cli

PLUGINS = Path(__file__).parent / "plugins"


def stand_cli(home: Path, *, docker_host: str = "unix:///kiosk.sock", **variables: str) -> Cli:
    """Make a command line that keeps everything in a directory.

    Args:
        home: The directory.
        docker_host: ``DOCKER_HOST``; the driver ``kiosk`` reads its mind from it.
        variables: More environment variables.
    """
    home.mkdir(exist_ok=True)
    return Cli(
        home=home,
        docker_host=docker_host,
        variables={
            "PYTHONPATH": str(PLUGINS),
            "DOCKYARD_DISABLE_PLUGINS": "docker,docker-container,kubernetes,remote",
            "STAND_LOG": str(home / "stand.log"),
            **variables,
        },
    )


def record(cli: Cli, name: str) -> dict[str, Any]:
    """Give a builder's record as it stands on disk."""
    found: dict[str, Any] = json.loads(_instances(cli).joinpath(name).read_bytes())
    return found


def records(cli: Cli) -> list[str]:
    """Name the files among the records."""
    return sorted(file.name for file in _instances(cli).iterdir())


def stand_log(cli: Cli) -> list[str]:
    """Give what the driver ``stand`` was told to do."""
    log = cli.home / "stand.log"
    return log.read_text().splitlines() if log.exists() else []


def _instances(cli: Cli) -> Path:
    return cli.home / "docker" / "buildx" / "instances"
