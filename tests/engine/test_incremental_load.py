"""Loading only what an engine lacks: bytes counted on the way to real engines of both kinds."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import attrs
import pytest
from tools import engine as engines_tool
from tools.engine import KINDS, Engine

from support.borrowed import install_borrowed
from support.cli import Cli, Finished, end, wait_for
from support.engine_proxy import (
    EngineProxy,
    Fault,
    Request,
    answer,
    hang_up,
    refuse,
    say_nothing,
)
from support.engines import ScratchContext, or_skip
from support.peer import Peers
from support.registry import Registry

CliFor = Callable[[str], Cli]

MIB = 1 << 20
LITTLE = 100_000
"""More than an archive without layers has, and far less than any layer that matters."""
NOTHING_SENT = "nothing to send, the engine has the image"
SECONDS = 15.0


@attrs.define
class Bench:
    """A builder that knows nothing of the engine that its images go to."""

    cli: Cli
    engine: Engine
    proxy: EngineProxy
    context: Path
    tag: str

    @property
    def containerd(self) -> bool:
        status = self.engine.docker("info", "--format", "{{.DriverStatus}}").stdout
        return "io.containerd.snapshotter.v1" in status

    @property
    def records(self) -> list[Path]:
        return sorted((self.cli.home / "docker/buildx/dockyard/loaded").glob("*.json"))

    def write(self, name: str, size: int = MIB) -> None:
        """Give a file of the context new content that does not compress."""
        (self.context / name).write_bytes(os.urandom(size))

    def build(self, *arguments: str, tag: str | None = None) -> Finished:
        """Build and load, counting from here."""
        self.proxy.forget()
        named = ["-t", self.tag if tag is None else tag] if tag != "" else []
        return self.cli.ok("build", "--load", *named, *arguments, self.context)

    def image_id(self, name: str | None = None) -> str:
        return self.engine.docker(
            "image", "inspect", "--format", "{{.Id}}", name or self.tag
        ).stdout.strip()

    def assert_whole(self, name: str | None = None) -> None:
        """Check that an image has what the context says, and can be saved with all of it."""
        name = name or self.tag
        container = self.engine.docker("create", name, "/bin/busybox").stdout.strip()
        copied = self.cli.home / "copied"
        try:
            for file in ("large", "small"):
                self.engine.docker("cp", f"{container}:/{file}", str(copied))
                assert copied.read_bytes() == (self.context / file).read_bytes()
        finally:
            self.engine.docker("rm", container)
        saved = self.cli.home / "saved.tar"
        self.engine.docker("save", "-o", str(saved), name)
        with tarfile.open(saved) as archive:
            listing = archive.extractfile("manifest.json")
            assert listing is not None
            (manifest,) = json.load(listing)
            assert all(archive.getmember(layer).size for layer in manifest["Layers"])
            assert len(manifest["Layers"]) == 4


@pytest.fixture(scope="module")
def other_containerd() -> Iterator[Engine]:
    """An engine with containerd's store that shares nothing with the one that builds."""
    started = or_skip(lambda: engines_tool.start(KINDS["26.1-containerd"]))
    yield started
    started.end()


@pytest.fixture(params=["26.1", "20.10", "containerd"])
def target(request: pytest.FixtureRequest) -> Engine:
    """Each kind of engine in turn."""
    name = {"26.1": "engine_26", "20.10": "engine_20", "containerd": "other_containerd"}
    found: Engine = request.getfixturevalue(name[request.param])
    return found


@pytest.fixture
def make_bench(
    engine_26_containerd: Engine,
    cli_for: CliFor,
    peers: Peers,
    scratch_context: ScratchContext,
) -> Iterator[Callable[[Engine], Bench]]:
    made: list[Bench] = []

    def make(target: Engine) -> Bench:
        proxy = EngineProxy(target.host)
        cli = cli_for(peers.unix(proxy.serve).host)
        install_borrowed(cli, engine_26_containerd.host)
        context = scratch_context("COPY large /large", "COPY small /small")
        bench = Bench(cli, target, proxy, context, f"dockyard-load-{uuid4().hex[:8]}:1")
        bench.write("large", 3 * MIB)
        bench.write("small")
        made.append(bench)
        return bench

    yield make
    for bench in made:
        name = bench.tag.partition(":")[0]
        listed = bench.engine.docker("image", "ls", "-q", "--no-trunc", name, check=False)
        if found := listed.stdout.split():
            bench.engine.docker("image", "rm", "-f", *found, check=False)


