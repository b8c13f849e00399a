"""What goes wrong with a daemon or the way to it, and how soon a person hears of it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tools.engine import Engine

from support.buildkit_image import BuildkitImage
from support.cli import Cli, end, wait_for
from support.engines import ScratchContext
from support.faults import Report, report
from support.remote_buildkit import Daemon, Relay, run_daemon, wait_until_gone

from .conftest import StartRelay

__all__ = ["report"]

CUT_SECONDS = 5
"""Within which a cut connection is reported, which mostly takes half a second."""
SILENCE_SECONDS = 45
"""Within which a silent one is: the daemon is asked after 10 s, and given 20 to answer."""
BOOT_SECONDS = 30
"""Within which it is said that there is no daemon: 20 are spent waiting for one."""
LIST_SECONDS = 15
"""Within which a builder is listed whose daemon is silent: it is given 5."""

POINTS = [2_000, 20_000, 0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.97]
"""Bytes, or parts of all bytes that a whole build takes."""


@pytest.fixture
def context(scratch_context: ScratchContext) -> Path:
    """A build that takes a while and moves a few megabytes up, then down."""
    return scratch_context(
        "COPY bulk /bulk",
        'RUN for i in 1 2 3 4 5 6 7 8 9 10; do echo "line $i"; usleep 50000; done; cp /bulk /copy',
        bulk=os.urandom(2_000_000),
    )


Build = Callable[[Path], subprocess.Popen[bytes]]


@pytest.fixture
def build(cli: Cli) -> Iterator[Build]:
    """Start builds, which end with the test, however that ends."""
    words = ("build", "--builder", "far", "--no-cache", "--progress", "plain", "-o", "out")
    started: list[subprocess.Popen[bytes]] = []

    def start(context: Path) -> subprocess.Popen[bytes]:
        started.append(cli.start(*words, context))
        return started[-1]

    yield start
    for process in started:
        end(process)


def last_line(process: subprocess.Popen[bytes], seconds: float) -> str:
    """Wait for the end, which has to be a failure; give the line that says why."""
    try:
        _, err = process.communicate(timeout=seconds)
    finally:
        end(process)
    assert process.returncode == 1, err.decode()
    assert b"Traceback" not in err, err.decode()
    errors = [line for line in err.decode().splitlines() if line.startswith("ERROR: ")]
    assert len(errors) == 1, err.decode()
    return errors[0]


@pytest.mark.timeout(500)  # it builds twelve times
def test_a_cut_connection_is_an_error_within_seconds(
    cli: Cli, build: Build, relay: StartRelay, context: Path, report: Report
) -> None:
    way = relay(unix=True)
    cli.ok("create", "--name", "far", way.endpoint)

    def begin(cut_after: int | None) -> subprocess.Popen[bytes]:
        (context / "bulk").write_bytes(os.urandom(2_000_000))  # what was sent is not sent again
        way.begin(cut_after)
        return build(context)

    for _ in range(2):
        process = begin(None)
        _, err = process.communicate(timeout=90)
        assert process.returncode == 0, err.decode()
    total = way.passed
    assert total > 8_000_000
    running = 0
    for point in POINTS:
        limit = int(point if point > 1 else point * total)
        line = last_line(begin(limit), 90)
        assert way.cut_at is not None
        seconds = time.monotonic() - way.cut_at

        assert seconds < CUT_SECONDS, (point, line)
        assert line.startswith("ERROR: failed to build: lost the connection to BuildKit"), line
        running += 'while running "' in line
        report.add(f"cut after {limit} of {total} bytes", seconds, line)
    assert running >= 5
    assert not wait_until_gone(f"far --no-cache --progress plain -o out {context}")


# --- daemons that are stopped and killed -----------------------------------------------------


@pytest.fixture
def victim(engine_26: Engine, buildkit_image: BuildkitImage) -> Iterator[Daemon]:
    """A daemon that only this test uses."""
    with run_daemon(engine_26, buildkit_image(engine_26)) as running:
        yield running


@pytest.fixture
def stopped(victim: Daemon) -> Iterator[Callable[[], None]]:
    """Stop all of the daemon's processes, until the test is over."""
    processes: list[int] = []

    def stop() -> None:
        processes.extend(victim.processes)
        for process in processes:
            with suppress(ProcessLookupError):  # a helper of the daemon, which has just ended
                os.kill(process, signal.SIGSTOP)

    yield stop
    for process in processes:
        with suppress(ProcessLookupError):  # it may have been ended meanwhile
            os.kill(process, signal.SIGCONT)


