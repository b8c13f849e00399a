"""One build on two nodes in containers: split, run side by side, and joined."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from support.borrowed import install_borrowed
from support.buildkit_image import BuildkitImage
from support.cli import BIN, Cli, end
from support.registry import Registry

CliFor = Callable[[str], Cli]

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPTED = (
    OCI_INDEX,
    DOCKER_LIST,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
BOTH = ("--platform", "linux/amd64,linux/arm64", "--progress", "plain")
DOCKERFILE = """\
FROM scratch
ARG TARGETARCH
COPY file /file
COPY file /only-${TARGETARCH}
LABEL architecture=${TARGETARCH}
"""
SECONDS = 120
"""For so long it is waited for what a busy machine does in seconds."""


@attrs.frozen(kw_only=True)
class Yard:
    """A builder with a node on each of two engines; the first builds amd64, the second arm64."""

    cli: Cli
    """Loads into the second engine, whose store is containerd's."""
    builder: str
    engines: tuple[Engine, Engine]

    def containers(self) -> list[tuple[Engine, str]]:
        names = (f"buildx_buildkit_{self.builder}0", f"buildx_buildkit_{self.builder}-second")
        return list(zip(self.engines, names, strict=True))


@pytest.fixture(scope="module")
def yard(
    engine_26: Engine,
    engine_26_containerd: Engine,
    buildkit_image: BuildkitImage,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Yard]:
    builder = f"several-{uuid4().hex[:8]}"
    cli = Cli(
        home=tmp_path_factory.mktemp("home"),
        docker_host=engine_26_containerd.host,
        variables={"BUILDX_BUILDER": builder},
    )

    def create(engine: Engine, platforms: str, *flags: str) -> None:
        options = (f"image={buildkit_image(engine)}", "network=host")
        words = [word for option in options for word in ("--driver-opt", option)]
        create = ("create", "--name", builder, "--driver", "docker-container")
        cli.ok(*create, *words, "--platform", platforms, *flags, engine.host)

    create(engine_26, "linux/amd64")
    try:
        second = ("--append", "--node", f"{builder}-second")
        create(engine_26_containerd, "linux/arm64,linux/386", *second)
        yield Yard(cli=cli, builder=builder, engines=(engine_26, engine_26_containerd))
    finally:
        cli.ok("rm", "--force", builder)


@pytest.fixture
def cli(yard: Yard, tmp_path: Path) -> Iterator[Cli]:
    """The command line, with nothing left of earlier tests in docker's configuration."""
    configuration = yard.cli.home / "docker" / "config.json"
    configuration.unlink(missing_ok=True)
    yield yard.cli
    configuration.unlink(missing_ok=True)


@pytest.fixture
def build_context(tmp_path: Path) -> Path:
    folder = tmp_path / "build-context"
    folder.mkdir()
    (folder / "file").write_text(uuid4().hex)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


@pytest.fixture
def repository() -> str:
    return f"several/{uuid4().hex[:8]}"


class Stored(NamedTuple):
    """What a registry has."""

    kind: str
    digest: str
    content: Any


def get(registry: Registry, path: str) -> Stored:
    """Ask the registry itself."""
    request = Request(f"http://{registry.address}/v2/{path}")
    request.add_header("Accept", ", ".join(ACCEPTED))
    if registry.user:
        login = base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    with urlopen(request, timeout=60) as answer:
        digest = answer.headers["Docker-Content-Digest"]
        return Stored(answer.headers["Content-Type"], digest, json.load(answer))


def platforms(index: Any) -> dict[str, str]:  # noqa: ANN401  # it is JSON
    """Give the images of an index: digests by platform."""
    return {
        f"{entry['platform']['os']}/{entry['platform']['architecture']}": entry["digest"]
        for entry in images_in(index)
    }


def images_in(index: Any) -> list[Any]:  # noqa: ANN401  # it is JSON
    """Give the entries of an index that are images, and not what is attested of them."""
    return [each for each in index["manifests"] if each["platform"]["os"] != "unknown"]


def metadata(cli: Cli) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cli.home / "meta.json").read_text())
    return found


# --- registries -----------------------------------------------------------------------------