@pytest.fixture
def bench(make_bench: Callable[[Engine], Bench], target: Engine) -> Bench:
    """A bench for each kind of engine."""
    return make_bench(target)


@pytest.fixture
def classic(make_bench: Callable[[Engine], Bench], engine_26: Engine) -> Bench:
    return make_bench(engine_26)


@pytest.fixture
def containerd(make_bench: Callable[[Engine], Bench], other_containerd: Engine) -> Bench:
    return make_bench(other_containerd)


# --- what is sent ------------------------------------------------------------------------------


def test_the_first_load_sends_all_and_the_second_nothing(bench: Bench) -> None:
    with (bench.context / "busybox").open("ab") as program:  # no other test's image has this one
        program.write(os.urandom(16))

    first = bench.build()

    assert 4 * MIB < bench.proxy.loaded < 7 * MIB
    assert "sending tarball" in first.err
    assert " importing to docker\n" in first.err
    bench.assert_whole()
    before = bench.image_id()

    second = bench.build()

    assert bench.proxy.loads == []
    assert NOTHING_SENT in second.err
    assert "sending tarball" not in second.err
    assert bench.image_id() == before


def test_of_a_changed_image_only_the_changed_layer_is_sent(bench: Bench) -> None:
    bench.build()
    before = bench.image_id()
    bench.write("small")

    done = bench.build()

    assert MIB < bench.proxy.loaded < MIB + LITTLE
    assert "sending tarball" in done.err
    assert bench.image_id() != before
    bench.assert_whole()


def test_what_is_attested_of_an_image_goes_with_its_changed_layers(containerd: Bench) -> None:
    containerd.build("--provenance=mode=max")
    containerd.write("small")

    done = containerd.build("--provenance=mode=max")

    assert MIB < containerd.proxy.loaded < MIB + LITTLE
    assert "exporting attestation manifest" in done.err
    containerd.assert_whole()
    with tarfile.open(containerd.cli.home / "saved.tar") as archive:
        index = json.load(archive.extractfile(blob_path(containerd.image_id())) or io.BytesIO())
        found = [each.get("annotations", {}) for each in index["manifests"]]
        assert [each.get("vnd.docker.reference.type") for each in found] == [
            None,
            "attestation-manifest",
        ]
        for entry in index["manifests"]:
            manifest = json.load(archive.extractfile(blob_path(entry["digest"])) or io.BytesIO())
            for blob in (manifest["config"], *manifest["layers"]):
                assert archive.getmember(blob_path(blob["digest"])).size == blob["size"]


def blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def test_an_image_without_new_layers_is_sent_without_any(bench: Bench) -> None:
    bench.build()
    with (bench.context / "Dockerfile").open("a") as dockerfile:
        dockerfile.write('CMD ["/bin/busybox", "echo", "new"]\n')

    done = bench.build()

    assert bench.proxy.loaded < LITTLE
    assert "sending tarball" not in done.err
    bench.assert_whole()
    assert bench.engine.docker("run", "--rm", "--network=none", bench.tag).stdout == "new\n"


def test_layers_of_an_image_with_another_name_are_not_sent_again(bench: Bench) -> None:
    bench.build()
    bench.write("small")
    other = f"{bench.tag}-other"

    bench.build(tag=other)

    assert MIB < bench.proxy.loaded < MIB + LITTLE
    bench.assert_whole(other)


def test_a_new_name_for_the_same_image_sends_nothing(bench: Bench) -> None:
    bench.build()

    bench.build("-t", f"{bench.tag}-two")

    assert bench.proxy.loads == []
    assert bench.image_id(f"{bench.tag}-two") == bench.image_id()


def test_all_names_are_given_at_once(bench: Bench) -> None:
    bench.build("-t", f"{bench.tag}-two")

    assert bench.image_id(f"{bench.tag}-two") == bench.image_id()


