"""Build for several platforms in a container, with and without an emulator for the foreign one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from tools.engine import Engine

from support.buildkit_image import BuildkitImage
from support.cli import Cli
from support.registry import Registry

CliFor = Callable[[str], Cli]

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker.distribution"
INDEXES = {f"{OCI}.index.v1+json", f"{DOCKER}.manifest.list.v2+json"}
MANIFESTS = {f"{OCI}.manifest.v1+json", f"{DOCKER}.manifest.v2+json"}
DOCKERFILE = """\
FROM scratch
ARG TARGETARCH
COPY busybox-${TARGETARCH} /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "echo it runs on $(/bin/busybox uname -m)"]
LABEL architecture=${TARGETARCH}
"""
MACHINE_AT = 18
"""Where in a program's first bytes stands what machine it is for."""
NO_MACHINE = (0x7E57).to_bytes(2, "little")


@pytest.fixture
def cli(
    engine_26: Engine, buildkit_image: BuildkitImage, cli_for: CliFor, builder: str
) -> Iterator[Cli]:
    """The command line with a builder in a container that reaches what the engine reaches."""
    cli = cli_for(engine_26.host)
    options = ("image=" + buildkit_image(engine_26), "network=host")
    words = (word for option in options for word in ("--driver-opt", option))
    cli.ok("create", "--name", builder, "--driver", "docker-container", *words, "--use")
    yield cli
    cli.ok("rm", "--force", builder)


@pytest.fixture
def builder() -> str:
    return f"platforms-{uuid4().hex[:8]}"


@pytest.fixture
def build_context(tmp_path: Path, busybox: Path, busybox_arm64: Path) -> Path:
    folder = tmp_path / "build-context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    shutil.copy(busybox, folder / "busybox-amd64")
    shutil.copy(busybox_arm64, folder / "busybox-arm64")
    # No kernel and no emulator runs this one, whatever other tests have installed.
    program = bytearray(busybox_arm64.read_bytes())
    program[MACHINE_AT : MACHINE_AT + 2] = NO_MACHINE
    (folder / "busybox-s390x").write_bytes(program)
    (folder / "busybox-s390x").chmod(0o755)
    return folder


class Stored(NamedTuple):
    """What a registry has of a name or digest."""

    content: dict[str, Any]
    kind: str
    digest: str


def get(registry: Registry, repository: str, place: str) -> Stored:
    """Ask the registry itself for a manifest or a blob."""
    request = Request(f"http://{registry.address}/v2/{repository}/{place}")
    request.add_header("Accept", ", ".join([*INDEXES, *MANIFESTS]))
    with urlopen(request, timeout=60) as answer:
        headers = answer.headers
        kind, digest = headers["Content-Type"], headers["Docker-Content-Digest"]
        return Stored(json.load(answer), kind, digest)


def test_row_135_two_platforms_are_built_by_running_and_pushed_as_one_index(
    emulation: None, cli: Cli, registry: Registry, build_context: Path
) -> None:
    repository = f"dockyard/{uuid4().hex[:8]}"
    platforms = ("--platform", "linux/amd64,linux/arm64")
    output = ("--push", "--metadata-file", "meta.json", "-t", f"{registry.address}/{repository}:1")

    done = cli.ok("build", "--progress", "plain", *platforms, *output, build_context)

    assert set(re.findall(r"it runs on (\w+)", done.err)) == {"x86_64", "aarch64"}
    index = get(registry, repository, "manifests/1")
    assert index.kind in INDEXES
    assert json.loads((cli.home / "meta.json").read_text())["containerimage.digest"] == index.digest
    images = {
        f"{each['platform']['os']}/{each['platform']['architecture']}": each["digest"]
        for each in index.content["manifests"]
        if each["platform"]["os"] != "unknown"  # what is attested of an image, not an image
    }
    assert set(images) == {"linux/amd64", "linux/arm64"}
    for platform, digest in images.items():
        image = get(registry, repository, f"manifests/{digest}").content
        config = get(registry, repository, f"blobs/{image['config']['digest']}").content
        assert f"{config['os']}/{config['architecture']}" == platform
        assert platform.endswith(config["config"]["Labels"]["architecture"])


def test_a_builder_that_starts_with_the_emulator_tells_what_it_builds_for(
    emulation: None, cli: Cli
) -> None:
    done = cli.ok("inspect", "--bootstrap")

    platforms = re.search(r"^Platforms: +(.+)$", done.out, re.MULTILINE)
    assert platforms is not None
    assert {"linux/amd64", "linux/arm64"} <= set(platforms[1].split(", "))


@pytest.mark.parametrize("platforms", ["linux/s390x", "linux/amd64,linux/s390x"])
def test_a_platform_that_cannot_run_says_how_to_install_the_emulator(
    cli: Cli, build_context: Path, platforms: str
) -> None:
    if "linux/s390x" in cli.ok("inspect", "--bootstrap").out:
        pytest.skip("this machine has an emulator for s390x")

    message = cli.refused("build", "--platform", platforms, build_context)

    assert message.startswith("failed to build: failed to solve: ")
    assert message.splitlines()[-1] == (
        "the machine that builds cannot run programs of linux/s390x; install an emulator there: "
        "docker run --privileged --rm tonistiigi/binfmt --install s390x"
    )


def test_no_emulator_is_advised_where_the_platform_runs(cli: Cli, build_context: Path) -> None:
    shutil.copy(build_context / "busybox-s390x", build_context / "busybox-amd64")

    message = cli.refused("build", "--platform", "linux/amd64", build_context)

    assert "binfmt" not in message
