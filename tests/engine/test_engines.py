"""The engines that all other engine tests stand on: they start, work, and leave nothing behind."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tools import bridge, engine, process
from tools.control import ROOT
from tools.engine import KINDS, Engine, PrivateEngine

from support.engines import ScratchContext, StartEngine
from support.registry import Registry

LOOP = 'CMD ["/bin/sleep", "600"]'


def get(address: str | Path, path: str, **headers: str) -> tuple[int, bytes]:
    """Make a plain HTTP request to a unix socket or to ``host:port``."""
    unix = isinstance(address, Path)
    with closing(http.client.HTTPConnection("localhost" if unix else str(address))) as connection:
        if unix:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(address))
        connection.request("GET", path, headers={"Host": "localhost", **headers})
        with connection.getresponse() as answer:
            return answer.status, answer.read()


def get_once_served(address: str, path: str) -> tuple[int, bytes]:
    """Do so as soon as the container listens: until then, whoever publishes its port hangs up."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return get(address, path)
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def built(target: Engine, folder: Path, tag: str) -> str:
    """Build with the engine's old builder, which needs no client of BuildKit; return the tag."""
    target.docker("build", "-q", "-t", tag, str(folder), environment={"DOCKER_BUILDKIT": "0"})
    return tag


def test_each_engine_answers_a_ping(engine: Engine) -> None:
    if not isinstance(engine, PrivateEngine):
        pytest.skip("the given engine may not be on a unix socket")

    answer = get(engine.socket, "/_ping")

    assert answer == (200, b"OK")


def test_each_engine_is_of_the_version_that_its_name_says(engine: Engine) -> None:
    if not isinstance(engine, PrivateEngine):
        pytest.skip("the given engine is of any version")

    assert engine.version.startswith(engine.kind.name.removesuffix("-containerd") + ".")


def test_each_engine_runs_a_container(engine: Engine, scratch_context: ScratchContext) -> None:
    folder = scratch_context("RUN echo built > /note", 'CMD ["/bin/cat", "/note"]')
    tag = built(engine, folder, "engines-run")

    output = engine.docker("run", "--rm", tag).stdout

    assert output == "built\n"


def test_containers_of_one_engine_reach_a_published_port(
    engine: Engine, scratch_context: ScratchContext
) -> None:
    folder = scratch_context("COPY page /www/page", "WORKDIR /www", page=b"served")
    tag = built(engine, folder, "engines-port")
    serve = ("run", "-d", "-p", "127.0.0.1:0:80", tag, "/bin/httpd", "-f", "-p", "80")
    container = engine.docker(*serve).stdout.strip()
    address = engine.docker("port", container, "80").stdout.strip()

    answer = get_once_served(address, "/page")
    engine.docker("rm", "-f", container)

    assert answer == (200, b"served")


@pytest.mark.parametrize(
    ("name", "store"), [("26.1-containerd", "io.containerd.snapshotter.v1"), ("20.10", "overlay2")]
)
def test_the_image_store_is_the_one_asked_for(
    name: str, store: str, request: pytest.FixtureRequest
) -> None:
    fixture = {"26.1-containerd": "engine_26_containerd", "20.10": "engine_20"}[name]
    target: Engine = request.getfixturevalue(fixture)

    info = json.loads(target.docker("info", "--format", "{{json .}}").stdout)

    assert store in {info["Driver"], *(value for _, value in info["DriverStatus"])}


def test_images_survive_a_restart(
    start_engine: StartEngine, scratch_context: ScratchContext
) -> None:
    private = start_engine("26.1")
    tag = built(private, scratch_context(), "engines-restart")
    before = private.pid

    private.restart()

    assert private.pid not in (0, before)
    assert private.docker("image", "ls", "-q", tag).stdout.strip()


@pytest.mark.parametrize("name", list(KINDS))
def test_a_killed_engine_is_gone_and_comes_back(start_engine: StartEngine, name: str) -> None:
    private = start_engine(name)
    pid = private.pid

    private.kill()

    assert not process.alive(pid)
    assert private.pid == 0
    with pytest.raises(ConnectionRefusedError, match="refused"):
        get(private.socket, "/_ping")
    private.start()
    assert get(private.socket, "/_ping") == (200, b"OK")


