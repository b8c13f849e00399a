"""Tests for ``rm``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli import Cli, Finished
from support.scripted_buildkit import ScriptedBuildKit
from support.stand import records, stand_cli, stand_log

FAILED = "ERROR: failed to remove one or more builders\n"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return stand_cli(tmp_path / "home")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ScriptedBuildKit]:
    with ScriptedBuildKit(tmp_path / "d") as running:
        running.workers = lambda: [{"ID": "w1"}]
        yield running


def test_every_node_is_stopped_and_removed_and_then_the_record(cli: Cli) -> None:
    cli.ok("create", "--name", "Rem", "stand://down/0")
    cli.ok("create", "--name", "rem", "--append", "stand://down/1")

    done = cli.ok("rm", "rem")

    assert (done.out, done.err) == ("", "rem removed\n")
    assert stand_log(cli) == ["stop rem0", "rm rem0 force", "stop rem1", "rm rem1 force"]
    assert records(cli) == []
    assert list((cli.home / "docker/buildx/activity").iterdir()) == []


def test_state_is_kept_when_asked_for(cli: Cli) -> None:
    cli.ok("create", "--name", "rem", "stand://down/0")

    cli.ok("rm", "--keep-state", "rem")

    assert stand_log(cli) == ["stop rem0", "rm rem0 force keep-state"]


def test_keeping_the_daemon_calls_no_driver(cli: Cli) -> None:
    cli.ok("create", "--name", "rem", "stand://down/0")

    cli.ok("rm", "--keep-daemon", "rem")

    assert stand_log(cli) == []
    assert records(cli) == []


def test_several_are_removed_and_the_failures_told(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://down/a")
    cli.ok("create", "--name", "b", "stand://down/b")

    done = cli.run("rm", "a", "nope", "b")

    assert done == Finished(
        1, "", f'a removed\nfailed to remove nope: no builder "nope" found\nb removed\n{FAILED}'
    )
    assert records(cli) == []


def test_a_node_that_stays_is_told_and_the_record_goes(cli: Cli) -> None:
    cli.ok("create", "--name", "rem", "stand://stuck/0")
    cli.ok("create", "--name", "rem", "--append", "stand://down/1")

    done = cli.run("rm", "rem")

    assert done.code == 1
    assert done.err == (
        f"failed to remove rem: failed to remove node rem0: it is nailed down\n{FAILED}"
    )
    assert "rm rem1 force" in stand_log(cli)
    assert records(cli) == []


def test_without_a_name_the_selected_builder_is_removed(cli: Cli) -> None:
    cli.ok("create", "--name", "rem", "--use", "stand://down/0")

    assert cli.ok("rm").err == "rem removed\n"


def test_without_a_name_and_selection_there_is_nothing_to_remove(cli: Cli) -> None:
    done = cli.run("rm")

    assert done.err == (
        "failed to remove : context builder cannot be removed, "
        f"run `docker context rm default` to remove this context\n{FAILED}"
    )


def test_without_its_driver_a_builder_stays_unless_only_the_record_shall_go(cli: Cli) -> None:
    cli.ok("create", "--name", "rem", "stand://down/0")
    without = Cli(
        home=cli.home, docker_host=cli.docker_host, variables={**cli.variables, "PYTHONPATH": ""}
    )

    done = without.run("rm", "rem")
    assert done.code == 1
    assert 'failed to remove rem: failed to find driver "stand"' in done.err
    assert "--keep-daemon removes the record alone" in done.err
    assert records(cli) == ["rem"]

    without.ok("rm", "--keep-daemon", "rem")
    assert records(cli) == []


def test_a_damaged_record_is_removed_only_by_force(cli: Cli) -> None:
    cli.ok("ls")
    (cli.home / "docker/buildx/instances/bad").write_text("{")

    done = cli.run("rm", "bad")
    assert "builder 'bad' has a damaged record" in done.err
    assert "rm --force bad" in done.err
    assert records(cli) == ["bad"]

    assert cli.ok("rm", "--force", "bad").err == "bad removed\n"
    assert records(cli) == []


# --- --all-inactive --------------------------------------------------------------------------

QUESTION = (
    "WARNING! This will remove all builders that are not in running state. "
    "Are you sure you want to continue? [y/N] "
)


@pytest.mark.parametrize(("answer", "left"), [(b"y\n", ["up"]), (b"Y\n", ["up"])])
def test_all_builders_without_a_running_node_are_removed_after_a_yes(
    cli: Cli, daemon: ScriptedBuildKit, tmp_path: Path, answer: bytes, left: list[str]
) -> None:
    cli.ok("create", "--name", "up", f"stand://{tmp_path}/d")
    cli.ok("create", "--name", "down", "stand://down/0")

    done = cli.ok("rm", "--all-inactive", stdin=answer)

    assert (done.out, done.err) == (QUESTION, "down removed\n")
    assert records(cli) == left


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"", b"yes\n"])
def test_anything_but_a_yes_removes_nothing(cli: Cli, answer: bytes) -> None:
    cli.ok("create", "--name", "down", "stand://down/0")

    done = cli.ok("rm", "--all-inactive", stdin=answer)

    assert (done.out, done.err) == (QUESTION, "")
    assert records(cli) == ["down"]


def test_force_asks_nothing(cli: Cli) -> None:
    cli.ok("create", "--name", "down", "stand://down/0")

    done = cli.ok("rm", "--all-inactive", "--force")

    assert (done.out, done.err) == ("", "down removed\n")


def test_a_builder_that_is_only_taken_for_inactive_is_kept(cli: Cli) -> None:
    cli.ok("create", "--name", "far", "stand://lost/0")

    done = cli.ok("rm", "--all-inactive", "--force")

    assert done.err == "WARNING: far is kept, because it may be running: nobody can be asked\n"
    assert records(cli) == ["far"]


def test_a_builder_that_cannot_be_asked_may_be_running_and_is_kept(cli: Cli) -> None:
    cli.ok("create", "--name", "odd", "stand://down/0")
    file = cli.home / "docker" / "buildx" / "instances" / "odd"
    file.write_text(file.read_text().replace("stand://down/0", "stand://broken/oh"))

    done = cli.ok("rm", "--all-inactive", "--force")

    assert done.err == "WARNING: odd is kept, because it may be running: oh\n"
    assert records(cli) == ["odd"]


def test_names_and_all_inactive_do_not_go_together(cli: Cli) -> None:
    assert cli.refused("rm", "--all-inactive", "x") == (
        "cannot specify builder name when --all-inactive is set"
    )
