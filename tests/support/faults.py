"""A builder in a container on a real engine, things that go wrong with it, and a record of them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from support.cli import Cli, Finished, end

SECONDS = 10.0
"""Within what every fault has to be reported, on a busy machine."""

_LABEL = "dev.dockyard.builder"


@attrs.frozen
class Report:
    """What was reported for each fault, and after how many seconds."""

    lines: list[tuple[str, float, str]] = attrs.field(factory=list)

    def add(self, fault: str, seconds: float, words: str) -> None:
        self.lines.append((fault, seconds, words))


@attrs.frozen(kw_only=True)
class Bench:
    """A place to make builders, break them, and look at what is left of them."""

    cli: Cli
    engine: Engine
    image: str
    """A BuildKit image that the engine has."""
    report: Report
    prefix: str = attrs.field(factory=lambda: f"dockyard-faults-{uuid4().hex[:8]}-")
    """What all names of this test begin with, and no other test's."""

    def new_name(self) -> str:
        """Make up a name for a builder or an image."""
        return f"{self.prefix}{uuid4().hex[:8]}"

    def create(self, *flags: str, image: str = "") -> str:
        """Make a builder that has not booted yet, and give its name."""
        name = self.new_name()
        self.cli.ok("create", *self.creation(name, image or self.image), *flags)
        return name

    def creation(self, name: str, image: str = "") -> list[str]:
        """Give the arguments of ``create`` for a builder."""
        chosen = f"image={image or self.image}"
        return ["--name", name, "--driver", "docker-container", "--driver-opt", chosen]

    def boot(self, name: str) -> None:
        self.cli.ok("inspect", "--bootstrap", name)

    def await_container(self, name: str, state: str = "running") -> None:
        """Wait until a builder's container is in a state."""
        deadline = time.monotonic() + 60
        while self.state(name) != state:
            assert time.monotonic() < deadline, (state, self.state(name))
            time.sleep(0.01)

    def state(self, name: str) -> str:
        """Name the state of a builder's container; empty when there is none."""
        form = "{{.State.Status}}"
        found = self.engine.docker("inspect", "--format", form, container(name), check=False)
        return found.stdout.strip()

    def pid(self, name: str) -> int:
        """Give the process that a builder's container begins with."""
        found = self.engine.docker("inspect", "--format", "{{.State.Pid}}", container(name))
        return int(found.stdout)

    def left_behind(self, name: str) -> list[str]:
        """Name the containers and volumes of a builder, found by label and by name."""
        found: set[str] = set()
        for kind in ("label=" + f"{_LABEL}={name}", f"name={name}"):
            listed = self.engine.docker(
                "ps", "--all", "--filter", kind, "--format", "container {{.Names}}"
            )
            volumes = self.engine.docker(
                "volume", "ls", "--filter", kind, "--format", "volume {{.Name}}"
            )
            found.update((listed.stdout + volumes.stdout).splitlines())
        return sorted(found)

    def clear(self) -> None:
        """Remove whatever tests left, with the engine's own means."""
        for kind in ("rm", "volume rm"):
            lister = ("ps", "--all") if kind == "rm" else ("volume", "ls")
            names = self.engine.docker(*lister, "--quiet", "--filter", f"name={self.prefix}").stdout
            if names.split():
                self.engine.docker(*kind.split(), "--force", *names.split(), check=False)

    # --- faults ----------------------------------------------------------------------------

    def fails(self, fault: str, *arguments: str, within: float = SECONDS) -> str:
        """Run what has to fail in time, and give the error."""
        began = time.monotonic()
        done = self.cli.run(*arguments)
        return self.record(fault, done, time.monotonic() - began, within)

    def breaks(
        self,
        fault: str,
        process: subprocess.Popen[bytes],
        cause: Callable[[], object],
        within: float = SECONDS,
    ) -> str:
        """Let the fault happen to a running command, and give the error that it ends with."""
        began = time.monotonic()
        try:
            cause()
            _, err = process.communicate(timeout=90)
        finally:
            end(process)
        done = Finished(process.returncode, "", err.decode(errors="replace"))
        return self.record(fault, done, time.monotonic() - began, within)

    def record(self, fault: str, done: Finished, seconds: float, within: float = SECONDS) -> str:
        """Check that a command failed as it should, in time, and give the error."""
        error = error_of(done)
        self.report.add(fault, seconds, error)
        assert seconds < within, (seconds, error)
        return error


def error_of(done: Finished) -> str:
    """Give the one error of a failed command, hint and all."""
    assert "Traceback" not in done.err, done.err
    assert done.code not in (0, -9), done
    head, found, error = ("\n" + done.err).rpartition("\nERROR: ")
    assert found, done.err
    assert "\nERROR: " not in head, done.err
    return error.strip()


def container(name: str) -> str:
    """Name the container of a builder's first node."""
    return f"buildx_buildkit_{name}0"


def volume(name: str) -> str:
    """Name the volume of a builder's first node."""
    return f"{container(name)}_state"


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> Iterator[Report]:
    """Collect what was reported, and show it as a table when the module is done."""
    collected = Report()
    yield collected
    plugins = request.config.pluginmanager
    terminal = plugins.get_plugin("terminalreporter")
    capture = plugins.get_plugin("capturemanager")
    if terminal is None or capture is None:  # a worker of pytest-xdist has no terminal
        return
    with capture.global_and_fixture_disabled():
        terminal.ensure_newline()
        for fault, seconds, words in collected.lines:
            terminal.write_line(f"{seconds:6.2f} s  {fault}: {words.splitlines()[0][:300]}")