@pytest.mark.parametrize("name", list(KINDS))
def test_an_ended_engine_leaves_nothing_behind(name: str, scratch_context: ScratchContext) -> None:
    with engine.private(KINDS[name]) as private:
        tag = built(private, scratch_context(LOOP), "engines-end")
        private.docker("run", "-d", "--restart", "always", "-p", "127.0.0.1:0:80", tag)
        state = private.control.ask("status")
        deadline = time.monotonic() + 120
        commands: set[str] = set()
        while "sleep" not in commands:  # the container's own program, which takes its time
            assert time.monotonic() < deadline, commands
            pids = {state.supervisor, *process.descendants(state.supervisor)}
            commands = {comm for pid in pids if (comm := command_of(pid))}

    assert {"dockerd", "containerd"} <= commands
    assert not [pid for pid in pids if process.alive(pid)]
    assert not private.control.folder.exists()
    assert not bridge.exists(state.bridge)
    assert str(private.control.folder) not in Path("/proc/self/mountinfo").read_text()


def command_of(pid: int) -> str:
    """Give a process's program; empty when it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


OWNER = """
import os, signal, sys
from tools import engine, process
private = engine.start(engine.KINDS["26.1"])
supervisor = private.control.state.supervisor
print(private.control.folder, supervisor, *process.descendants(supervisor), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_engine_ends_with_the_process_that_started_it(
    engine_26: Engine, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        process_group=0,
    ) as owner:
        assert owner.stdout is not None
        folder, supervisor, *others = owner.stdout.readline().split()

        os.killpg(owner.pid, number)

    assert process.wait_gone(int(supervisor), 60)
    assert not [pid for pid in others if process.alive(int(pid))]
    assert not Path(folder).exists()


def test_what_a_killed_supervisor_leaves_is_removed_by_the_next_start(
    start_engine: StartEngine,
) -> None:
    private = engine.start(KINDS["26.1"])
    state = private.control.state
    below = process.descendants(state.supervisor)
    os.kill(state.supervisor, signal.SIGKILL)
    private.control.release()

    ended = [process.wait_gone(pid, 60) for pid in below]
    start_engine("26.1")

    assert below
    assert all(ended)
    # Another worker may have come to it first, and be about it still.
    deadline = time.monotonic() + 60
    while private.control.folder.exists() and time.monotonic() < deadline:
        time.sleep(0.02)  # a poll with a deadline
    assert not private.control.folder.exists()
    assert str(private.control.folder) not in Path("/proc/self/mountinfo").read_text()


def test_the_registry_takes_an_image_and_gives_it_back(
    engine: Engine, registry: Registry, scratch_context: ScratchContext
) -> None:
    tag = built(engine, scratch_context(), f"{registry.address}/engines/push")

    engine.docker("push", tag)
    engine.docker("rmi", tag)
    engine.docker("pull", "-q", tag)

    assert get(registry.address, "/v2/engines/push/tags/list")[0] == 200


def test_the_registry_with_login_asks_for_it(registry_with_login: Registry) -> None:
    login = f"{registry_with_login.user}:{registry_with_login.password}".encode()
    allowed = f"Basic {base64.b64encode(login).decode()}"

    without, _ = get(registry_with_login.address, "/v2/")
    with_login, _ = get(registry_with_login.address, "/v2/", Authorization=allowed)

    assert (without, with_login) == (401, 200)


def test_the_reference_programs_run(docker_cli: str, reference_buildx: str) -> None:
    cli = subprocess.run([docker_cli, "--version"], capture_output=True, text=True, check=True)
    buildx = subprocess.run(
        [reference_buildx, "version"], capture_output=True, text=True, check=True
    )

    assert cli.stdout.startswith("Docker version 26.1")
    assert "0.13" in buildx.stdout
