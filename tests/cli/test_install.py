"""Tests for ``install`` and ``uninstall``."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard import __version__
from support.cli import BIN, Cli, Finished
from support.stand import stand_cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return stand_cli(tmp_path / "home")


def plugin(cli: Cli) -> Path:
    return cli.home / "docker" / "cli-plugins" / "docker-buildx"


def run(cli: Cli, program: Path, *arguments: str) -> str:
    return subprocess.run(
        [program, *arguments], env=cli.environment, check=True, capture_output=True, text=True
    ).stdout


# --- the plugin file -------------------------------------------------------------------------


def test_the_installed_plugin_answers_docker(cli: Cli) -> None:
    done = cli.ok("install")

    assert done.out == f"installed {plugin(cli)}\n"
    assert stat.S_IMODE(plugin(cli).stat().st_mode) == 0o755
    assert json.loads(run(cli, plugin(cli), "docker-cli-plugin-metadata"))["Version"] == __version__
    assert run(cli, plugin(cli), "version") == f"dockyard {__version__}\n"
    assert "default*" in run(cli, plugin(cli), "ls")


def test_docker_runs_the_installed_plugin(cli: Cli, docker_cli: str) -> None:
    cli.ok("install")

    assert run(cli, Path(docker_cli), "buildx", "version") == f"dockyard {__version__}\n"
    assert "default*" in run(cli, Path(docker_cli), "-D", "buildx", "ls")


def test_docker_passes_exit_codes_and_its_flags_on(cli: Cli, docker_cli: str) -> None:
    cli.ok("install")

    def code(*arguments: str) -> int:
        return subprocess.run(
            [docker_cli, *arguments], env=cli.environment, check=False, capture_output=True
        ).returncode

    assert code("buildx", "ls", "--foo") == 125
    assert code("buildx", "ls", "a") == 1
    assert code("buildx", "inspect", "nope") == 1
    assert code("--context", "nope", "buildx", "ls") == 1
    assert code("buildx", "ls") == 0


def test_modules_beside_the_plugin_are_not_imported(cli: Cli) -> None:
    cli.ok("install")
    (plugin(cli).parent / "dockyard.py").write_text("raise SystemExit(77)")

    assert run(cli, plugin(cli), "version") == f"dockyard {__version__}\n"


def test_installing_again_is_fine(cli: Cli) -> None:
    cli.ok("install")
    cli.ok("install")

    assert [file.name for file in plugin(cli).parent.iterdir()] == ["docker-buildx"]


def test_a_link_to_the_console_script_is_ours_too(cli: Cli) -> None:
    plugin(cli).parent.mkdir(parents=True)
    plugin(cli).symlink_to(BIN / "docker-buildx")

    cli.ok("uninstall")

    assert not os.path.lexists(plugin(cli))
    assert (BIN / "docker-buildx").exists()


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "directory"])
def test_another_programs_plugin_is_neither_replaced_nor_removed(cli: Cli, kind: str) -> None:
    place = plugin(cli)
    place.parent.mkdir(parents=True)
    other = cli.home / "other"
    other.write_text("#!/bin/sh\necho other\n")
    if kind == "file":
        place.write_text("#!/bin/sh\necho other\n")
    elif kind == "directory":
        place.mkdir()
    else:
        place.symlink_to(other if kind == "link" else cli.home / "gone")
    before = place.lstat()

    assert cli.refused("install").splitlines() == [
        f"{place} exists and is not Dockyard's",
        "dockyard install --force replaces it",
    ]
    assert cli.refused("uninstall") == f"{place} is not Dockyard's and stays where it is"
    assert place.lstat().st_ino == before.st_ino


def test_force_replaces_a_link_and_not_what_it_names(cli: Cli) -> None:
    other = cli.home / "other"
    other.write_text("other")
    plugin(cli).parent.mkdir(parents=True)
    plugin(cli).symlink_to(other)

    cli.ok("install", "--force")

    assert not plugin(cli).is_symlink()
    assert other.read_text() == "other"
    assert run(cli, plugin(cli), "version") == f"dockyard {__version__}\n"


def test_force_does_not_replace_a_directory(cli: Cli) -> None:
    plugin(cli).mkdir(parents=True)

    assert cli.refused("install", "--force") == f"cannot write {plugin(cli)}: is a directory"
    assert [file.name for file in plugin(cli).parent.iterdir()] == ["docker-buildx"]


def test_uninstall_removes_the_plugin_and_needs_none(cli: Cli) -> None:
    cli.ok("install")

    assert cli.ok("uninstall").out == f"removed {plugin(cli)}\n"
    assert not plugin(cli).exists()
    assert cli.ok("uninstall") == Finished(
        0, "", f"nothing to remove: {plugin(cli)} does not exist\n"
    )


def test_an_environment_with_a_space_in_its_path_works(cli: Cli, tmp_path: Path) -> None:
    python = tmp_path / "a b" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    install = (
        "import sys; from pathlib import Path; sys.executable = sys.argv[1];"
        "from dockyard.cli.main import dockyard; sys.exit(dockyard(['install']))"
    )

    subprocess.run([sys.executable, "-c", install, python], env=cli.environment, check=True)

    assert plugin(cli).read_text().startswith("#!/bin/sh\n")
    assert run(cli, plugin(cli), "version") == f"dockyard {__version__}\n"
    assert "default*" in run(cli, plugin(cli), "ls")
    cli.ok("uninstall")


# --- docker's alias --------------------------------------------------------------------------


def as_buildx(cli: Cli, *arguments: str) -> Finished:
    return cli.run(*arguments, program="docker-buildx")


def test_as_docker_buildx_install_sets_dockers_alias(cli: Cli) -> None:
    config = cli.home / "docker" / "config.json"
    config.parent.mkdir()
    config.write_text('{"auths": {"h": {"auth": "eA=="}}, "aliases": {"x": "y"}}')
    config.chmod(0o640)

    done = as_buildx(cli, "install")

    assert done.code == 0
    assert done.err == (
        "Command \"install\" is deprecated, use 'docker buildx' directly, "
        "without relying on the 'docker builder' alias\n"
    )
    assert json.loads(config.read_text()) == {
        "auths": {"h": {"auth": "eA=="}},
        "aliases": {"x": "y", "builder": "buildx"},
    }
    assert config.read_text().startswith('{\n\t"auths"')
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    assert not plugin(cli).exists()


def test_as_docker_buildx_uninstall_takes_the_alias_back(cli: Cli) -> None:
    config = cli.home / "docker" / "config.json"
    as_buildx(cli, "install")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600

    done = as_buildx(cli, "uninstall")

    assert done.code == 0
    assert json.loads(config.read_text()) == {}


def test_as_docker_buildx_uninstall_without_a_configuration_makes_none(cli: Cli) -> None:
    assert as_buildx(cli, "uninstall").code == 0
    assert not (cli.home / "docker" / "config.json").exists()


def test_a_malformed_configuration_is_left_as_it_is(cli: Cli) -> None:
    config = cli.home / "docker" / "config.json"
    config.parent.mkdir()
    config.write_text("{")

    done = as_buildx(cli, "install")

    assert done.code == 1
    assert f"docker configuration {config}" in done.err
    assert config.read_text() == "{"


def test_a_linked_configuration_stays_a_link(cli: Cli) -> None:
    config = cli.home / "docker" / "config.json"
    config.parent.mkdir()
    real = cli.home / "real.json"
    real.write_text("{}")
    config.symlink_to(real)

    as_buildx(cli, "install")

    assert config.is_symlink()
    assert json.loads(real.read_text()) == {"aliases": {"builder": "buildx"}}
