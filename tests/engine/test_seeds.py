"""The documents that started this project: their commands, from top to bottom, as written.

Everything goes through the real Docker CLI with Dockyard as its buildx, on an engine of its own
that really pulls ``moby/buildkit:buildx-stable-1``; each document leaves it as it was. What is
printed is compared line by line, as today's reference prints it where the documents are older.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from tools import engine
from tools.buildkit_image import STOCK_NAME
from tools.engine import KINDS, PrivateEngine

from support.cli import Cli
from support.engines import ScratchContext, or_skip
from support.registry import Registry
from support.terminal import run_on_terminal
from support.transcript import assert_like

pytestmark = pytest.mark.timeout(900)

IMAGE = "seed-image"
LINES, COLUMNS = 50, 140
BOOT = """\
#0 building with "container" instance using docker-container driver

#1 [internal] booting buildkit
#1 pulling image moby/buildkit:buildx-stable-1
#1 pulling image moby/buildkit:buildx-stable-1 1.9s done
#1 creating container buildx_buildkit_container0
#1 creating container buildx_buildkit_container0 0.5s done
#1 DONE 2.4s
...
"""
WARNING = (
    "WARNING: No output specified with docker-container driver. Build result will only remain in "
    "the build cache. To push result image into registry use --push or to load image into docker "
    "use --load"
)
LOAD = """\
...
 => exporting to docker image format                                                        7.7s
 => => exporting layers                                                                     4.9s
 => => exporting manifest sha256:4e4ca161fa338be2c303445411900ebbc5fc086153a0b846ac12996960b479d3 0.0s
 => => exporting config sha256:adf3eec768a14b6e183a1010cb96d91155a82fd722a1091440c88f3747f1f53f 0.0s
 => => sending tarball                                                                      2.8s
 => importing to docker                                                                     0.0s