def test_rows_123_and_124_each_node_builds_its_platform_and_both_become_one_index(
    yard: Yard, cli: Cli, registry: Registry, repository: str, build_context: Path
) -> None:
    name = f"{registry.address}/{repository}:1"

    files = ("--metadata-file", "meta.json", "--iidfile", "id")
    done = cli.ok("build", *BOTH, "--push", *files, "-t", name, build_context)

    index = get(registry, f"{repository}/manifests/1")
    images = platforms(index.content)
    assert list(images) == ["linux/amd64", "linux/arm64"]
    for platform, digest in images.items():
        image = get(registry, f"{repository}/manifests/{digest}").content
        config = get(registry, f"{repository}/blobs/{image['config']['digest']}").content
        assert f"{config['os']}/{config['architecture']}" == platform
        assert platform.endswith(config["config"]["Labels"]["architecture"])
    others = [each for each in index.content["manifests"] if each not in images_in(index.content)]
    attested = [each["annotations"]["vnd.docker.reference.digest"] for each in others]
    assert attested == list(images.values())
    assert set(metadata(cli)) == {
        "buildx.build.provenance/linux/amd64",
        "buildx.build.provenance/linux/arm64",
        "buildx.build.ref",
        "containerimage.digest",
    }
    assert metadata(cli)["containerimage.digest"] == index.digest
    assert (cli.home / "id").read_text() == index.digest
    assert f"merging manifest list {name}\n" in done.err
    for engine, container in yard.containers():  # each really was built on its own node
        assert engine.docker("inspect", container).returncode == 0
    assert {"[linux/amd64 1/2] COPY file /file", "[linux/arm64 1/2] COPY file /file"} <= {
        line.partition(" ")[2] for line in done.err.splitlines()
    }