def test_an_image_without_a_name_is_known_by_its_id(bench: Bench) -> None:
    bench.build("--iidfile=iid", tag="")

    image_id = (bench.cli.home / "iid").read_text()
    try:
        bench.assert_whole(image_id)
        bench.build(tag="")
        assert bench.proxy.loads == []
    finally:
        bench.engine.docker("image", "rm", "-f", image_id)


def test_a_removed_image_is_sent_again(bench: Bench) -> None:
    bench.build()
    bench.engine.docker("image", "rm", "-f", bench.tag)

    bench.build()

    assert bench.proxy.loaded > 4 * MIB
    bench.assert_whole()


def test_the_id_and_the_metadata_are_those_of_an_archive(bench: Bench) -> None:
    kind = "oci" if bench.containerd else "docker"
    bench.build("--metadata-file=pieces.json", "--iidfile=iid")
    pieces = json.loads((bench.cli.home / "pieces.json").read_text())
    assert (bench.cli.home / "iid").read_text() == bench.image_id()

    archive = f"type={kind},dest=whole.tar"
    bench.cli.ok(
        "build", "-o", archive, "--metadata-file=whole.json", "-t", bench.tag, bench.context
    )
    whole = json.loads((bench.cli.home / "whole.json").read_text())
    loaded = bench.image_id()
    bench.engine.docker("image", "rm", "-f", bench.tag)
    bench.engine.docker("load", "-i", str(bench.cli.home / "whole.tar"))

    assert bench.image_id() == loaded
    for values in (pieces, whole):
        del values["buildx.build.ref"]
        values["containerimage.descriptor"].pop("annotations")
    if kind == "oci":
        del whole["containerimage.config.digest"]
    assert pieces == whole


def test_a_context_from_a_pipe_is_loaded_in_pieces_too(classic: Bench) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in classic.context.iterdir():
            archive.add(path, arcname=path.name)
    command = ("build", "--load", "-t", classic.tag, "-")
    classic.cli.ok(*command, stdin=packed.getvalue())
    classic.assert_whole()
    classic.proxy.forget()

    classic.cli.ok(*command, stdin=packed.getvalue())

    assert classic.proxy.loads == []


def test_other_outputs_beside_it(classic: Bench) -> None:
    classic.build("-o", "out", "-o", "type=oci,dest=image.tar")

    classic.assert_whole()
    large = (classic.context / "large").read_bytes()
    assert (classic.cli.home / "out" / "large").read_bytes() == large
    assert (classic.cli.home / "image.tar").stat().st_size > 4 * MIB
    classic.build("-o", "out")
    assert classic.proxy.loads == []


def test_push_and_load_at_once(bench: Bench, registry: Registry) -> None:
    name = f"{registry.address}/{bench.tag}"
    output = f"type=image,name={name},push=true,registry.insecure=true"

    bench.build("-o", output, tag=name)

    bench.assert_whole(name)
    listing = f"http://{registry.address}/v2/{bench.tag.partition(':')[0]}/tags/list"
    with urllib.request.urlopen(listing, timeout=60) as response:
        assert json.load(response)["tags"] == ["1"]


def test_an_engine_of_another_docker_context(
    classic: Bench, other_containerd: Engine, docker_cli: str
) -> None:
    subprocess.run(
        [docker_cli, "context", "create", "far", f"--docker=host={other_containerd.host}"],
        env=classic.cli.environment,
        check=True,
        capture_output=True,
    )
    output = ("-o", "type=docker,context=far", "-t", classic.tag, classic.context)

    classic.cli.ok("build", *output)

    assert other_containerd.docker("image", "ls", "-q", classic.tag).stdout
    assert classic.proxy.requests == []
    again = classic.cli.ok("build", *output)
    assert NOTHING_SENT in again.err
    other_containerd.docker("image", "rm", "-f", classic.tag)


# --- several platforms -------------------------------------------------------------------------


