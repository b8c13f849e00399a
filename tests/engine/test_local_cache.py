"""Caches and images in directories of this machine, with real builders and the reference buildx."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from support.buildkit_image import BuildkitImage
from support.cli import Cli, Finished, end, wait_for
from support.engines import ScratchContext

STEPS = (
    'RUN ["/bin/busybox", "sh", "-c", "date +%s%N > /stamp"]',
    'RUN ["/bin/busybox", "sh", "-c", "cat /stamp > /copy"]',
)
SLOW = 'RUN ["/bin/busybox", "sleep", "60"]'


@attrs.define
class Bench:
    """A builder of our own, and the directory where builds run."""

    cli: Cli
    engine: Engine
    name: str
    reference: str

    @property
    def here(self) -> Path:
        return self.cli.home

    def build(self, context: Path, *arguments: str) -> Finished:
        return self.cli.ok("build", "--builder", self.name, "--progress=plain", *arguments, context)

    def buildx(self, context: Path, *arguments: str) -> str:
        """Build with the reference."""
        done = subprocess.run(
            [
                *(self.reference, "build", "--builder", self.name, "--progress=plain"),
                *(*arguments, str(context)),
            ],
            env=self.cli.environment,
            cwd=self.here,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def forget(self) -> None:
        """Remove the builder's own cache."""
        done = subprocess.run(
            [self.reference, "prune", "--all", "--force", "--builder", self.name],
            env=self.cli.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def entries(self, directory: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            (self.here / directory / "index.json").read_text()
        )["manifests"]
        return found

    def blob(self, directory: str, descriptor: dict[str, Any]) -> bytes:
        """Give a blob, which has to be what its descriptor says."""
        name = str(descriptor["digest"])[7:]
        data = (self.here / directory / "blobs/sha256" / name).read_bytes()
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == descriptor["digest"]
        assert len(data) == descriptor["size"]
        return data

    def assert_tidy(self, directory: str) -> None:
        """Check that a directory has what a layout has, every blob as its name says."""
        root = self.here / directory
        assert sorted(path.name for path in root.iterdir()) == [
            *("blobs", "index.json", "oci-layout")
        ]
        assert json.loads((root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
        for path in (root / "blobs/sha256").iterdir():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


@pytest.fixture
def bench(
    engine_26: Engine,
    cli_for: Callable[[str], Cli],
    buildkit_image: BuildkitImage,
    reference_buildx: str,
) -> Iterator[Bench]:
    name = f"local-cache-{uuid4().hex[:8]}"
    made = Bench(cli_for(engine_26.host), engine_26, name, reference_buildx)
    image = buildkit_image(engine_26)
    made.cli.ok("create", "--name", name, "--driver-opt", f"image={image}", "--bootstrap")
    yield made
    made.cli.run("rm", "--force", name)


def cached(text: str) -> list[bool]:
    """Say of each of the three steps that run something whether it was taken from a cache.

    Such a step either says so, or shows how it is fetched; one that runs is done in its own time.
    """
    numbers = re.findall(r"^#(\d+) \[[^\]]*\] RUN \[", text, re.MULTILINE)
    return [
        re.search(rf"^#{number} (CACHED|sha256:\w+ .*)$", text, re.MULTILINE) is not None
        for number in dict.fromkeys(numbers)
    ]


def test_row_155_a_cache_is_written_and_read_by_a_builder_that_has_none(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    context = scratch_context(*STEPS)
    first = bench.build(context, "--cache-to=type=local,dest=cache,mode=max", "-o", "one")
    assert cached(first.err) == [False] * 3
    bench.assert_tidy("cache")
    bench.forget()

    second = bench.build(context, "--cache-from=type=local,src=cache", "-o", "two")

    assert cached(second.err) == [True] * 3
    assert "importing cache manifest from local:" in second.err
    for name in ("stamp", "copy"):
        assert (bench.here / "one" / name).read_text() == (bench.here / "two" / name).read_text()


def test_row_155_the_reference_reads_ours_and_we_read_the_references(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    context = scratch_context(*STEPS)
    bench.build(context, "--cache-to=type=local,dest=ours,mode=max", "-o", "one")
    bench.forget()

    theirs = bench.buildx(
        context,
        *("--cache-from=type=local,src=ours", "--cache-to=type=local,dest=theirs,mode=max"),
        *("-o", "two"),
    )
    bench.forget()
    back = bench.build(context, "--cache-from=type=local,src=theirs", "-o", "three")

    assert cached(theirs) == [True] * 3
    assert cached(back.err) == [True] * 3
    stamps = {(bench.here / name / "stamp").read_text() for name in ("one", "two", "three")}
    assert len(stamps) == 1
    assert bench.entries("ours") == bench.entries("theirs")


def test_one_directory_is_read_and_written_in_one_build_and_reset(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    first, second = scratch_context(*STEPS), scratch_context(*STEPS, large=os.urandom(100_000))
    with (second / "Dockerfile").open("a") as dockerfile:
        dockerfile.write("COPY large /large\n")
    both = ("--cache-from=type=local,src=cache", "--cache-to=type=local,dest=cache,mode=max")
    warned = bench.build(first, *both)
    old = bench.entries("cache")
    bench.forget()

    read = bench.build(second, both[0], f"{both[1]},reset=true")

    assert (
        "WARNING: local cache import at cache skipped due to err: could not read "
        "cache/index.json: open cache/index.json: no such file or directory\n"
    ) in warned.err
    assert cached(read.err) == [True] * 3
    new = bench.entries("cache")
    assert len(new) == 1
    assert new != old
    assert not (bench.here / "cache/blobs/sha256" / old[0]["digest"][7:]).exists()
    bench.assert_tidy("cache")


def test_several_caches_of_one_build(bench: Bench, scratch_context: ScratchContext) -> None:
    context = scratch_context(*STEPS)
    with (context / "Dockerfile").open("a") as dockerfile:
        dockerfile.write("FROM scratch\nCOPY --from=0 /copy /copy\n")

    bench.build(
        context,
        *("--cache-to=type=local,dest=all,mode=max", "--cache-to=type=local,dest=few,mode=min"),
        "--cache-to=type=local,dest=few,mode=max,tag=all",
    )

    (everything,) = bench.entries("all")
    little, also = bench.entries("few")
    assert everything["digest"] == also["digest"] != little["digest"]
    for directory, entry in (("all", everything), ("few", little), ("few", also)):
        listing = json.loads(bench.blob(directory, entry))
        for each in [*listing.get("layers", []), *listing.get("manifests", [])]:
            bench.blob(directory, each)
        bench.assert_tidy(directory)
    bench.forget()
    read = bench.build(
        context,
        *("--cache-from=type=local,src=few,tag=nothing", "--cache-from=type=local,src=few,tag=all"),
    )
    assert "skipped: no digest found for tag nothing\n" in read.err
    assert cached(read.err) == [True] * 3


def test_a_directory_that_cannot_be_written_is_named(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    context = scratch_context()
    (bench.here / "blocked").mkdir()
    (bench.here / "blocked/blobs").symlink_to(bench.here)

    done = bench.cli.run(
        *("build", "--builder", bench.name, "--cache-to=type=local,dest=blocked", context)
    )

    assert done.code == 1
    assert f"cannot write {bench.here}/blocked: not a directory" in done.err
    assert not (bench.here / "sha256").exists()


def test_a_build_that_is_interrupted_leaves_nothing_half_written(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    context = scratch_context(SLOW)
    process = bench.cli.start(
        *("build", "--builder", bench.name, "--progress=plain"),
        *("--cache-to=type=local,dest=cache", "-o", "type=oci,tar=false,dest=image", context),
    )

    wait_for(process, b'"sleep", "60"')
    end(process)

    for directory in ("cache", "image"):
        assert not (bench.here / directory).exists()


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_an_image_is_written_as_a_directory(
    bench: Bench, scratch_context: ScratchContext, kind: str
) -> None:
    context = scratch_context(*STEPS)
    output = f"type={kind},tar=false,dest=image"

    bench.build(context, "-o", output, "-t", "a/b:c", "-t", "localhost:5000/d")
    bench.build(context, "-o", output)

    names = [
        (
            entry["annotations"].get("io.containerd.image.name"),
            entry["annotations"]["org.opencontainers.image.ref.name"],
        )
        for entry in bench.entries("image")
    ]
    assert names == [
        ("docker.io/a/b:c", "c"),
        ("localhost:5000/d:latest", "latest"),
        (None, "latest"),
    ]
    bench.assert_tidy("image")
    for entry in bench.entries("image"):
        manifest = json.loads(bench.blob("image", entry))
        config = json.loads(bench.blob("image", manifest["config"]))
        layers = [bench.blob("image", layer) for layer in manifest["layers"]]
        assert len(layers) == len(config["rootfs"]["diff_ids"]) == 4


def test_our_directory_is_as_the_references(bench: Bench, scratch_context: ScratchContext) -> None:
    context = scratch_context(*STEPS)

    bench.build(context, "-o", "type=oci,tar=false,dest=ours", "-t", "a/b:c")
    bench.buildx(
        context,
        *("-o", "type=oci,tar=false,dest=theirs", "-t", "a/b:c", "--provenance=false"),
    )

    # Its annotations are those of its age: only the newer reference tells names and tags apart.
    (ours,), (theirs,) = bench.entries("ours"), bench.entries("theirs")
    assert {**ours, "annotations": {}} == {**theirs, "annotations": {}}
    blobs = [
        sorted(path.name for path in (bench.here / name / "blobs/sha256").iterdir())
        for name in ("ours", "theirs")
    ]
    assert blobs[0] == blobs[1]


def test_a_directory_for_several_platforms_has_all_of_them(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    context = scratch_context(large=b"data")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY large /large\n")

    bench.build(
        context,
        *("--platform=linux/amd64,linux/arm64", "-o", "type=oci,tar=false,dest=image"),
    )

    (entry,) = bench.entries("image")
    index = json.loads(bench.blob("image", entry))
    # Behind them stands what is attested of each.
    assert [each["platform"]["architecture"] for each in index["manifests"]] == [
        "amd64",
        "arm64",
        "unknown",
        "unknown",
    ]
    for each in index["manifests"]:
        for layer in json.loads(bench.blob("image", each))["layers"]:
            bench.blob("image", layer)


def test_a_directory_and_a_load_in_one_build(bench: Bench, scratch_context: ScratchContext) -> None:
    context = scratch_context("LABEL a=b")
    tag = f"dockyard-{bench.name}:1"

    try:
        bench.build(context, "-o", "type=oci,tar=false,dest=image", "--load", "-t", tag)
        loaded = bench.engine.docker("image", "inspect", "--format", "{{.Id}}", tag).stdout.strip()
    finally:
        bench.engine.docker("image", "rm", "-f", tag, check=False)

    (entry,) = bench.entries("image")
    config = json.loads(bench.blob("image", json.loads(bench.blob("image", entry))["config"]))
    assert config["config"]["Labels"] == {"a": "b"}
    assert loaded.startswith("sha256:")
