"""Tests for ``drivers``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.cli import Cli
from support.distribution import install
from support.stand import PLUGINS, stand_cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return stand_cli(tmp_path / "home")


def test_the_matrix_numbers_the_reasons(cli: Cli) -> None:
    assert cli.ok("drivers").out == (
        "FEATURE                    kiosk     stand\n"
        "Automatically load image   yes       conditional [1]\n"
        "Cache export               no        yes\n"
        "Tarball output             no        yes\n"
        "Multi-arch images          no        no\n"
        "Direct push                no        no\n"
        "BuildKit configuration     no        yes [2]\n"
        "\n"
        "[1] with needs-boot\n"
        "[2] kept | not read\n"
    )


def test_the_matrix_in_markdown_keeps_bars_out_of_the_cells(cli: Cli) -> None:
    lines = cli.ok("drivers", "--format", "markdown").out.splitlines()

    assert lines[:3] == [
        "| Feature | `kiosk` | `stand` |",
        "| --- | --- | --- |",
        "| Automatically load image | yes | conditional <sup>1</sup> |",
    ]
    assert lines[-2:] == ["1. with needs-boot", "2. kept \\| not read"]


def test_the_matrix_as_json_has_everything(cli: Cli) -> None:
    content = json.loads(cli.ok("drivers", "--format", "json").out)

    assert content["problems"] == []
    kiosk, stand = content["drivers"]
    assert (kiosk["name"], kiosk["creatable"]) == ("kiosk", False)
    assert (stand["distribution"], stand["version"], stand["hookSpec"]) == (
        "dockyard-stand",
        "1.2",
        "1.0",
    )
    assert stand["features"]["auto-load"] == {"level": "conditional", "reason": "with needs-boot"}
    assert stand["features"]["tarball"] == {"level": "yes"}
    assert stand["options"][0] == {
        "name": "needs-boot",
        "type": "bool",
        "default": "false",
        "help": "run only once booted",
        "losesCache": False,
    }


def test_one_driver_is_shown_in_full(cli: Cli) -> None:
    lines = cli.ok("drivers", "inspect", "stand").out.splitlines()

    assert lines == [
        "Name:           stand",
        "Summary:        a stand-in for tests",
        "Distribution:   dockyard-stand",
        "Version:        1.2",
        "Hook spec:      1.0",
        "Creatable:      yes",
        "",
        "Endpoints:",
        " stand:///PATH   a socket file",
        "",
        "Options:",
        " needs-boot   bool     false   run only once booted",
        " color        string   red     the color of the stand",
        " env.<key>    string   -       a variable of the daemon",
        "",
        "Features:",
        " Automatically load image:   conditional   with needs-boot",
        " Cache export:               yes",
        " Tarball output:             yes",
        " Multi-arch images:          no",
        " Direct push:                no",
        " BuildKit configuration:     yes   kept | not read",
    ]


def test_one_driver_as_json(cli: Cli) -> None:
    content = json.loads(cli.ok("drivers", "inspect", "kiosk", "--format", "json").out)

    assert (content["name"], content["endpoints"], content["options"]) == ("kiosk", [], [])


def test_broken_plugins_and_conflicts_are_named_after_the_matrix(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "dockyard-bad", {"dockyard": {"bad": "bad_driver"}}, bad_driver="1 / 0")
    install(site, "other-stand", {"dockyard": {"kiosk": "other"}}, other="")
    cli = stand_cli(tmp_path / "home", PYTHONPATH=f"{site}:{PLUGINS}")

    done = cli.ok("drivers")

    assert done.out.splitlines()[0].split() == ["FEATURE", "stand"]
    assert done.err.splitlines() == [
        "",
        "WARNING: plugin 'bad' of dockyard-bad 1.0 cannot be loaded: "
        "ZeroDivisionError: division by zero "
        "(fix or uninstall it, or switch it off with DOCKYARD_DISABLE_PLUGINS=bad)",
        "WARNING: driver 'kiosk' is provided by both dockyard-stand 1.2 and other-stand 1.0 "
        "(uninstall one of them)",
    ]
    problems = json.loads(cli.ok("drivers", "--format", "json").out)["problems"]
    assert len(problems) == 2


def test_without_any_driver_the_remedy_is_told(tmp_path: Path) -> None:
    cli = stand_cli(tmp_path / "home", PYTHONPATH="")

    done = cli.ok("drivers")

    assert done.out == ""
    assert done.err.splitlines()[0] == "no driver is installed"
    assert "pip install" in done.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["inspekt", "x"], 'unknown command: "inspekt"'),
        (["inspect"], "drivers inspect requires 1 argument: a driver's name"),
        (
            ["--format", "xml"],
            'invalid argument "xml" for "--format" flag: must be one of table, json, markdown',
        ),
    ],
)
def test_wrong_usage_is_told(cli: Cli, line: list[str], words: str) -> None:
    assert cli.refused("drivers", *line, code=2).splitlines()[0] == words
