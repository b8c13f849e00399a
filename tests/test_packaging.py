"""The distributions as a user gets them: wheels, installed by plain pip, one after the other."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.timeout(300)


def run(
    *command: str | Path, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    for name in os.environ:
        if name.startswith("PIP_"):
            environment[name] = os.environ[name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of the workspace's distributions, by name."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))):
        run(
            sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, project,
            HOME=str(folder),
        )  # fmt: skip
    return {path.name.split("-")[0].replace("_", "-"): path for path in folder.glob("*.whl")}


def test_every_wheel_is_typed_licensed_and_has_nothing_else(wheels: dict[str, Path]) -> None:
    assert set(wheels) == {
        "dockyard",
        "dockyard-docker",
        "dockyard-docker-container",
        "dockyard-kubernetes",
        "dockyard-remote",
    }
    for name, wheel in wheels.items():
        package = name.replace("-", "_")
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        assert f"{package}/py.typed" in names
        assert any(entry.endswith("/LICENSE") for entry in names)
        assert {entry.split("/")[0] for entry in names} == {package, f"{package}-0.1.0.dist-info"}


def digests(site: Path) -> dict[str, str]:
    """Give a digest of every file of the installed core."""
    return {
        str(path.relative_to(site)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((site / "dockyard").rglob("*.py"))
    }


def test_a_driver_comes_and_goes_with_its_package(wheels: dict[str, Path], tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)  # pip can reach into it
    python, dockyard = environment / "bin" / "python", environment / "bin" / "dockyard"
    pip = (
        *(sys.executable, "-m", "pip", "--python", python),
        *("--disable-pip-version-check", "--retries", "10", "-q"),
    )
    home = str(tmp_path)
    run(*pip, "install", wheels["dockyard"], HOME=home)
    (site,) = (environment / "lib").glob("python*/site-packages")
    core = digests(site)
    nowhere = f"unix://{tmp_path}/nothing.sock"

    listed = run(dockyard, "ls", HOME=home, DOCKER_HOST=nowhere)
    refused = run(dockyard, "build", ".", check=False, HOME=home, DOCKER_HOST=nowhere)

    assert listed.stdout.startswith("NAME/NODE")
    assert refused.returncode == 1
    assert "ERROR: no installed driver can use a docker context\n" in refused.stderr
    assert "pip install dockyard-docker" in refused.stderr

    run(*pip, "install", wheels["dockyard-docker"], HOME=home)
    found = run(dockyard, "drivers", HOME=home).stdout
    failed = run(
        dockyard, "build", ROOT / "examples" / "hello", check=False, HOME=home, DOCKER_HOST=nowhere
    )

    assert found.splitlines()[0].split() == ["FEATURE", "docker"]
    assert "failed to connect to the docker API at" in failed.stderr
    assert digests(site) == core

    run(*pip, "uninstall", "--yes", "dockyard-docker", HOME=home)

    assert "docker" not in run(dockyard, "drivers", HOME=home).stdout
    assert digests(site) == core
