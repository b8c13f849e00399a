"""``update`` of builders in containers: the settings reach the container, the cache stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from support.cli import Cli, Finished, end, wait_for
from support.engines import Engines, ScratchContext
from support.mute import import_mute
from support.stand import record

SLEEP = 'RUN ["/bin/busybox", "sh", "-c", "echo begun; exec /bin/busybox sleep 1000"]'
RECREATED = "the node is recreated, its build cache is kept; builds that run on it are cut off"


@attrs.frozen(kw_only=True)
class Bench:
    """A command line, an engine, and the name of one builder on it."""

    cli: Cli
    engine: Engine
    image: str
    name: str

    @property
    def container(self) -> str:
        return f"buildx_buildkit_{self.name}0"

    def create(self, *arguments: str) -> None:
        self.cli.ok(
            *("create", "--name", self.name, "--driver", "docker-container"),
            *("--driver-opt", f"image={self.image}", *arguments),
        )

    def build(self, folder: Path, *arguments: str) -> Finished:
        return self.cli.ok("build", "--builder", self.name, *arguments, folder)

    def inspect(self) -> dict[str, Any]:
        """Give what the engine says of the container."""
        (found,) = json.loads(self.engine.docker("inspect", self.container).stdout)
        content: dict[str, Any] = found
        return content

    def exists(self) -> bool:
        return self.engine.docker("inspect", self.container, check=False).returncode == 0


EACH_STORE = pytest.mark.parametrize("bench", ["26.1", "26.1-containerd"], indirect=True)


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    engines: Engines,
    cli_for: Callable[[str], Cli],
    buildkit_image: Callable[[Engine], str],
) -> Iterator[Bench]:
    engine = engines.get(getattr(request, "param", "26.1"))
    name = f"upd-{uuid4().hex[:8]}"
    made = Bench(cli=cli_for(engine.host), engine=engine, image=buildkit_image(engine), name=name)
    yield made
    made.cli.run("rm", "--force", name)
    engine.docker("image", "rm", "--no-prune", name, check=False)


def cached_steps(done: Finished) -> int:
    return sum(line.endswith(" CACHED") for line in done.err.splitlines())


def environment(container: dict[str, Any]) -> list[str]:
    found: list[str] = container["Config"]["Env"]
    return found


@EACH_STORE
def test_everything_reaches_a_new_container_and_the_cache_stays(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    folder = scratch_context("RUN echo one > /one", "RUN echo two > /two")
    bench.engine.docker("tag", bench.image, bench.name)
    (bench.cli.home / "my.toml").write_text('[registry."docker.io"]\nmirrors = ["mirror:5000"]\n')
    bench.create("--driver-opt", "env.OLD=1")
    bench.build(folder)
    before = bench.inspect()

    done = bench.cli.ok(
        *("update", bench.name, "--driver-opt", f"image={bench.name},env.NEW=2,memory=1g"),
        *("--driver-opt", "cpu-shares=512", "--driver-opt-rm", "env.OLD"),
        *("--buildkitd-config", "my.toml", "--buildkitd-flags", "--debug"),
    )

    after = bench.inspect()
    assert done.out.startswith(
        f"{bench.name}0: cpu-shares unset -> 512, env.NEW: added, env.OLD: removed, "
        f"image {bench.image} -> {bench.name}, memory unset -> 1g, "
    )
    assert done.out.endswith(f"{RECREATED}\n")
    assert after["Id"] != before["Id"]
    assert after["Config"]["Image"] == bench.name
    assert "NEW=2" in environment(after)
    assert "OLD=1" not in environment(after)
    assert (after["HostConfig"]["Memory"], after["HostConfig"]["CpuShares"]) == (1 << 30, 512)
    assert after["Config"]["Cmd"][:3] == ["--config", "/etc/buildkit/buildkitd.toml", "--debug"]
    assert after["Mounts"][0]["Name"] == before["Mounts"][0]["Name"]
    config = bench.engine.docker("exec", bench.container, "cat", "/etc/buildkit/buildkitd.toml")
    assert "mirrors = ['mirror:5000']" in config.stdout
    assert cached_steps(bench.build(folder)) >= 4


def test_the_reference_works_with_an_updated_builder(
    bench: Bench, reference_buildx: str, scratch_context: ScratchContext
) -> None:
    bench.create("--bootstrap")
    bench.cli.ok("update", bench.name, "--driver-opt", "env.NEW=2", "--platform", "linux/386")

    def reference(*arguments: str | Path) -> str:
        done = subprocess.run(
            [reference_buildx, *arguments],
            env=bench.cli.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout + done.stderr

    inspected = reference("inspect", bench.name)
    assert 'env.NEW="2"' in inspected  # in any order: it keeps options in a map
    assert f'image="{bench.image}"' in inspected
    assert "running" in inspected
    assert "linux/386*" in inspected
    reference("build", "--builder", bench.name, scratch_context())


@EACH_STORE
def test_a_node_that_does_not_come_up_runs_again_as_it_was(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    folder = scratch_context("RUN echo one > /one")
    bench.create()
    bench.build(folder)
    before = record(bench.cli, bench.name)

    refused = bench.cli.refused("update", bench.name, "--driver-opt", "network=upd-nowhere")

    assert refused.startswith(
        f"node {bench.name}0 could not be made anew, the old settings are back: "
    )
    assert "upd-nowhere" in refused
    assert record(bench.cli, bench.name) == before
    assert bench.inspect()["State"]["Running"]
    assert bench.inspect()["HostConfig"]["NetworkMode"] != "upd-nowhere"
    assert cached_steps(bench.build(folder)) >= 3


def test_what_is_not_there_is_not_made(bench: Bench) -> None:
    bench.create()

    done = bench.cli.ok("update", bench.name, "--driver-opt", "env.A=1")

    assert done.out.endswith("the node is not booted, there is nothing to recreate\n")
    assert not bench.exists()


def test_a_stopped_node_goes_and_comes_back_with_the_next_build(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    folder = scratch_context("RUN echo one > /one")
    bench.create()
    bench.build(folder)
    bench.cli.ok("stop", bench.name)

    bench.cli.ok("update", bench.name, "--driver-opt", "env.A=1")

    assert not bench.exists()
    assert cached_steps(bench.build(folder)) >= 3
    assert "A=1" in environment(bench.inspect())


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("memory=lots", "invalid size: 'lots'"),
        ("cpu-quota=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("memory-swap=1g", "memory-swap is set without memory"),
        ("colour=x", "invalid driver option colour for docker-container driver"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_touched(
    bench: Bench, option: str, words: str
) -> None:
    bench.create()
    before = record(bench.cli, bench.name)

    refused = bench.cli.refused("update", bench.name, "--driver-opt", option)

    assert refused.splitlines()[0] == (
        f"failed to initialize builder {bench.name} ({bench.name}0): {words}"
    )
    assert record(bench.cli, bench.name) == before
    assert not bench.exists()


def test_a_build_that_is_cut_off_says_so(bench: Bench, scratch_context: ScratchContext) -> None:
    bench.create()
    building = bench.cli.start("build", "--builder", bench.name, scratch_context(SLEEP))
    try:
        wait_for(building, b" begun\n")
        bench.cli.ok("update", bench.name, "--recreate")
        _, err = building.communicate(timeout=90)
    finally:
        end(building)

    assert building.returncode == 1, err
    assert b"Traceback" not in err
    assert b"ERROR: failed to build: " in err
    assert bench.inspect()["State"]["Running"]


def test_an_interrupt_while_booting_ends_with_the_old_node_running(
    bench: Bench, busybox: Path, tmp_path: Path
) -> None:
    bench.create("--bootstrap")
    before = record(bench.cli, bench.name)
    mute = import_mute(bench.engine, f"{bench.name}-mute", busybox, tmp_path)
    process = bench.cli.start("update", bench.name, "--driver-opt", f"image={mute},env.A=1")
    try:
        wait_for(process, b"creating container")
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=90)
    finally:
        end(process)
        bench.engine.docker("image", "rm", "--force", mute, check=False)

    assert process.returncode == 130, err
    assert b"the old settings are back" in err
    assert record(bench.cli, bench.name) == before
    assert bench.inspect()["State"]["Running"]
    assert "A=1" not in environment(bench.inspect())
