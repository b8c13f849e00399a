"""``./dev test``: everything that has to hold before a change is merged."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence

from tools import debian, engine, environment, existing
from tools.control import ROOT
from tools.packages import EVERYTHING
from tools.report import say

GATES: Mapping[str, Sequence[str]] = {
    "ruff check": ("ruff", "check", "."),
    "ruff format": ("ruff", "format", "--check", "."),
    "mypy": ("mypy",),
    "import-linter": ("lint-imports",),
    "pytest": (
        "pytest",
        # Tests with engines mostly wait, so there is one worker more than there are cores.
        f"--numprocesses={(os.cpu_count() or 1) + 1}",
        "--dist=worksteal",
        "--hypothesis-profile=fixed",  # see tests/conftest.py
    ),
}


def run(pytest_arguments: Sequence[str]) -> int:
    """Set up and run the gates in turn; return the exit code of the first that fails, or 0."""
    environment.prepare()
    variables = {**os.environ, **_engine_variables()}
    for name, command in GATES.items():
        extra = pytest_arguments if name == "pytest" else ()
        begun = time.monotonic()
        say(f"gate {name}")
        line = [environment.program(command[0]), *command[1:], *extra]
        code = subprocess.run(line, cwd=ROOT, env=variables, check=False).returncode
        seconds = time.monotonic() - begun
        if code != 0:
            say(f"gate {name} FAILED with exit code {code} after {seconds:.0f} s")
            return code
        say(f"gate {name} passed in {seconds:.0f} s")
    return 0


def _engine_variables() -> dict[str, str]:
    """Decide which engines the tests use, say so, and have what they need in the cache."""
    variables = {}
    given = os.environ.get("DOCKYARD_TEST_DOCKER_HOST")
    found = existing.find() if given is None else None
    if given is not None:
        say(f"tests use the Docker Engine at {given} (DOCKYARD_TEST_DOCKER_HOST)")
    elif found is not None:
        say(f"tests use the Docker Engine at {found.host} (found through {found.found})")
        variables["DOCKYARD_TEST_DOCKER_HOST"] = found.host
    if reason := engine.why_not():
        say(f"no private engines, tests that need one are skipped: {reason}")
        return variables
    debian.unpacked(EVERYTHING)
    say("tests start private Docker Engines: " + ", ".join(engine.KINDS))
    # From here on an engine that does not start is a failure and no reason to skip.
    return {**variables, "DOCKYARD_TEST_ENGINES": "required"}
