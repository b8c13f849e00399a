"""Run the installed commands as a person does, against one engine and in a home of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from support import command
from support.command import BIN

__all__ = ["BIN", "Cli", "Finished", "end", "wait_for"]

SECONDS = 240


@attrs.frozen
class Finished:
    """What a command left."""

    code: int
    out: str
    err: str


@attrs.frozen(kw_only=True)
class Cli:
    """A way to run ``dockyard``, with everything it keeps in one directory."""

    home: Path
    docker_host: str
    variables: dict[str, str] = attrs.field(factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the tester's own settings, only what a bare login would have."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "DOCKER_CONFIG": str(self.home / "docker"),
            "DOCKER_HOST": self.docker_host,
            "PYTHONWARNINGS": "error",
            **self.variables,
        }

    def run(
        self,
        *arguments: str | Path,
        program: str = "dockyard",
        stdin: bytes = b"",
        cwd: Path | None = None,
    ) -> Finished:
        """Run to the end, which has to come within four minutes.

        A process of its own, but usually one that need not load Dockyard first: see
        :mod:`support.command_server`. What :meth:`start` starts is started anew.
        """
        line = [str(BIN / program), *map(str, arguments)]
        run = command.server().run if command.can_run(program, self.environment) else command.anew
        done = run(line, self.environment, cwd or self.home, stdin, SECONDS)
        return Finished(done.code, done.out.decode(), done.errors.decode(errors="replace"))

    def ok(self, *arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> Finished:
        """Run, and fail the test when it does not succeed."""
        done = self.run(*arguments, stdin=stdin, cwd=cwd)
        assert done.code == 0, done.err
        assert "Traceback" not in done.err
        return done

    def refused(
        self, *arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None, code: int = 1
    ) -> str:
        """Run what must fail, and give the error line, without ``ERROR:``."""
        done = self.run(*arguments, stdin=stdin, cwd=cwd)
        assert done.code == code, (done.code, done.err)
        assert "Traceback" not in done.err, done.err
        head, found, message = done.err.rpartition("ERROR: ")
        assert found, (head, done.err)
        return message.strip()

    def start(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own, and leave it running."""
        return subprocess.Popen(
            [BIN / "dockyard", *arguments],
            env=self.environment,
            cwd=cwd or self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def wait_for(process: subprocess.Popen[bytes], text: bytes) -> bytes:
    """Read a process's standard error until it has the text; give what was read."""
    assert process.stderr is not None
    seen = b""
    while text not in seen:
        line = process.stderr.readline()
        assert line, (text, seen)
        seen += line
    return seen


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that a test started, if it still runs."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="session", autouse=True)
def command_server() -> Iterator[None]:
    """Have the process that commands come from before any test looks at what it leaves open."""
    command.server()
    yield
    command.server().close()


@pytest.fixture
def cli_for(tmp_path: Path) -> Callable[[str], Cli]:
    """Give a :class:`Cli` for an engine's address."""

    def make(docker_host: str) -> Cli:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        return Cli(home=home, docker_host=docker_host)

    return make