def test_the_index_is_the_same_as_the_references(
    cli: Cli, registry: Registry, repository: str, build_context: Path, reference_buildx: str
) -> None:
    files = ("--push", "--metadata-file", "meta.json")
    # What is attested has the time in it.
    plain = attrs.evolve(cli, variables={**cli.variables, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"})
    plain.ok("build", *BOTH, *files, "-t", f"{registry.address}/{repository}:1", build_context)
    ours = metadata(cli)["containerimage.digest"]

    theirs = ("-t", f"{registry.address}/{repository}:2", str(build_context))
    done = subprocess.run(
        [reference_buildx, "build", *BOTH, *files, *theirs],
        env=plain.environment,
        cwd=cli.home,
        capture_output=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert metadata(cli)["containerimage.digest"] == ours
    assert get(registry, f"{repository}/manifests/2").digest == ours


def test_every_tag_in_every_repository_gets_the_index(
    cli: Cli, registry: Registry, repository: str, build_context: Path
) -> None:
    names = [f"{registry.address}/{repository}{rest}" for rest in (":1", "/more", ":2")]
    tags = [word for name in names for word in ("-t", name)]

    done = cli.ok("build", *BOTH, "--push", *tags, build_context)

    found = [
        get(registry, f"{repository}{rest}")
        for rest in ("/manifests/1", "/more/manifests/latest", "/manifests/2")
    ]
    assert len({each.digest for each in found}) == 1
    assert f"merging manifest list {','.join(names)}\n" in done.err


def test_an_index_by_its_digest_only(
    cli: Cli, registry: Registry, repository: str, build_context: Path
) -> None:
    name = f"{registry.address}/{repository}"
    output = f"type=image,name={name},push=true,push-by-digest=true"

    cli.ok("build", *BOTH, "-o", output, "--metadata-file", "meta.json", build_context)

    digest = metadata(cli)["containerimage.digest"]
    assert len(platforms(get(registry, f"{repository}/manifests/{digest}").content)) == 2
    with pytest.raises(HTTPError, match="404"):
        get(registry, f"{repository}/manifests/latest")


def test_annotations_of_the_index_are_the_indexs(
    cli: Cli, registry: Registry, repository: str, build_context: Path
) -> None:
    name = f"{registry.address}/{repository}"
    annotations = "annotation-index.org.example=yes,annotation-manifest-descriptor[linux/arm64].a=b"
    output = f"type=image,name={name},push=true,oci-mediatypes=true,{annotations}"

    cli.ok("build", *BOTH, "-o", output, build_context)

    index = get(registry, f"{repository}/manifests/latest").content
    assert index["mediaType"] == OCI_INDEX
    assert index["annotations"] == {"org.example": "yes"}
    assert [entry.get("annotations") for entry in images_in(index)] == [None, {"a": "b"}]


def log_in(cli: Cli, registry: Registry, password: str) -> None:
    login = base64.b64encode(f"{registry.user}:{password}".encode()).decode()
    (cli.home / "docker" / "config.json").write_text(
        json.dumps({"auths": {registry.address: {"auth": login}}})
    )


def test_a_push_with_a_login(
    cli: Cli, registry_with_login: Registry, repository: str, build_context: Path
) -> None:
    registry = registry_with_login
    log_in(cli, registry, registry.password)

    cli.ok("build", *BOTH, "--push", "-t", f"{registry.address}/{repository}:1", build_context)

    assert len(platforms(get(registry, f"{repository}/manifests/1").content)) == 2


def test_a_push_with_a_wrong_login(
    cli: Cli, registry_with_login: Registry, repository: str, build_context: Path
) -> None:
    log_in(cli, registry_with_login, "wrong-one")
    name = f"{registry_with_login.address}/{repository}:1"

    message = cli.refused("build", *BOTH, "--push", "-t", name, build_context)

    assert message.startswith("failed to build: ")
    assert "wrong-one" not in message


# --- what comes back ------------------------------------------------------------------------


def test_archives_become_one(cli: Cli, build_context: Path, tmp_path: Path) -> None:
    archive = tmp_path / "image.oci"
    names = ("several.example/a:1", "b")
    tags = [word for name in names for word in ("-t", name)]
    output = ("-o", f"type=oci,dest={archive}", "--metadata-file", "meta.json")

    cli.ok("build", *BOTH, *output, *tags, build_context)

    with tarfile.open(archive) as tar:
        members = [member.name for member in tar]
        content = {name: _read(tar, name) for name in members}
    assert len(members) == len(set(members))
    for name, data in content.items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(data).hexdigest() == name.rpartition("/")[2]
    top = json.loads(content["index.json"])["manifests"]
    assert [entry["annotations"]["io.containerd.image.name"] for entry in top] == [
        "several.example/a:1",
        "docker.io/library/b:latest",
    ]
    (digest,) = {entry["digest"] for entry in top}
    assert metadata(cli)["containerimage.digest"] == digest
    index = json.loads(content[f"blobs/{digest.replace(':', '/')}"])
    assert list(platforms(index)) == ["linux/amd64", "linux/arm64"]
    for manifest in platforms(index).values():
        image = json.loads(content[f"blobs/{manifest.replace(':', '/')}"])
        for blob in (image["config"], *image["layers"]):
            assert len(content[f"blobs/{blob['digest'].replace(':', '/')}"]) == blob["size"]


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def test_what_is_attested_on_each_node_is_in_the_archive(
    cli: Cli, build_context: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "image.oci"
    wanted = ("--provenance=mode=max", "--metadata-file", "meta.json")

    cli.ok("build", *BOTH, *wanted, "-o", f"type=oci,dest={archive}", build_context)

    with tarfile.open(archive) as tar:
        digest = metadata(cli)["containerimage.digest"]
        index = json.loads(_read(tar, f"blobs/{digest.replace(':', '/')}"))
        others = [each for each in index["manifests"] if each not in images_in(index)]
        for entry in others:
            manifest = json.loads(_read(tar, f"blobs/{entry['digest'].replace(':', '/')}"))
            (layer,) = manifest["layers"]
            statement = json.loads(_read(tar, f"blobs/{layer['digest'].replace(':', '/')}"))
            assert statement["predicateType"].startswith("https://slsa.dev/provenance/")
    attested = [each["annotations"]["vnd.docker.reference.digest"] for each in others]
    assert attested == list(platforms(index).values())


def test_an_archive_goes_to_stdout(cli: Cli, build_context: Path) -> None:
    with (cli.home / "out.tar").open("wb") as out:
        done = subprocess.run(
            [BIN / "dockyard", "build", *BOTH, "-o", "type=oci", build_context],
            env=cli.environment,
            cwd=cli.home,
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    with tarfile.open(cli.home / "out.tar") as tar:
        assert "index.json" in tar.getnames()


def test_an_engine_with_containerds_store_gets_all_platforms(
    yard: Yard, cli: Cli, build_context: Path
) -> None:
    engine = yard.engines[1]
    tag = f"several-{uuid4().hex[:8]}:1"

    cli.ok("build", *BOTH, "--load", "-t", tag, "--iidfile", "id", build_context)

    try:
        found = engine.docker("image", "inspect", "--format", "{{.Id}}", tag).stdout.strip()
        assert found == (cli.home / "id").read_text()
        saved = cli.home / "saved.tar"
        engine.docker("save", "-o", str(saved), tag)
        with tarfile.open(saved) as tar:
            index = json.loads(_read(tar, f"blobs/{found.replace(':', '/')}"))
        assert list(platforms(index)) == ["linux/amd64", "linux/arm64"]
    finally:
        engine.docker("image", "rm", "--force", tag)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--load",), "docker exporter does not currently support exporting manifest lists"),
        (("-o", "type=tar,dest=x"), "tar for multi-node builds currently not supported"),
        (
            ("-o", "type=oci,tar=false,dest=x"),
            "oci for multi-node builds currently not supported",
        ),
        (
            ("-o", "type=docker,dest=x"),
            "docker exporter does not support exporting manifest lists, use the oci exporter "
            "instead",
        ),
        (("--push",), "tag is needed when pushing to registry"),
        (
            ("--push", "-t", "127.0.0.1:1/a", "-o", "type=oci,dest=x"),
            "an image cannot be pushed and written or loaded in one build on several nodes",
        ),
    ],
)
def test_what_several_nodes_cannot_make_is_refused_before_anything_is_built(
    yard: Yard, cli: Cli, build_context: Path, arguments: tuple[str, ...], words: str
) -> None:
    classic = attrs.evolve(cli, docker_host=yard.engines[0].host)

    done = classic.run("build", *BOTH, *arguments, build_context)

    assert done.code == 1
    assert f"ERROR: failed to build: {words}\n" in done.err
    assert "load build definition" not in done.err
    assert not (cli.home / "x").exists()


def test_directories_by_platform(cli: Cli, build_context: Path, tmp_path: Path) -> None:
    cli.ok("build", *BOTH, "-o", str(tmp_path / "out"), build_context)

    assert {
        str(path.relative_to(tmp_path / "out"))
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    } == {
        f"linux_{machine}/{name}"
        for machine in ("amd64", "arm64")
        for name in ("file", f"only-{machine}")
    }


def test_an_image_that_stays_on_the_nodes(cli: Cli, build_context: Path) -> None:
    output = ("-o", "type=image,name=several-kept", "--metadata-file", "meta.json")

    done = cli.ok("build", *BOTH, *output, build_context)

    assert metadata(cli)["image.name"] == "docker.io/library/several-kept:latest" or (
        metadata(cli)["image.name"] == "several-kept"
    )
    assert "merging" not in done.err


# --- what goes there ------------------------------------------------------------------------


def test_a_dockerfile_from_a_pipe_reaches_both_nodes(cli: Cli, build_context: Path) -> None:
    done = cli.ok("build", *BOTH, "-f", "-", build_context, stdin=DOCKERFILE.encode())

    assert {"[linux/amd64 2/2]", "[linux/arm64 2/2]"} <= set(
        re.findall(r"\[linux/\w+ 2/2\]", done.err)
    )


def test_an_archive_from_a_pipe_reaches_both_nodes(cli: Cli, build_context: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(build_context, ".")

    done = cli.ok("build", *BOTH, "-", stdin=packed.getvalue())

    assert {"[linux/amd64 2/2]", "[linux/arm64 2/2]"} <= set(
        re.findall(r"\[linux/\w+ 2/2\]", done.err)
    )


def test_steps_run_where_they_belong(
    emulation: None, cli: Cli, build_context: Path, busybox: Path, busybox_arm64: Path
) -> None:
    shutil.copy(busybox, build_context / "busybox-amd64")
    shutil.copy(busybox_arm64, build_context / "busybox-arm64")
    command = '["/bin/busybox", "sh", "-c", "echo it runs on $(/bin/busybox uname -m)"]'
    copy = "FROM scratch\nARG TARGETARCH\nCOPY busybox-${TARGETARCH} /bin/busybox"
    (build_context / "Dockerfile").write_text(f"{copy}\nRUN {command}\n")

    done = cli.ok("build", *BOTH, "--no-cache", build_context)

    assert set(re.findall(r"it runs on (\w+)", done.err)) == {"x86_64", "aarch64"}


# --- when things go wrong -------------------------------------------------------------------


NATIVE = ("--platform", "linux/amd64,linux/386", "--progress", "plain", "--no-cache")
SLEEP = '["/bin/busybox", "sleep", "3217"]'


@pytest.fixture
def uneven(build_context: Path, busybox: Path) -> Callable[[str], Path]:
    """Make a build context that sleeps where it builds for 386, and runs something for amd64."""
    shutil.copy(busybox, build_context / "busybox")

    def make(command: str) -> Path:
        stages = (f"FROM base AS on-amd64\nRUN {command}", f"FROM base AS on-386\nRUN {SLEEP}")
        base = "FROM scratch AS base\nCOPY busybox /bin/busybox"
        lines = (base, *stages, "FROM on-${TARGETARCH}", "")
        (build_context / "Dockerfile").write_text("\n".join(lines))
        return build_context

    return make


def sleepers(yard: Yard) -> int:
    """Count the nodes on which a step sleeps."""
    running = [
        engine.docker("top", container, check=False).stdout
        for engine, container in yard.containers()
    ]
    return sum("sleep 3217" in processes for processes in running)


def wait_for_sleepers(
    yard: Yard, wanted: int, build: subprocess.Popen[bytes] | None = None
) -> None:
    """Wait until steps sleep on so many nodes, which is in vain once their build has ended."""
    deadline = time.monotonic() + SECONDS
    while (found := sleepers(yard)) != wanted:
        assert time.monotonic() < deadline, found
        assert build is None or build.poll() is None, build.communicate()
        time.sleep(0.1)


def test_a_failure_on_one_node_ends_the_other(
    yard: Yard, cli: Cli, uneven: Callable[[str], Path]
) -> None:
    begin = time.monotonic()

    done = cli.run("build", *NATIVE, uneven('["/bin/busybox", "false"]'))

    assert time.monotonic() - begin < SECONDS
    assert done.code == 1
    words = r"ERROR: failed to build: failed to solve: process .*busybox false.* \(on node .+\)$"
    assert re.search(words, done.err, re.MULTILINE)
    wait_for_sleepers(yard, 0)


def test_an_interrupt_ends_both_nodes(yard: Yard, cli: Cli, uneven: Callable[[str], Path]) -> None:
    process = cli.start("build", *NATIVE, uneven(SLEEP))
    try:
        wait_for_sleepers(yard, 2, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS)
    finally:
        end(process)

    assert process.returncode == 130
    assert b"Traceback" not in err
    assert err.count(b" CANCELED\n") == 2
    wait_for_sleepers(yard, 0)


def test_a_node_that_dies_ends_the_build(
    yard: Yard, cli: Cli, uneven: Callable[[str], Path]
) -> None:
    engine, container = yard.containers()[1]
    process = cli.start("build", *NATIVE, uneven(SLEEP))
    try:
        wait_for_sleepers(yard, 2, process)
        engine.docker("kill", container)
        _, err = process.communicate(timeout=SECONDS)
    finally:
        end(process)

    assert process.returncode == 1
    assert re.search(rf"^ERROR: failed to build: .*{container}", err.decode(), re.MULTILINE)
    assert b"Traceback" not in err
    wait_for_sleepers(yard, 0)


# --- dead nodes -----------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class HalfDead:
    """A builder whose first node is gone; the second is an engine's own BuildKit."""

    cli: Cli

    def kill(self) -> None:
        (self.cli.home / "dead.sock").unlink()


@pytest.fixture
def half_dead(cli_for: CliFor, engine_26: Engine, engine_26_containerd: Engine) -> HalfDead:
    cli = cli_for(engine_26.host)
    socket = cli.home / "dead.sock"
    os.symlink(engine_26_containerd.host.removeprefix("unix://"), socket)  # noqa: PTH211
    install_borrowed(cli, f"unix://{socket}")
    cli.ok("create", "--name", "borrowed", "--append", "--node", "alive", engine_26.host)
    return HalfDead(cli=cli)


def test_a_dead_node_is_shown_and_the_other_builds(
    half_dead: HalfDead, build_context: Path, tmp_path: Path
) -> None:
    half_dead.kill()
    cli = half_dead.cli

    assert "dead.sock" in cli.ok("inspect").out
    assert re.search(r"dead\.sock +error", cli.ok("ls").out)
    done = cli.ok("build", "--platform", "linux/amd64", "-o", str(tmp_path / "out"), build_context)

    assert (tmp_path / "out" / "only-amd64").exists()
    assert "WARNING: node borrowed0 is left out, it cannot be reached: " in done.err


def test_a_dead_node_that_is_needed_is_named(half_dead: HalfDead, build_context: Path) -> None:
    half_dead.kill()

    for platform in ("linux/s390x", "linux/amd64,linux/riscv64"):
        message = half_dead.cli.refused("build", "--platform", platform, build_context)
        assert message.startswith("failed to build: node borrowed0: ")
    message = half_dead.cli.refused("build", build_context)
    assert message.startswith("failed to build: node borrowed0: ")


def test_a_dead_node_that_was_declared_for_a_platform_is_needed(
    half_dead: HalfDead, build_context: Path
) -> None:
    half_dead.cli.ok("update", "--node", "borrowed0", "--platform", "linux/amd64")
    half_dead.kill()

    message = half_dead.cli.refused("build", "--platform", "linux/amd64,linux/386", build_context)

    assert message.startswith("failed to build: node borrowed0: ")