...
"""  # noqa: E501  # as a terminal shows it
IMAGES = """\
REPOSITORY   TAG      IMAGE ID       CREATED         SIZE
seed-image   latest   adf3eec768a1   2 minutes ago   197MB
...
"""
VOLUMES = """\
DRIVER    VOLUME NAME
local     buildx_buildkit_container0_state
"""


@attrs.frozen(kw_only=True)
class Reader:
    """Somebody who types a document's commands into a shell."""

    program: str
    cli: Cli
    context: Path

    def types(self, line: str, *, code: int = 0) -> tuple[str, str]:
        """Run a line as it stands in the document; gives its output and its messages."""
        done = subprocess.run(
            self._command(line),
            env=self.cli.environment,
            cwd=self.context,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=240,
            check=False,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == code, err
        assert "Traceback" not in err
        return out, err

    def sees(self, line: str) -> str:
        """Run a line on a terminal; gives what is on the screen in the end."""
        screen = run_on_terminal(
            self._command(line),
            env=self.cli.environment,
            cwd=self.context,
            size=(COLUMNS, LINES),
        )
        return screen.text

    def _command(self, line: str) -> list[str]:
        program, *arguments = shlex.split(line.replace("<image>", IMAGE))
        assert program == "docker"
        return [self.program, *arguments]


@pytest.fixture(scope="module")
def engine_of_the_seeds(mirror: Registry) -> Iterator[PrivateEngine]:
    settings = {"registry-mirrors": [f"http://{mirror.address}"]}
    started = or_skip(lambda: engine.start(KINDS["26.1"], settings=settings))
    yield started
    started.end()


@pytest.fixture
def reader(
    engine_of_the_seeds: PrivateEngine,
    docker_cli: str,
    cli_for: Callable[[str], Cli],
    scratch_context: ScratchContext,
) -> Iterator[Reader]:
    """Give a reader whose current docker context is called desktop-linux, as in the documents."""
    cli = cli_for("")
    cli.variables["BUILDKIT_PROGRESS"] = "auto"
    who = Reader(program=docker_cli, cli=cli, context=scratch_context("RUN echo hello > /hello"))
    cli.variables["DOCKER_HOST"] = ""
    cli.ok("install")
    host = engine_of_the_seeds.host
    who.types(f"docker context create desktop-linux --docker host={host}")
    who.types("docker context use desktop-linux")
    yield who
    for builder in ("container", "mybuilder"):
        cli.run("rm", "--force", builder)
    _forget_images(engine_of_the_seeds)


def _forget_images(target: PrivateEngine) -> None:
    """Remove all images but BuildKit's."""
    listed = target.docker("image", "ls", "--format", "{{.ID}} {{.Repository}}").stdout
    for line in listed.splitlines():
        identifier, _, repository = line.partition(" ")
        if repository != STOCK_NAME.partition(":")[0]:
            target.docker("image", "rm", "--force", identifier, check=False)


def test_seed_0_the_docker_container_driver(
    reader: Reader, engine_of_the_seeds: PrivateEngine, registry: Registry
) -> None:
    _creates_builds_and_loads(reader)
    _keeps_its_state(reader, engine_of_the_seeds)
    _builds_for_two_platforms(reader, registry)
    _uses_foonet(reader)


def test_seed_1_the_short_page(reader: Reader) -> None:
    out, _ = reader.types("docker buildx create --name container --driver docker-container")
    assert out == "container\n"

    out, _ = reader.types("docker buildx ls")
    assert_like(
        out,
        """\
        NAME/NODE       DRIVER/ENDPOINT      STATUS   BUILDKIT PLATFORMS
        container       docker-container
          container0    desktop-linux        inactive
        ...
        """,
    )
    assert re.search(r"^desktop-linux\* +docker *$", out, re.MULTILINE)
    assert re.search(r"^ \\_ desktop-linux +\\_ desktop-linux +running ", out, re.MULTILINE)

    _builds_and_loads(reader)


def test_seed_2_the_later_page(reader: Reader, registry: Registry) -> None:
    reader.types("docker buildx create --name container --driver=docker-container")
    _, err = reader.types("docker buildx build -t <image> --builder=container .")
    assert_like(err, f"{BOOT}{WARNING}")
    _builds_for_two_platforms(reader, registry)
    _uses_foonet(reader)


def test_seed_3_the_table_of_options(reader: Reader) -> None:
    """Every option of the table is declared, and ends where docker inspect shows it."""
    out, _ = reader.types("docker buildx drivers inspect docker-container")
    for name in (
        "image", "memory", "memory-swap", "cpu-quota", "cpu-period", "cpu-shares", "cpuset-cpus",
        "cpuset-mems", "default-load", "network", "cgroup-parent", "restart-policy",
    ):  # fmt: skip
        assert re.search(rf"^\s*{name} ", out, re.MULTILINE), name
    for name, default in (
        ("default-load", "false"),
        ("cgroup-parent", "/docker/buildx"),
        ("restart-policy", "unless-stopped"),
    ):
        assert re.search(rf"^\s*{name} .*{re.escape(default)}", out, re.MULTILINE), name

    reader.types(
        "docker buildx create --name container --driver docker-container --bootstrap"
        " --driver-opt image=moby/buildkit:buildx-stable-1,memory=1g,memory-swap=2g"
        " --driver-opt cpu-quota=150000 --driver-opt cpu-period=100000 --driver-opt cpu-shares=512"
        " --driver-opt cpuset-cpus=0 --driver-opt cpuset-mems=0 --driver-opt default-load=true"
        " --driver-opt network=bridge --driver-opt cgroup-parent=/seeds"
        " --driver-opt restart-policy=on-failure:3 --driver-opt env.SEED=three"
    )
    fields = (
        "{{.Config.Image}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} "
        "{{.HostConfig.CpuQuota}} {{.HostConfig.CpuPeriod}} {{.HostConfig.CpuShares}} "
        "{{.HostConfig.CpusetCpus}} {{.HostConfig.CpusetMems}} {{.HostConfig.NetworkMode}} "
        "{{.HostConfig.CgroupParent}} {{.HostConfig.RestartPolicy.Name}} "
        "{{.HostConfig.RestartPolicy.MaximumRetryCount}} {{.Config.Env}}"
    )
    out, _ = reader.types(f"docker inspect buildx_buildkit_container0 --format='{fields}'")
    assert out.startswith(
        "moby/buildkit:buildx-stable-1 1073741824 2147483648 150000 100000 512 0 0 bridge /seeds "
        "on-failure 3 [SEED=three "
    )
    _, err = reader.types("docker buildx build -t <image> --builder=container .")
    assert "importing to docker" in err
    assert WARNING not in err


def test_seed_4_the_overview(reader: Reader, tmp_path: Path) -> None:
    """What loads and what does not, and the table of what the drivers can do."""
    reader.types("docker buildx create --name container --driver docker-container --bootstrap")
    assert_like(reader.sees("docker buildx build --load -t <image> --builder=container ."), LOAD)
    assert_like(reader.types("docker image ls")[0], IMAGES)
    out, _ = reader.types("docker buildx drivers --format markdown")
    header, _, *rows = [line.strip("| ").split(" | ") for line in out.split("\n\n")[0].splitlines()]
    column = header.index("`docker-container`")
    assert {row[0]: row[column].split()[0] for row in rows} == {
        "Automatically load image": "conditional",
        "Cache export": "yes",
        "Tarball output": "yes",
        "Multi-arch images": "yes",
        "Direct push": "yes",
        "BuildKit configuration": "yes",
    }

    reader.types("docker buildx create --name loading --driver-opt default-load=true")
    try:
        reader.types("docker buildx build -t loaded:by-default --builder loading .")
        here = f"-o {shlex.quote(str(tmp_path / 'out'))}"
        reader.types(f"docker buildx build -t loaded:other-output --builder loading {here} .")
        for also in ("--load", "--output type=docker"):
            kind = also.split()[0].strip("-")
            reader.types(f"docker buildx build -t loaded:{kind} --builder loading {here} {also} .")
    finally:
        reader.types("docker buildx rm --force loading")
    out, _ = reader.types("docker image ls loaded --format '{{.Tag}}'")
    assert sorted(out.split()) == ["by-default", "load", "output"]


def _creates_builds_and_loads(reader: Reader) -> None:
    out, _ = reader.types(
        "docker buildx create --name container --driver=docker-container "
        "--driver-opt=env.SEED=zero,restart-policy=unless-stopped"
    )
    assert out == "container\n"
    _builds_and_loads(reader)


def _builds_and_loads(reader: Reader) -> None:
    _, err = reader.types("docker buildx build -t <image> --builder=container .")
    assert_like(err, f"{BOOT}{WARNING}")
    assert IMAGE not in reader.types("docker image ls")[0]

    shown = reader.sees("docker buildx build --load -t <image> --builder=container .")
    assert_like(shown, LOAD)
    out, _ = reader.types("docker image ls")
    assert_like(out, IMAGES)
    config = re.search(r"exporting config sha256:([0-9a-f]{12})", shown)
    assert config is not None
    assert f" {config.group(1)} " in out


def _keeps_its_state(reader: Reader, target: PrivateEngine) -> None:
    reader.types("docker buildx rm container")
    setup = "docker buildx create --name=container --driver=docker-container --use --bootstrap"

    assert reader.types(setup)[0] == "container\n"
    out, _ = reader.types("docker buildx ls")
    assert_like(
        out,
        """\
        NAME/NODE       DRIVER/ENDPOINT              STATUS   BUILDKIT PLATFORMS
        container*      docker-container
        ...
        """,
    )
    assert re.search(r"^ \\_ container0 +\\_ desktop-linux +running +v[\d.]+", out, re.MULTILINE)
    assert_like(reader.types("docker volume ls")[0], VOLUMES)
    reader.types("docker buildx build --builder container .")

    reader.types("docker buildx rm --keep-state container")
    assert_like(reader.types("docker volume ls")[0], VOLUMES)
    assert "buildx_buildkit_container0" not in target.docker("ps", "--all").stdout

    assert reader.types(setup)[0] == "container\n"
    _, err = reader.types("docker buildx build --progress plain --builder container .")
    assert re.search(r"^#\d+ CACHED$", err, re.MULTILINE)


def _builds_for_two_platforms(reader: Reader, registry: Registry) -> None:
    """Build for both; the builder is in the engine's own network, which reaches the registry."""
    reader.types("docker buildx rm container")
    reader.types(
        "docker buildx create --name container --driver docker-container --driver-opt network=host"
    )
    folder = reader.context / "portable"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    name = f"{registry.address}/seed-portable"
    reader.types(
        "docker buildx build --builder=container --platform=linux/amd64,linux/arm64 "
        f"-t {name} --push portable"
    )
    out, _ = reader.types(f"docker manifest inspect --insecure {name}")
    # Behind them stands what is attested of each.
    found = re.findall(r'"architecture": "(\w+)"', out)
    assert found == ["amd64", "arm64", "unknown", "unknown"]


def _uses_foonet(reader: Reader) -> None:
    reader.types("docker network create foonet")
    try:
        out, _ = reader.types(
            "docker buildx create --use --name mybuilder --driver docker-container "
            '--driver-opt "network=foonet"'
        )
        assert out == "mybuilder\n"
        out, _ = reader.types("docker buildx inspect --bootstrap")
        assert re.search(r'^Driver Options: +network="foonet"$', out, re.MULTILINE)
        assert re.search(r"^Status: +running$", out, re.MULTILINE)
        out, _ = reader.types(
            "docker inspect buildx_buildkit_mybuilder0 --format={{.NetworkSettings.Networks}}"
        )
        assert_like(out, "map[foonet:0xc00018c0c0]")
        reader.types("docker buildx rm mybuilder")
    finally:
        reader.types("docker network rm foonet")
