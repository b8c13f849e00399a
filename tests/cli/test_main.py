"""Tests for the executables: what starts, how fast it can, and with which code it ends."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard import __version__
from support.cli import BIN, Cli, Finished
from support.stand import stand_cli

PLUGIN = {"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": "docker"}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return stand_cli(tmp_path / "home")


def as_plugin(cli: Cli, *arguments: str) -> Finished:
    return Cli(
        home=cli.home, docker_host=cli.docker_host, variables={**cli.variables, **PLUGIN}
    ).run(*arguments, program="docker-buildx")


def imported(code: str) -> set[str]:
    """Give the modules that some code imports in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules, file=sys.stderr)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].split())


# --- start-up --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        "dockyard(['version'])",
        "docker_buildx(['buildx', 'version'])",
        "docker_buildx(['docker-cli-plugin-metadata'])",
    ],
)
def test_version_and_metadata_import_nothing_that_takes_time(call: str) -> None:
    code = f"from dockyard.cli.main import *; {call}"
    heavy = {"attr", "attrs", "pluggy", "docker", "rich", "argparse", "json", "typing", "re"}

    assert heavy.isdisjoint(imported(code) - imported("pass"))


def test_importing_the_command_line_loads_no_client_library() -> None:
    heavy = {"docker", "kubernetes", "grpc", "rich", "requests", "urllib3", "pluggy", "attrs"}

    assert heavy.isdisjoint(imported("import dockyard.cli.main"))


def test_help_of_everything_needs_no_class_of_attrs() -> None:
    found = imported("from dockyard.cli.main import dockyard; dockyard(['--help'])")

    assert sorted({"attr", "attrs", "inspect", "pluggy", "pathlib", "json"} & found) == []


def test_listing_builders_loads_no_client_library(tmp_path: Path) -> None:
    code = (
        "import os\n"
        f"os.environ.update(HOME={str(tmp_path)!r}, DOCKER_HOST='unix:///nowhere.sock')\n"
        "os.environ.pop('DOCKER_CONFIG', None)\n"
        "from dockyard.cli.main import dockyard\n"
        "assert dockyard(['ls']) == 0"
    )
    heavy = {"docker", "kubernetes", "grpc", "rich", "requests", "ssl", "asyncio", "google"}
    # Each of these costs milliseconds, and comes in easily.
    heavy |= {"argparse", "socket", "datetime", "importlib.metadata"}
    heavy |= {"subprocess", "tempfile", "shutil", "logging", "email", "dataclasses", "http.client"}

    # Once before: only the second run finds the plugins in the cache.
    for _ in range(2):
        found = imported(code)
    assert heavy.isdisjoint(found - imported("pass"))


def test_a_build_imports_nothing_that_only_other_builds_need() -> None:
    code = (
        "import dockyard.cli.commands.build, dockyard.building.run, dockyard.building.attempt, "
        "dockyard.building.request, dockyard.cli.watch, dockyard.progress.quiet, "
        "dockyard.buildkit.client, dockyard_docker.plugin, dockyard_docker_container.plugin, "
        "dockyard_kubernetes.plugin, dockyard_remote.plugin"
    )
    heavy = {"docker", "kubernetes", "grpc", "rich", "requests", "ssl", "asyncio", "google"}
    heavy |= {"argparse", "socket", "datetime", "importlib.metadata", "hashlib", "hmac"}
    heavy |= {"subprocess", "tempfile", "shutil", "logging", "email", "dataclasses", "http.client"}
    # Classes of attrs, a millisecond each: of warnings, of images, of who is stopped or removed.
    heavy |= {"dockyard.warning", "dockyard.driver.content", "dockyard.driver.image"}
    heavy |= {"dockyard.driver.status", "dockyard.session.http", "dockyard.engine.client"}

    assert sorted(heavy & imported(code)) == []


# --- version and metadata --------------------------------------------------------------------


def test_version_is_one_line(cli: Cli) -> None:
    for done in (
        cli.ok("version"),
        cli.run("version", program="docker-buildx"),
        as_plugin(cli, "buildx", "version"),
        as_plugin(cli, "--context", "default", "-D", "buildx", "version"),
    ):
        assert done == Finished(0, f"dockyard {__version__}\n", "")


def test_the_metadata_is_what_docker_asks_for(cli: Cli) -> None:
    done = cli.run("docker-cli-plugin-metadata", program="docker-buildx")

    metadata = json.loads(done.out)
    assert done.code == 0
    assert metadata["SchemaVersion"] == "0.1.0"
    assert metadata["Vendor"]
    assert metadata["ShortDescription"]
    assert metadata["Version"] == __version__