def test_a_daemon_that_was_stopped_with_a_signal(
    cli: Cli,
    build: Build,
    victim: Daemon,
    stopped: Callable[[], None],
    context: Path,
    report: Report,
) -> None:
    with Relay(victim.command, victim.engine.environment()) as listener:
        cli.ok("create", "--name", "far", listener.endpoint)
        stopped()

        started = time.monotonic()
        listed = cli.ok("ls").out
        seconds = time.monotonic() - started
        report.add("daemon stopped; ls", seconds, "inactive")
        assert seconds < LIST_SECONDS
        assert "inactive" in listed

        started = time.monotonic()
        line = last_line(build(context), 90)
        seconds = time.monotonic() - started
        report.add("daemon stopped; build", seconds, line)
        assert seconds < BOOT_SECONDS
        assert f"BuildKit at {listener.endpoint} did not answer within 20 s: no answer" in line


def test_a_daemon_that_is_stopped_during_a_build(
    cli: Cli,
    build: Build,
    victim: Daemon,
    stopped: Callable[[], None],
    scratch_context: ScratchContext,
    report: Report,
) -> None:
    context = scratch_context("RUN echo begun; sleep 600")
    with Relay(victim.command, victim.engine.environment()) as listener:
        cli.ok("create", "--name", "far", listener.endpoint)
        process = build(context)
        wait_for(process, b" begun\n")
        stopped()

        started = time.monotonic()
        line = last_line(process, 90)
        seconds = time.monotonic() - started

    report.add("daemon stopped during a build", seconds, line)
    assert seconds < SILENCE_SECONDS
    assert "RUN echo begun; sleep 600" in line
    assert "did not answer for" in line


@pytest.mark.parametrize("direct", [True, False], ids=["docker-container", "tcp"])
def test_a_daemon_that_is_killed_during_a_build(
    cli: Cli,
    build: Build,
    victim: Daemon,
    scratch_context: ScratchContext,
    direct: bool,
    report: Report,
) -> None:
    context = scratch_context("RUN echo begun; sleep 600")
    with Relay(victim.command, victim.engine.environment()) as listener:
        endpoint = f"docker-container://{victim.name}" if direct else listener.endpoint
        cli.ok("create", "--name", "far", "--driver", "remote", endpoint)
        process = build(context)
        wait_for(process, b" begun\n")
        victim.engine.docker("kill", victim.name)

        started = time.monotonic()
        line = last_line(process, 60)
        seconds = time.monotonic() - started

    report.add("daemon killed during a build", seconds, line)
    assert seconds < CUT_SECONDS
    assert "RUN echo begun; sleep 600" in line
    assert not wait_until_gone(f"exec -i {victim.name} buildctl")


def test_a_build_that_is_interrupted_leaves_no_program_behind(
    cli: Cli, build: Build, daemon: Daemon, scratch_context: ScratchContext
) -> None:
    context = scratch_context("RUN echo begun; sleep 600")
    cli.ok("create", "--name", "far", "--driver", "remote", f"docker-container://{daemon.name}")
    process = build(context)
    wait_for(process, b" begun\n")

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode == 130
    assert not wait_until_gone(f"exec -i {daemon.name} buildctl")


def test_a_build_that_is_killed_leaves_no_program_behind(
    cli: Cli, build: Build, daemon: Daemon, scratch_context: ScratchContext
) -> None:
    context = scratch_context("RUN echo begun; sleep 600")
    cli.ok("create", "--name", "far", "--driver", "remote", f"docker-container://{daemon.name}")
    process = build(context)
    wait_for(process, b" begun\n")

    end(process)

    assert not wait_until_gone(f"exec -i {daemon.name} buildctl")
