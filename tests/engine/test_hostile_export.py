"""Builders that cannot, or will not, export an image in pieces; on grpcio and protobuf."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tools.engine import Engine

from support.archive import archive
from support.cli import Cli
from support.hostile_buildkit import BYTES, Attack, HostileBuildKit, Victim
from support.protos import protos
from support.stand import stand_cli

Start = Callable[..., HostileBuildKit]
CONTENT = "containerd.services.content.v1"
SECONDS = 20.0
"""Within what an attack has to be over; mostly that is at once."""
LAYER = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture
def tag() -> str:
    return f"dockyard-hostile-{uuid4().hex[:8]}:1"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


@pytest.fixture
def cli(engine_26: Engine, tmp_path: Path) -> Cli:
    return stand_cli(tmp_path / "home", docker_host=engine_26.host)


@pytest.fixture
def hostile(cli: Cli) -> Iterator[Start]:
    """Start a builder that attacks, and select it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hb")))

        def start(attack: Attack, *, admits: bool = True) -> HostileBuildKit:
            started = stack.enter_context(HostileBuildKit(folder, attack, admits=admits))
            cli.ok("create", "--name", "hostile", "--use", f"stand://{started.address}")
            return started

        yield start


class Exported:
    """The image of an archive, in pieces."""

    def __init__(self, packed: bytes) -> None:
        import json

        with tarfile.open(fileobj=io.BytesIO(packed)) as opened:
            files = {
                member.name: file.read()
                for member in opened
                if (file := opened.extractfile(member)) is not None
            }
        self.config, layer = files["config.json"], files["layer.tar"]
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "config": {"digest": digest(self.config), "size": len(self.config)},
                "layers": [{"mediaType": LAYER, "digest": digest(layer), "size": len(layer)}],
            }
        ).encode()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def write(victim: Victim, *requests: dict[str, Any]) -> list[bytes]:
    """Write a blob into the client's store."""
    call = victim._channel.stream_stream(f"/{CONTENT}.Content/Write", bytes, bytes)
    encoded = [protos().encode(f"{CONTENT}.WriteContentRequest", each) for each in requests]
    keys = (("buildkit-attachable-store-id", "export"),)
    return list(call(iter(encoded), metadata=keys, timeout=SECONDS, wait_for_ready=True))


def put(victim: Victim, kind: str, data: bytes) -> None:
    name = digest(data)
    write(
        victim,
        {"ref": f"{kind}-{name}", "expected": name, "total": len(data)},
        {"action": 1, "data": data},
        {"action": 2, "total": len(data), "expected": name, "offset": len(data)},
    )


def send_archive(victim: Victim, packed: bytes) -> None:
    call = victim._channel.stream_stream("/moby.filesync.v1.FileSend/DiffCopy", bytes, bytes)
    message = protos().encode(BYTES, {"data": packed})
    keys = (("buildkit-attachable-exporter-id", "0"),)
    list(call(iter([message]), metadata=keys, timeout=SECONDS, wait_for_ready=True))


class Twice:
    """Attacks by pieces first; when it is asked again, gives an archive as it should."""

    def __init__(self, tag: str, first: Callable[[Victim], None]) -> None:
        self.packed = archive(tag, tag.encode())
        self.times = 0
        self._first = first

    def __call__(self, victim: Victim) -> None:
        self.times += 1
        if self.times == 1:
            self._first(victim)
        else:
            send_archive(victim, self.packed)


def assert_loaded(engine: Engine, tag: str) -> None:
    assert engine.docker("image", "ls", "-q", tag).stdout
    engine.docker("image", "rm", tag)


def test_a_builder_that_sends_an_archive_all_the_same(
    cli: Cli, hostile: Start, engine_26: Engine, context: Path, tag: str
) -> None:
    packed = archive(tag, tag.encode())
    hostile(lambda victim: send_archive(victim, packed))

    cli.ok("build", "--load", "-t", tag, context)

    assert_loaded(engine_26, tag)


def test_a_builder_that_gives_no_blobs_is_asked_for_an_archive(
    cli: Cli, hostile: Start, engine_26: Engine, context: Path, tag: str
) -> None:
    def pieces(victim: Victim) -> None:
        image = Exported(twice.packed)
        put(victim, "config", image.config)
        put(victim, "manifest", image.manifest)

    twice = Twice(tag, pieces)
    hostile(twice)

    done = cli.ok("build", "--load", "-t", tag, context)

    assert twice.times == 2
    assert "asking BuildKit for an archive" in done.err
    assert_loaded(engine_26, tag)


def refusing(_victim: Victim) -> None:
    raise ValueError('unknown exporter attribute "tar"')


def too_long(victim: Victim) -> None:
    write(victim, {"ref": "config-x", "total": 1 << 40})


def wrong_digest(victim: Victim) -> None:
    write(victim, {"ref": "config-x", "expected": digest(b"a")}, {"action": 2, "data": b"b"})


def without_end(victim: Victim) -> None:
    for number in range(1000):
        put(victim, "attestation", b"%d" % number)


def two_images(victim: Victim) -> None:
    for name in ("one", "two"):
        put(victim, "manifest", Exported(archive(name, name.encode())).manifest)


def nonsense(victim: Victim) -> None:
    put(victim, "manifest", b"[]")


@pytest.mark.parametrize(
    "attack", [refusing, too_long, wrong_digest, without_end, two_images, nonsense]
)
def test_what_a_builder_does_wrong_with_pieces_costs_a_second_try(
    cli: Cli,
    hostile: Start,
    engine_26: Engine,
    context: Path,
    tag: str,
    attack: Callable[[Victim], None],
) -> None:
    twice = Twice(tag, attack)
    hostile(twice)

    started = time.monotonic()
    cli.ok("build", "--load", "-t", tag, context)

    assert time.monotonic() - started < SECONDS
    assert twice.times == 2
    assert_loaded(engine_26, tag)


def test_a_builder_that_gives_nothing_has_not_succeeded(
    cli: Cli, hostile: Start, engine_26: Engine, context: Path, tag: str
) -> None:
    hostile(lambda _victim: None)

    message = cli.refused("build", "--load", "-t", tag, context)

    assert "sent no whole result for the loading engine" in message
    assert engine_26.docker("image", "ls", "-q", tag).stdout == ""


def test_a_builder_that_never_stops_doing_wrong(
    cli: Cli, hostile: Start, engine_26: Engine, context: Path, tag: str
) -> None:
    hostile(too_long)

    started = time.monotonic()
    message = cli.refused("build", "--load", "-t", tag, context)

    assert time.monotonic() - started < SECONDS
    assert "it was refused: " in message
    assert engine_26.docker("image", "ls", "-q", tag).stdout == ""


def test_a_failed_build_is_not_repeated(cli: Cli, hostile: Start, context: Path, tag: str) -> None:
    times: list[Victim] = []

    def failing(victim: Victim) -> None:
        times.append(victim)
        raise ValueError("process did not complete successfully: exit code: 1")

    hostile(failing)

    cli.refused("build", "--load", "-t", tag, context)

    assert len(times) == 1