# --- help ------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["", "help", "--help", "-h", "-D --help"])
def test_help_is_shown_with_the_commands(cli: Cli, line: str) -> None:
    done = cli.ok(*line.split())

    assert done.out.startswith("Usage:  dockyard [OPTIONS] COMMAND\n")
    assert re.search(r"\n  ls +List builder instances\n", done.out)
    assert "\n  install     " in done.out
    assert done.err == ""


@pytest.mark.parametrize("line", ["buildx", "buildx --help", "help buildx", "buildx help"])
def test_help_of_the_plugin_speaks_of_docker(cli: Cli, line: str) -> None:
    done = as_plugin(cli, *line.split())

    assert done.code == 0
    assert done.out.startswith("Usage:  docker buildx [OPTIONS] COMMAND\n")
    assert "  install" not in done.out


@pytest.mark.parametrize("line", ["buildx ls --help", "help buildx ls", "buildx help ls"])
def test_help_of_a_command_of_the_plugin(cli: Cli, line: str) -> None:
    done = as_plugin(cli, *line.split())

    assert done.out.startswith(
        "Usage:  docker buildx ls [OPTIONS]\n\nList builder instances\n\nOptions:\n"
    )


def test_every_command_has_help(cli: Cli) -> None:
    words = cli.ok("help").out.partition("Commands:\n")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in words.splitlines()]

    assert len(names) >= 10
    for name in names:
        assert cli.ok(name, "--help").out.startswith(f"Usage:  dockyard {name}")


def test_commands_are_completed_for_the_shell(cli: Cli) -> None:
    done = as_plugin(cli, "__complete", "buildx", "in")

    assert done.code == 0
    assert done.out.splitlines()[0].startswith("inspect\t")
    assert done.out.splitlines()[-1] == ":4"


# --- errors and exit codes -------------------------------------------------------------------


def test_an_unknown_command_shows_help_on_standard_output(cli: Cli) -> None:
    done = cli.run("foo")

    assert done.code == 2
    assert done.out.startswith("Usage:  dockyard")
    assert done.err == 'ERROR: unknown command: "foo"\n'
    assert cli.run("foo", program="docker-buildx").code == 1
    assert as_plugin(cli, "buildx", "foo").code == 1


def test_an_unknown_flag_ends_with_the_code_of_each_way_to_be_called(cli: Cli) -> None:
    assert cli.run("ls", "--foo") == Finished(2, "", "ERROR: unknown flag: --foo\n")
    assert cli.run("ls", "--foo", program="docker-buildx") == Finished(
        1, "", "ERROR: unknown flag: --foo\n"
    )
    assert as_plugin(cli, "buildx", "ls", "--foo") == Finished(
        125,
        "",
        "unknown flag: --foo\n\nUsage:  docker buildx ls [OPTIONS]\n\n"
        "Run 'docker buildx ls --help' for more information\n",
    )
    assert as_plugin(cli, "buildx", "--foo") == Finished(
        125,
        "",
        "unknown flag: --foo\n\nUsage:  docker buildx [OPTIONS] COMMAND\n\n"
        "Run 'docker buildx --help' for more information\n",
    )


@pytest.mark.parametrize("flag", ["--context=x", "-H=x", "--host=x", "--tlsverify"])
def test_dockers_own_flags_are_unknown_without_docker(cli: Cli, flag: str) -> None:
    done = cli.run(flag, "ls", program="docker-buildx")

    assert done.code == 1
    assert done.err.startswith("ERROR: unknown ")


def test_a_wrong_number_of_arguments_is_no_flag_error(cli: Cli) -> None:
    words = (
        "ERROR: {0}: '{1} ls' requires 0 arguments\n\nUsage:  {1} ls [OPTIONS]\n\n"
        "Run '{1} ls --help' for more information\n"
    )

    assert cli.run("ls", "a") == Finished(2, "", words.format("dockyard", "dockyard"))
    assert cli.run("ls", "a", program="docker-buildx") == Finished(
        1, "", words.format("docker-buildx", "docker-buildx")
    )
    assert as_plugin(cli, "buildx", "ls", "a") == Finished(
        1, "", words.format("docker", "docker buildx")
    )


def test_an_error_is_one_line_and_its_remedy_the_next(cli: Cli) -> None:
    done = cli.run("drivers", "inspect", "bogus")

    assert done.code == 1
    assert done.out == ""
    assert done.err.splitlines()[0] == 'ERROR: failed to find driver "bogus"'
    assert len(done.err.splitlines()) == 2


