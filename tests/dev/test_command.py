"""Commands by the process that has Dockyard loaded: the same as those that load it themselves."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from support import command
from support.command import BIN, FIXED


def variables(home: Path, **more: str) -> dict[str, str]:
    nowhere = f"unix://{home}/nobody.sock"
    found = {"PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_HOST": nowhere, **FIXED}
    return {**found, **more}


@pytest.mark.parametrize(
    ("program", "arguments", "stdin"),
    [
        ("dockyard", ["version"], b""),
        ("docker-buildx", ["ls", "--no-such-flag"], b""),
        ("dockyard", ["build", "--progress=plain", "-"], b"FROM scratch\n" + b"#" * 300_000),
    ],
)
def test_a_command_leaves_the_same(
    tmp_path: Path, program: str, arguments: list[str], stdin: bytes
) -> None:
    line = [str(BIN / program), *arguments]
    env = variables(tmp_path)
    assert command.can_run(program, env)

    forked = command.server().run(line, env, tmp_path, stdin, 60)

    assert forked == command.anew(line, env, tmp_path, stdin, 60)


def test_a_command_that_does_not_end_is_killed(tmp_path: Path) -> None:
    argv = [str(BIN / "dockyard"), "ls"]
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        env = variables(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/silent")

        with pytest.raises(subprocess.TimeoutExpired):
            command.server().run(argv, env, tmp_path, b"", 0.5)


@pytest.mark.parametrize(
    ("program", "more"),
    [("dockyard", {"LC_ALL": "C"}), ("dockyard", {"PYTHONUTF8": "1"}), ("python", {})],
)
def test_what_the_process_cannot_become_is_started_anew(
    tmp_path: Path, program: str, more: dict[str, str]
) -> None:
    assert not command.can_run(program, variables(tmp_path, **more))
