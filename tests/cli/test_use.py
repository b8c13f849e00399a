"""Tests for ``use``."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from support.cli import Cli, Finished
from support.stand import stand_cli

KEY = "unix:///kiosk.sock"
DEFAULT_FILE = sha256(KEY.encode()).hexdigest()[:20]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    made = stand_cli(tmp_path / "home", docker_host=KEY)
    folder = made.home / "docker/contexts/meta" / sha256(b"ctx2").hexdigest()
    folder.mkdir(parents=True)
    endpoints = {"docker": {"Host": KEY}}
    (folder / "meta.json").write_text(json.dumps({"Name": "ctx2", "Endpoints": endpoints}))
    made.ok("create", "--name", "Rem", "stand://down/x")
    return made


def state(cli: Cli) -> tuple[dict[str, object], dict[str, str]]:
    folder = cli.home / "docker" / "buildx"
    defaults = {file.name: file.read_text() for file in (folder / "defaults").iterdir()}
    return json.loads((folder / "current").read_text()), defaults


@pytest.mark.parametrize(
    ("flags", "everywhere", "default"),
    [
        ([], False, False),
        (["--default"], False, True),
        (["--global"], True, False),
        (["--global", "--default"], True, True),
    ],
)
def test_a_stored_builder_is_selected_in_silence(
    cli: Cli, flags: list[str], everywhere: bool, default: bool
) -> None:
    cli.ok("use", "--default", "rem")

    done = cli.ok("use", *flags, "rEm")

    assert done == Finished(0, "", "")
    assert state(cli) == (
        {"Key": KEY, "Name": "rEm", "Global": everywhere},
        {DEFAULT_FILE: "rEm"} if default else {},
    )
    assert cli.ok("ls").out.count("*") == 1
    assert "Rem*" in cli.ok("ls").out


def test_the_current_context_clears_the_selection(cli: Cli) -> None:
    cli.ok("use", "--default", "rem")

    cli.ok("use", "default")

    assert state(cli) == ({"Key": KEY, "Name": "", "Global": False}, {})
    assert "default*" in cli.ok("ls").out


@pytest.mark.parametrize(
    ("name", "variables", "words"),
    [
        ("ctx2", {}, "run `docker context use ctx2` to switch to context ctx2"),
        (
            "default",
            {"DOCKER_HOST": "", "DOCKER_CONTEXT": "ctx2"},
            "run `docker context use default` to switch to default context",
        ),
    ],
)
def test_another_docker_context_is_not_ours_to_switch_to(
    cli: Cli, name: str, variables: dict[str, str], words: str
) -> None:
    other = Cli(
        home=cli.home, docker_host=cli.docker_host, variables={**cli.variables, **variables}
    )

    assert other.refused("use", name) == words


@pytest.mark.parametrize("name", ["nope", "Nope"])
def test_an_unknown_builder_is_refused_in_buildxs_words(cli: Cli, name: str) -> None:
    file = cli.home / "docker/buildx/instances/nope"

    assert cli.refused("use", name) == (
        f'failed to find instance "{name}": open {file}: no such file or directory'
    )


@pytest.mark.parametrize("arguments", [["use"], ["use", "1abc"]])
def test_what_can_be_no_builder_is_refused_in_buildxs_words(cli: Cli, arguments: list[str]) -> None:
    name = "".join(arguments[1:])

    assert cli.refused(*arguments) == (
        f'failed to find instance "{name}": invalid name {name}, '
        "name needs to start with a letter and may not contain symbols, except ._-"
    )


def test_the_builder_flag_is_the_default_argument(cli: Cli) -> None:
    cli.ok("use", "--builder", "rem")

    assert state(cli)[0]["Name"] == "rem"
