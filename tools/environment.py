"""The virtual environment with the workspace and the tools that check it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools import debian
from tools.cache import locked
from tools.control import ROOT
from tools.report import DevError, say

FOLDER = ROOT / ".venv"
CONSTRAINTS = ROOT / "constraints.txt"
REQUIREMENTS = ROOT / "tools" / "requirements.txt"


def program(name: str) -> str:
    """Return the path of a program in the virtual environment."""
    return str(FOLDER / "bin" / name)


def prepare() -> None:
    """Make the virtual environment, or do nothing when it is as the repository wants it."""
    FOLDER.mkdir(exist_ok=True)
    with locked(FOLDER / "dockyard-lock"):
        wanted = _fingerprint()
        stamp = FOLDER / "dockyard-stamp"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        _create()
        _install()
        stamp.write_text(wanted)


def _projects() -> list[Path]:
    """Return the folders of the workspace's distributions, the core first."""
    return [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def _fingerprint() -> str:
    """Return a digest of all that decides what is in the virtual environment."""
    digest = hashlib.sha256(f"{sys.version} {ROOT}".encode())
    inputs = [path / "pyproject.toml" for path in _projects()]
    for path in (*inputs, CONSTRAINTS, REQUIREMENTS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _create() -> None:
    if (FOLDER / "bin" / "python").exists():
        return
    if importlib.util.find_spec("ensurepip") is None:
        _install_venv()
    say("making .venv")
    _checked([sys.executable, "-m", "venv", str(FOLDER)])


def _install_venv() -> None:
    if os.geteuid() != 0 or debian.why_not() is not None:
        raise DevError("this Python cannot make a virtual environment: install its venv module")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    debian.install([f"python{version}-venv"], why=f"this Python {version} has no ensurepip")


def _install() -> None:
    say("installing dockyard, its drivers and the tools into .venv")
    editable = [word for path in _projects() for word in ("--editable", str(path))]
    pip = [program("python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    _checked([*pip, *editable, "--requirement", str(REQUIREMENTS)])


def _checked(command: Sequence[str]) -> None:
    # PIP_CONSTRAINT and not --constraint: it also reaches the packages that only building needs.
    environment = {**os.environ, "PIP_CONSTRAINT": str(CONSTRAINTS)}
    code = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
    if code.returncode != 0:
        raise DevError(f"{' '.join(command[:4])} ended with {code.returncode}")