@pytest.mark.parametrize("flag", ["-D", "--debug"])
def test_debug_adds_the_traceback(cli: Cli, flag: str) -> None:
    done = cli.run("drivers", "inspect", "bogus", flag)

    assert done.err.startswith('ERROR: failed to find driver "bogus"\n')
    assert "Traceback (most recent call last):" in done.err


@pytest.mark.parametrize("line", ["version", "ls", "drivers inspect bogus"])
def test_closed_output_is_no_error(cli: Cli, line: str) -> None:
    shell = f"'{BIN / 'dockyard'}' {line} >&-"
    done = subprocess.run(["sh", "-c", shell], env=cli.environment, stderr=subprocess.PIPE)

    assert b"Traceback" not in done.stderr
    assert done.returncode == (1 if "bogus" in line else 0)


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_build_begins_with_a_closed_stream_too(cli: Cli, closed: str) -> None:
    shell = f"'{BIN / 'dockyard'}' build --builder none . {closed}"
    done = subprocess.run(["sh", "-c", shell], env=cli.environment, stderr=subprocess.PIPE)

    assert (done.returncode, done.stderr) == (1, b'ERROR: no builder "none" found\n')


def test_a_reader_that_has_seen_enough_is_no_error(cli: Cli) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    for line in (["ls"], ["version"], ["drivers"], ["help"]):
        done = subprocess.run(
            [BIN / "dockyard", *line],
            env=cli.environment,
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert done.stderr == b"", line
    os.close(writer)


# --- docker's global flags -------------------------------------------------------------------


def test_dockers_flags_before_the_word_buildx_count(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "other"

    done = as_plugin(
        cli, "--config", str(config), "-H", "unix:///a", "--host=unix:///kiosk.b", "buildx", "ls"
    )

    assert done.code == 0, done.err
    assert json.loads((config / "buildx" / "current").read_text())["Key"] == "unix:///kiosk.b"
    assert not (cli.home / "docker" / "buildx").exists()


def test_a_context_flag_counts_and_must_exist(cli: Cli) -> None:
    done = as_plugin(cli, "-c", "nope", "buildx", "ls")

    assert done == Finished(1, "", 'ERROR: no builder "nope" found\n')


def test_the_builder_flag_may_stand_before_and_after_the_command(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://down/a")

    for line in (["--builder", "a", "inspect"], ["inspect", "--builder=a"]):
        assert cli.ok(*line).out.startswith("Name:          a\n")
    assert as_plugin(cli, "buildx", "--builder=a", "inspect").out.startswith("Name:          a\n")


def test_the_builder_variable_is_the_flags_default(cli: Cli) -> None:
    other = Cli(
        home=cli.home,
        docker_host=cli.docker_host,
        variables={**cli.variables, "BUILDX_BUILDER": "nope"},
    )

    assert other.refused("inspect") == 'no builder "nope" found'
    assert other.ok("inspect", "--builder", "default").code == 0


# --- Ctrl-C ----------------------------------------------------------------------------------


def test_an_interrupt_ends_a_command_that_waits(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://down/a")
    file = cli.home / "docker/buildx/instances/a"
    file.write_text(file.read_text().replace("stand://down", "stand://hang"))
    done = _interrupted(cli, "ls", "--timeout", "50s")

    assert done.returncode == 130


def _interrupted(cli: Cli, *line: str) -> subprocess.Popen[bytes]:
    """Start a command, interrupt it once it has read the records, and wait for its end."""
    import signal

    lock = cli.home / "docker" / "buildx" / ".lock"
    with lock.open() as held:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX)
        process = cli.start(*line)
        _wait_until_locking(process.pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=50)
    return process


def _wait_until_locking(pid: int) -> None:
    """Wait until a process waits for a lock, as the kernel tells."""
    import time

    deadline = time.monotonic() + 45
    while f" {pid} " not in _waiting_for_locks():
        assert time.monotonic() < deadline
        os.sched_yield()


def _waiting_for_locks() -> str:
    lines = Path("/proc/locks").read_text().splitlines()
    return "".join(line for line in lines if "->" in line)


def test_dockers_socket_is_watched_by_commands_that_can_be_canceled() -> None:
    from dockyard.cli.interrupt import Interruption

    name = f"\0dockyard-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        listener.settimeout(45)
        interruption = Interruption()
        import threading

        canceled = threading.Event()
        interruption.cancellation.on_cancel(canceled.set)
        interruption.watch(f"@{name[1:]}")
        docker, _ = listener.accept()
        before = canceled.is_set()
        docker.close()

        assert canceled.wait(45)
        assert not before
