"""The BuildKit image that is made of Debian's packages, on the engines that builders run on."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
from tools import bridge
from tools import buildkit_image as debian_image
from tools.buildkit_image import STOCK_NAME
from tools.engine import Engine, PrivateEngine

from support.buildkit_image import VARIABLE, BuildkitImage, MirroredEngine
from support.engines import Engines

READY_SECONDS = 120
STOP_SECONDS = 60
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What an HTTP/2 client sends first, with empty settings."""
SETTINGS = 4
HEAD = 9
"""Bytes before what is in a frame."""

Start = Callable[..., str]
pytestmark = pytest.mark.skipif(VARIABLE in os.environ, reason=f"{VARIABLE} names another image")


@pytest.fixture(params=["26.1", "26.1-containerd"])
def engine(request: pytest.FixtureRequest, engines: Engines) -> Engine:
    return engines.get(request.param)


@pytest.fixture
def start(engine: Engine, buildkit_image: BuildkitImage) -> Iterator[Start]:
    """Start a container as the driver does, with the daemon's flags, and give its name."""
    with ExitStack() as stack:

        def run(*flags: str, network: str = "bridge") -> str:
            name = f"dockyard-test-{uuid4().hex[:8]}"
            options = ("--detach", "--init", "--privileged", "--network", network, "--name", name)
            stack.callback(engine.docker, "rm", "--force", "--volumes", name, check=False)
            engine.docker("run", *options, buildkit_image(engine), *flags)
            return name

        yield run


def wait_ready(engine: Engine, container: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        done = engine.docker("exec", container, "buildctl", "debug", "workers", check=False)
        if done.returncode == 0:
            return
        assert time.monotonic() < deadline, engine.docker("logs", container).stderr
        assert done.stderr, done


def test_the_image_is_made_once() -> None:
    first = debian_image.archive()
    made = first.path.stat().st_mtime_ns

    second = debian_image.archive()

    assert second == first
    assert second.path.stat().st_mtime_ns == made
    assert second.name.endswith(second.path.stem)


def test_an_engine_gets_the_image(engine: Engine, buildkit_image: BuildkitImage) -> None:
    name = buildkit_image(engine)

    assert buildkit_image(engine) == name
    text = engine.docker("image", "inspect", "--format", "{{json .Config}}", name).stdout
    assert json.loads(text)["Entrypoint"] == ["buildkitd"]


def test_the_daemon_comes_up_with_a_drivers_flags_and_ends_in_good_order(
    engine: Engine, start: Start
) -> None:
    flags = ("--config", "/etc/buildkit/buildkitd.toml", "--debug")
    container = start(*flags, "--allow-insecure-entitlement=security.insecure")
    wait_ready(engine, container)

    began = time.monotonic()
    engine.docker("stop", "--time", str(2 * STOP_SECONDS), container)

    assert time.monotonic() - began < STOP_SECONDS
    status = engine.docker("inspect", "--format", "{{.State.ExitCode}}", container).stdout
    assert status.strip() == "0"


def test_a_restarted_daemon_comes_up_again(engine: Engine, start: Start) -> None:
    container = start()
    wait_ready(engine, container)
    engine.docker("kill", container)

    engine.docker("start", container)

    wait_ready(engine, container)


def test_on_the_machines_network_steps_use_the_bridge_of_the_engine_itself(
    engine: Engine, start: Start
) -> None:
    if not isinstance(engine, PrivateEngine):
        pytest.skip("DOCKYARD_TEST_DOCKER_HOST names an engine whose bridge is not known")
    others = [bridge.create("of-another-engine") for _ in range(2)]
    try:
        container = start(network="host")
        wait_ready(engine, container)
        processes = engine.docker("top", container, "-eo", "pid,args").stdout
    finally:
        for other in others:
            bridge.remove(other.name)

    assert f"--bridge={engine.control.state.bridge} " in processes


def test_the_pipe_speaks_http2_and_ends_with_its_input(engine: Engine, start: Start) -> None:
    container = start()
    wait_ready(engine, container)

    with subprocess.Popen(
        [engine.cli, "exec", "--interactive", container, "buildctl", "dial-stdio"],
        env=engine.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as pipe:
        assert pipe.stdin is not None
        assert pipe.stdout is not None
        pipe.stdin.write(PREFACE)
        pipe.stdin.flush()
        head = pipe.stdout.read(HEAD)  # before the input ends, for that may end the daemon's answer
        pipe.stdin.close()
        pipe.stdout.read()

        assert pipe.wait(READY_SECONDS) == 0

    assert head[3] == SETTINGS


@pytest.mark.parametrize("command", [["dial-stdio"], ["debug", "workers"]])
def test_without_a_daemon_the_client_says_so(
    engine: Engine, buildkit_image: BuildkitImage, command: list[str]
) -> None:
    image = buildkit_image(engine)

    run = ("run", "--rm", "--entrypoint", "buildctl", image, *command)
    done = engine.docker(*run, check=False)

    assert done.returncode == 1
    assert "dial unix /run/buildkit/buildkitd.sock: connect: no such file" in done.stderr


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--no-such-flag=1", "flag provided but not defined: -no-such-flag"),
        ("--config", "flag needs an argument: -config"),
        ("--allow-insecure-entitlement=all", "invalid entitlement : all"),
    ],
)
def test_a_wrong_flag_ends_the_daemon(
    engine: Engine, buildkit_image: BuildkitImage, flag: str, message: str
) -> None:
    done = engine.docker("run", "--rm", buildkit_image(engine), flag, check=False)

    assert done.returncode == 1
    assert message in done.stderr


def test_the_daemon_tells_its_version(engine: Engine, buildkit_image: BuildkitImage) -> None:
    words = engine.docker("run", "--rm", buildkit_image(engine), "--version").stdout.split()

    assert words[:2] == ["buildkitd", "github.com/moby/buildkit"]
    assert words[2] == debian_image.VERSION
    assert len(words) == 4


@pytest.mark.parametrize("kind", ["26.1", "26.1-containerd"])
def test_an_engine_pulls_the_stock_image_from_the_mirror(
    kind: str, mirrored_engine: MirroredEngine
) -> None:
    mirrored = mirrored_engine(kind)

    mirrored.docker("pull", STOCK_NAME)

    command = ("run", "--rm", STOCK_NAME, "--version")
    assert mirrored.docker(*command).stdout.startswith("buildkitd github.com/moby/buildkit v0.13.")
