"""Tests for ``inspect``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli import Cli
from support.scripted_buildkit import ScriptedBuildKit
from support.stand import stand_cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return stand_cli(tmp_path / "home")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ScriptedBuildKit]:
    with ScriptedBuildKit(tmp_path / "d") as running:
        running.workers = lambda: [
            {
                "ID": "w1",
                "Labels": {"executor": "oci", "a": "b"},
                "platforms": [{"Architecture": "amd64", "OS": "linux"}],
                "GCPolicy": [
                    {
                        "filters": ["type==source.local", "type==exec.cachemount"],
                        "keepDuration": 172_800_000_000_000,
                        "maxUsedSpace": 512_000_000,
                    },
                    {"all": True, "reservedSpace": 1 << 30, "minFreeSpace": 4096},
                ],
            }
        ]
        running.info = lambda: {"buildkitVersion": {"version": "v9.9"}}
        yield running


def test_everything_known_is_shown_in_aligned_blocks(
    cli: Cli, daemon: ScriptedBuildKit, tmp_path: Path
) -> None:
    (cli.home / "my.toml").write_text("debug = true\n")
    cli.ok(
        *("create", "--name", "container", "--platform", "linux/arm64"),
        *("--driver-opt", "env.FOO=bar,color=blue", "--buildkitd-config", "my.toml"),
        f"stand://{tmp_path}/d",
    )

    done = cli.ok("inspect", "Container")

    lines = done.out.splitlines()
    assert re.fullmatch(r"Last Activity: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC", lines[2])
    assert lines[:2] + lines[3:] == [
        "Name:          container",
        "Driver:        stand",
        "",
        "Nodes:",
        "Name:                  container0",
        f"Endpoint:              stand://{tmp_path}/d",
        'Driver Options:        color="blue" env.FOO="bar"',
        "Status:                running",
        "BuildKit daemon flags: --allow-insecure-entitlement=network.host",
        "BuildKit version:      v9.9",
        "Platforms:             linux/arm64*, linux/amd64",
        "Labels:",
        " a:        b",
        " executor: oci",
        "GC Policy rule#0:",
        " All:            false",
        " Filters:        type==source.local type==exec.cachemount",
        " Keep Duration:  48h0m0s",
        " Max Used Space: 488.3MiB",
        "GC Policy rule#1:",
        " All:            true",
        " Reserved Space: 1GiB",
        " Min Free Space: 4KiB",
        "File#buildkitd.toml:",
        " > debug = true",
        " > ",
    ]


def test_debug_shows_the_nodes_features(cli: Cli, daemon: ScriptedBuildKit, tmp_path: Path) -> None:
    cli.ok("create", "--name", "a", f"stand://{tmp_path}/d")

    out = cli.ok("inspect", "a", "--debug").out

    assert re.search(r"^Features:$", out, re.MULTILINE)
    assert re.search(r"^ +Tarball output: +true$", out, re.MULTILINE)
    assert re.search(r"^ +Automatically load image: +false$", out, re.MULTILINE)


def test_a_nodes_error_takes_the_place_of_its_status(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://down/x")
    file = cli.home / "docker/buildx/instances/a"
    file.write_text(file.read_text().replace("stand://down/x", "stand://broken/oh"))

    done = cli.ok("inspect", "a")

    assert re.search(r"^Error: +oh$", done.out, re.MULTILINE)
    assert "Status:" not in done.out


def test_a_builders_error_takes_the_place_of_its_nodes(tmp_path: Path) -> None:
    cli = stand_cli(tmp_path / "home", docker_host="unix:///gone.sock")

    done = cli.ok("inspect")

    assert done.out == (
        "Name:   default\n"
        "Driver: \n"
        "Error:  failed to connect to the docker API at unix:///gone.sock\n"
    )


def test_a_build_that_no_builder_could_be_opened_for_is_no_activity(tmp_path: Path) -> None:
    cli = stand_cli(tmp_path / "home", docker_host="unix:///gone.sock")

    words = cli.refused("build", tmp_path)

    assert words.startswith("failed to connect to the docker API at unix:///gone.sock")
    assert "Last Activity" not in cli.ok("inspect").out


def test_bootstrap_boots_what_does_not_run_and_shows_it_running(
    cli: Cli, daemon: ScriptedBuildKit, tmp_path: Path
) -> None:
    cli.ok("create", "--name", "a", "--driver-opt", "needs-boot=true", f"stand://{tmp_path}/d")
    before = cli.ok("inspect", "a").out

    done = cli.ok("inspect", "--bootstrap", "a")
    again = cli.ok("inspect", "--bootstrap", "a")

    assert re.search(r"^Status: +inactive$", before, re.MULTILINE)
    assert re.search(r"^Status: +running$", done.out, re.MULTILINE)
    assert "[internal] booting buildkit" in done.err
    assert again.err == ""


def test_a_node_that_does_not_boot_is_an_error(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://down/x")
    file = cli.home / "docker/buildx/instances/a"
    file.write_text(file.read_text().replace("stand://down/x", "stand:///nowhere/x"))

    done = cli.run("inspect", "--bootstrap", "a")

    assert done.code == 1
    assert "ERROR" in done.err


def test_an_unknown_builder_is_refused(cli: Cli) -> None:
    assert cli.refused("inspect", "nope") == 'no builder "nope" found'


def test_a_damaged_record_is_refused_with_what_to_do(cli: Cli) -> None:
    cli.ok("ls")
    bad = cli.home / "docker/buildx/instances/bad"
    bad.write_text("{")

    words = cli.refused("inspect", "bad")

    assert words.startswith("builder 'bad' has a damaged record")
    assert words.endswith(f"repair or remove {bad}")
