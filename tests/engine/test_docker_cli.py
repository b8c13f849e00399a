"""Dockyard as docker's own plugin: everything through the real Docker CLI."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from support.cli import Cli, end, wait_for
from support.engines import ScratchContext

SECONDS = 10
"""Within what a build ends that would go on for a thousand; mostly that is at once."""


@attrs.frozen
class Docker:
    """The Docker CLI with Dockyard installed as its buildx."""

    program: str
    cli: Cli

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self.program, *arguments],
            env=self.cli.environment,
            cwd=self.cli.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *arguments: str | Path, code: int = 0) -> tuple[str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, err
        assert b"Traceback" not in err
        return out.decode(), err.decode()


@pytest.fixture
def docker(engine: Engine, docker_cli: str, cli_for: Callable[[str], Cli]) -> Docker:
    cli = cli_for(engine.host)
    cli.ok("install")
    return Docker(docker_cli, cli)


def test_docker_buildx_build_builds_with_dockyard(
    docker: Docker, scratch_context: ScratchContext
) -> None:
    name = f"demo-{uuid4().hex[:8]}"

    _, err = docker.run("buildx", "build", "-t", name, scratch_context())

    assert '#0 building with "default" instance using docker driver' in err
    image, _ = docker.run("image", "inspect", "--format", "{{.RepoTags}}", name)
    assert name in image


def test_docker_build_reaches_dockyard(docker: Docker, scratch_context: ScratchContext) -> None:
    name = f"demo-{uuid4().hex[:8]}"
    docker.cli.run("use", "default")

    _, err = docker.run("build", "-t", name, scratch_context())

    assert '#0 building with "default" instance using docker driver' in err
    assert name in docker.run("image", "inspect", "--format", "{{.RepoTags}}", name)[0]


def test_docker_buildx_ls_shows_the_engine(docker: Docker) -> None:
    out, _ = docker.run("buildx", "ls")

    lines = out.splitlines()
    assert lines[0].split() == [
        "NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "BUILDKIT", "PLATFORMS",
    ]  # fmt: skip
    assert lines[1].split() == ["default*", "docker"]
    assert lines[2].split()[:4] == ["\\_", "default", "\\_", "default"]
    assert " running " in lines[2]


def test_dockers_global_flags_are_understood(
    docker: Docker, engine: Engine, scratch_context: ScratchContext
) -> None:
    elsewhere = attrs.evolve(docker.cli, docker_host="unix:///nowhere.sock")
    moved = Docker(docker.program, elsewhere)

    out, _ = moved.run("--host", engine.host, "buildx", "inspect")

    assert "Driver:" in out
    assert "running" in out


def test_a_failed_build_keeps_its_exit_code(
    docker: Docker, scratch_context: ScratchContext
) -> None:
    context = scratch_context('RUN ["/bin/busybox", "false"]')

    _, err = docker.run("buildx", "build", context, code=1)

    assert err.strip().splitlines()[-1].startswith("ERROR: failed to build: failed to solve: ")


def test_row_164_a_wrong_flag_is_125_with_the_usage(docker: Docker) -> None:
    _, err = docker.run("buildx", "build", "--nonsense", ".", code=125)

    assert err.startswith("unknown flag: --nonsense\n\nUsage:  docker buildx build ")


def test_docker_lists_the_plugin(docker: Docker) -> None:
    out, _ = docker.run(
        "info", "--format", "{{range .ClientInfo.Plugins}}{{.Name}} {{.Vendor}};{{end}}"
    )

    assert "buildx Dockyard;" in out


@pytest.mark.parametrize("whole_group", [True, False], ids=["terminal", "kill"])
def test_row_164_an_interrupt_of_docker_ends_the_build(
    docker: Docker, scratch_context: ScratchContext, whole_group: bool
) -> None:
    """A terminal sends the signal to docker and to the plugin; ``kill`` to docker alone."""
    mark = uuid4().hex
    context = scratch_context(f'RUN ["/bin/busybox", "sh", "-c", "echo begun {mark}; sleep 1000"]')
    process = docker.start("buildx", "build", context)
    try:
        wait_for(process, f" begun {mark}\n".encode())
        begun = time.monotonic()
        if whole_group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=90)
        seconds = time.monotonic() - begun
    finally:
        end(process)

    assert process.returncode == 130, err
    assert b"context canceled" in err
    assert seconds < SECONDS