PLATFORMS = "--platform=linux/amd64,linux/arm64"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A context whose image runs nothing while it is built."""
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(1000))
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    return folder


def test_several_platforms_go_into_containerds_store(containerd: Bench, copied: Path) -> None:
    containerd.cli.ok("build", "--load", PLATFORMS, "-t", containerd.tag, copied)

    assert containerd.image_id().startswith("sha256:")


def test_several_platforms_are_refused_before_anything_is_built(
    classic: Bench, copied: Path
) -> None:
    done = classic.cli.run("build", "--load", PLATFORMS, "-t", classic.tag, copied)

    assert done.code == 1
    assert "docker exporter does not currently support exporting manifest lists" in done.err
    assert "[internal]" not in done.err


def test_several_platforms_in_a_docker_archive_are_refused(classic: Bench, copied: Path) -> None:
    message = classic.cli.refused("build", "-o", "type=docker,dest=image.tar", PLATFORMS, copied)

    assert "use the oci exporter instead" in message


# --- how it is shown ---------------------------------------------------------------------------


def test_the_sending_is_a_line_of_the_exporting_step(bench: Bench) -> None:
    done = bench.build("--progress=rawjson")

    updates = [json.loads(line) for line in done.err.splitlines()]
    vertexes = [vertex for each in updates for vertex in each.get("vertexes") or ()]
    statuses = [status for each in updates for status in each.get("statuses") or ()]
    sending = [status for status in statuses if status["id"] == "sending tarball"]
    assert len(sending) == 2
    assert sending[-1]["completed"]
    (name,) = {v["name"] for v in vertexes if v["digest"] == sending[0]["vertex"]}
    assert name in ("exporting to docker image format", "exporting to oci image format")
    last = {vertex["name"]: vertex for vertex in vertexes}
    assert last[name]["completed"]
    assert last["importing to docker"]["completed"]


def test_the_layers_that_are_sent_are_shown(classic: Bench) -> None:
    classic.build()
    classic.write("small")

    done = classic.build()

    assert done.err.count("loading layer ") >= 1
    layers = {line.split()[3] for line in done.err.splitlines() if "loading layer " in line}
    assert len(layers) == 1


def test_a_load_of_nothing_ends_the_exporting_step_first(classic: Bench) -> None:
    classic.build()

    done = classic.build()

    exporting = done.err.index("exporting to docker image format")
    assert exporting < done.err.index("importing to docker")
    assert "..." not in done.err


# --- what goes wrong ---------------------------------------------------------------------------


def first_load(fault: Fault) -> Callable[[Request], Fault | None]:
    """Spoil the first load that has layers in it; probes pass."""
    done: list[Request] = []

    def look(request: Request) -> Fault | None:
        if request.is_load and not done:
            done.append(request)
            return fault
        return None

    return look


def test_an_engine_that_refuses_a_part_gets_all(containerd: Bench) -> None:
    containerd.build()
    containerd.write("small")
    containerd.proxy.fault = first_load(answer(b'{"error":"content digest: not found"}\n'))

    done = containerd.build()

    assert "content digest: not found; sending all layers" in done.err
    assert containerd.proxy.loads[-1].sent > 4 * MIB
    containerd.assert_whole()


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":"Loaded image ID: sha256:%s"}\n' % (b"0" * 64),
        b'{"stream":"Loaded image: x"}\n{"stream":"Error unpacking image x: not found"}\n',
        b"{}\n",
        b"",
        b"nonsense\n",
    ],
    ids=["other-id", "unpacking", "unsaid", "empty", "nonsense"],
)
def test_an_engine_that_says_one_thing_and_does_another(containerd: Bench, body: bytes) -> None:
    containerd.build()
    containerd.write("small")
    containerd.proxy.fault = first_load(answer(body))

    containerd.build()

    assert containerd.proxy.loads[-1].sent > 4 * MIB
    containerd.assert_whole()


def test_an_engine_that_never_takes_it_in_pieces_gets_an_archive(bench: Bench) -> None:
    spoilt: list[Request] = []
    pieces = 1 if bench.containerd else 2  # a classic store is asked first what it lacks

    def look(request: Request) -> Fault | None:
        if request.is_load and len(spoilt) < pieces:
            spoilt.append(request)
            return answer(b'{"error":"I do not like it"}\n')
        return None

    bench.proxy.fault = look

    done = bench.build()

    assert len(bench.proxy.loads) == pieces + 1
    bench.assert_whole()
    assert "I do not like it; asking BuildKit for an archive" in done.err
    assert "ERROR" not in done.err


def test_an_engine_that_takes_nothing_at_all(bench: Bench) -> None:
    bench.proxy.fault = lambda request: (
        answer(b'{"error":"no space left on device"}\n') if request.is_load else None
    )

    started = time.monotonic()
    message = bench.cli.refused("build", "--load", "-t", bench.tag, bench.context)

    assert message.endswith("no space left on device")
    assert time.monotonic() - started < SECONDS * 2
    assert bench.engine.docker("image", "ls", "-q", bench.tag).stdout == ""


def test_an_engine_that_dies_in_a_load_leaves_the_old_image(bench: Bench) -> None:
    bench.build()
    before = bench.image_id()
    bench.write("small")
    bench.proxy.fault = lambda request: hang_up if request.is_load else None

    started = time.monotonic()
    message = bench.cli.refused("build", "--load", "-t", bench.tag, bench.context)

    assert "docker API at unix://" in message
    assert time.monotonic() - started < SECONDS
    assert bench.image_id() == before


def test_an_interrupt_in_a_load_leaves_the_old_image(containerd: Bench) -> None:
    containerd.build()
    before = containerd.image_id()
    containerd.write("small")
    containerd.proxy.fault = lambda request: say_nothing if request.is_load else None
    process = containerd.cli.start("build", "--load", "-t", containerd.tag, containerd.context)
    try:
        wait_for(process, b"sending tarball")
        interrupted = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        seconds = time.monotonic() - interrupted
    finally:
        end(process)

    assert process.returncode == 130, err
    assert b"Traceback" not in err
    assert seconds < 5
    assert containerd.image_id() == before


def test_a_name_that_moves_meanwhile_is_taken_back(bench: Bench) -> None:
    bench.build()
    bench.build(tag=f"{bench.tag}-other")
    first = bench.image_id()
    bench.write("small")

    def look(request: Request) -> Fault | None:
        if request.is_load:
            bench.engine.docker("tag", f"{bench.tag}-other", bench.tag)
        return None

    bench.proxy.fault = look

    bench.build()

    assert bench.image_id() != first
    bench.assert_whole()


def test_an_engine_that_does_not_tell_its_store_gets_an_archive(classic: Bench) -> None:
    classic.proxy.fault = lambda request: refuse if request.path == "/info" else None

    done = classic.build()

    assert "sending tarball" in done.err
    classic.assert_whole()


# --- what is remembered ------------------------------------------------------------------------


def test_lost_records_cost_a_full_load(containerd: Bench) -> None:
    containerd.build()
    for record in containerd.records:
        record.unlink()

    containerd.build()

    assert containerd.proxy.loaded > 4 * MIB
    containerd.assert_whole()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"layers": 1}', b"\xff" * 100])
def test_corrupt_records_cost_a_full_load(containerd: Bench, data: bytes) -> None:
    containerd.build()
    for record in containerd.records:
        record.write_bytes(data)
    containerd.write("small")

    containerd.build()

    assert containerd.proxy.loaded > 4 * MIB
    containerd.assert_whole()


def test_a_record_that_claims_too_much_costs_a_second_load(containerd: Bench) -> None:
    containerd.build()
    (known,) = containerd.records
    before = containerd.image_id()
    containerd.write("small")
    other = f"{containerd.tag}-other"
    containerd.build(tag=other)
    (new,) = set(containerd.records) - {known}
    layers = json.loads(new.read_text())["layers"]
    new.unlink()
    containerd.engine.docker("image", "rm", "-f", other)
    claim = json.loads(known.read_text())
    known.write_text(json.dumps({**claim, "layers": layers}))

    done = containerd.build()

    assert "sending all layers" in done.err
    assert len(containerd.proxy.loads) == 2
    assert containerd.image_id() != before
    containerd.assert_whole()


def test_a_state_directory_that_cannot_be_written_costs_speed_only(containerd: Bench) -> None:
    folder = containerd.cli.home / "docker/buildx/dockyard"
    folder.write_text("in the way")

    containerd.build()
    containerd.build()

    assert containerd.proxy.loaded > 4 * MIB
    containerd.assert_whole()
