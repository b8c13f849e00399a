"""``./dev example``: build the example image with Dockyard, load it, run it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import engine, environment, existing, kept
from tools.control import ROOT
from tools.engine import KINDS
from tools.report import DevError, say

IMAGE = "dockyard-hello"
FOLDER = ROOT / "examples" / "hello"


def run() -> None:
    """Set up, build, load and run; the container's output goes to standard output."""
    environment.prepare()
    found = existing.find()
    if found is not None:
        say(f"using the Docker Engine at {found.host} (found through {found.found})")
        cli = shutil.which("docker") or engine.cli_path()
        _build_and_run(found.docker_context, cli, os.environ)
        return
    say("no Docker Engine answers here, so a private one is started")
    with engine.private(KINDS[engine.DEFAULT_KIND]) as private:
        description = kept.describe(private)
        say(f"started {description}")
        _build_and_run("default", private.cli, private.environment())
    say(f"ended {description}")


def _build_and_run(builder: str, cli: str, variables: Mapping[str, str]) -> None:
    dockyard = [environment.program("dockyard"), "build", "--builder", builder, "--load"]
    _step([*dockyard, "--tag", IMAGE, str(FOLDER)], variables)
    _step([cli, "run", "--rm", "--network", "none", IMAGE], variables)


def _step(command: Sequence[str], variables: Mapping[str, str]) -> None:
    say("$ " + " ".join(command))
    code = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, check=False).returncode
    if code != 0:
        raise DevError(f"{Path(command[0]).name} ended with {code}")
