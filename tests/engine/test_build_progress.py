"""What a build shows and how it ends, by the rows of the feature table, on a real engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from tools.engine import Engine

import dockyard
from dockyard.config import Environment
from dockyard.errors import ResourceError
from support.cli import BIN, Cli
from support.engines import ScratchContext
from support.terminal import Terminal, run_on_terminal

GREEN = "32"
"""What a terminal is sent to write in green."""
MUCH = 5 << 20
"""Bytes, more than an engine takes in one message."""


@pytest.fixture
def cli(engine_26: Engine, cli_for: Callable[[str], Cli]) -> Cli:
    return cli_for(engine_26.host)


def on_terminal(cli: Cli, *arguments: str | Path, **variables: str) -> Terminal:
    return run_on_terminal(
        [BIN / "dockyard", *arguments],
        env={**cli.environment, **variables},
        cwd=cli.home,
        size=(120, 40),
    )


def test_row_162_progress_is_shown_in_the_way_that_was_asked_for(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context()
    cli.ok("build", context)

    def shown(kind: str) -> str:
        return cli.ok("build", "--progress", kind, context).err

    plain, nothing, objects = shown("plain"), shown("none"), shown("rawjson").splitlines()

    assert "] COPY busybox /bin/busybox\n" in plain
    assert " CACHED\n" in plain
    assert nothing == shown("quiet") == ""
    keys = {key for line in objects for key in json.loads(line)}
    assert "vertexes" in keys
    assert keys <= {"vertexes", "statuses", "logs", "warnings"}


def test_row_162_quiet_and_rawjson_still_tell_what_went_wrong(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context('RUN ["/bin/busybox", "sh", "-c", "echo words; exit 3"]')

    quiet = cli.run("build", "--progress=quiet", context)
    raw = cli.run("build", "--progress=rawjson", context)

    assert quiet.code == raw.code == 1
    for done in (quiet, raw):
        assert "exit code: 3" in done.err.strip().splitlines()[-1]
    assert "CACHED" not in quiet.err


def test_row_162_auto_is_a_screen_on_a_terminal_and_lines_elsewhere(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context()

    lines = cli.ok("build", context).err
    screen = on_terminal(cli, "build", context)
    lines_all_the_same = on_terminal(cli, "build", context, BUILDKIT_PROGRESS="plain")

    assert lines.startswith('#0 building with "default" instance using docker driver\n')
    assert screen.text.startswith("[+] Building ")
    assert "FINISHED" in screen.text.splitlines()[0]
    assert "docker:default" in screen.text.splitlines()[0]
    assert "[+] Building" not in lines_all_the_same.text


def test_row_163_variables_choose_the_colours(cli: Cli, scratch_context: ScratchContext) -> None:
    context = scratch_context()

    usual = on_terminal(cli, "build", context)
    green = on_terminal(cli, "build", context, BUILDKIT_COLORS="run=green")
    none = on_terminal(cli, "build", context, NO_COLOR="1")

    assert usual.colours
    assert GREEN not in usual.colours
    assert GREEN in green.colours
    assert not none.colours
    assert "FINISHED" in none.text


def test_row_164_a_daemon_without_room_for_something_is_102(
    engine_26: Engine, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    variables = {"HOME": str(tmp_path), "DOCKER_HOST": engine_26.host}
    builder = dockyard.Builder(environment=Environment.from_process(variables=variables))

    with pytest.raises(ResourceError, match="received message larger than max") as caught:
        builder.build(scratch_context(), labels={"long": "x" * MUCH})

    assert caught.value.exit_code == 102


def test_row_164_a_failure_is_1_and_a_wrong_command_line_is_2(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    nowhere = attrs.evolve(cli, docker_host="unix:///nowhere.sock")

    assert cli.run("build", scratch_context('RUN ["/bin/busybox", "false"]')).code == 1
    assert nowhere.run("build", scratch_context()).code == 1
    assert cli.run("build", scratch_context(), "another").code == 2
