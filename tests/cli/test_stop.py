"""Tests for ``stop``."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.cli import Cli, Finished
from support.stand import stand_cli, stand_log


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return stand_cli(tmp_path / "home")


def test_every_node_is_stopped_in_silence(cli: Cli) -> None:
    cli.ok("create", "--name", "rem", "stand://down/0")
    cli.ok("create", "--name", "rem", "--append", "stand://down/1")

    assert cli.ok("stop", "rem") == Finished(0, "", "")
    assert stand_log(cli) == ["stop rem0", "stop rem1"]


def test_an_error_stops_no_other_node_from_being_stopped(cli: Cli) -> None:
    cli.ok("create", "--name", "rem", "stand://down/0")
    cli.ok("create", "--name", "rem", "--append", "stand://down/1")
    file = cli.home / "docker/buildx/instances/rem"
    file.write_text(file.read_text().replace("stand://down/0", "stand://broken/oh"))

    assert cli.refused("stop", "rem") == "oh"
    assert stand_log(cli) == ["stop rem0", "stop rem1"]


def test_a_docker_contexts_builder_can_be_stopped(cli: Cli) -> None:
    assert cli.ok("stop") == Finished(0, "", "")


def test_an_unknown_builder_is_refused(cli: Cli) -> None:
    assert cli.refused("stop", "nope") == 'no builder "nope" found'
