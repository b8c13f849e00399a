"""The core's own way to load an image: streamed into the engine while BuildKit still sends it.

The builder is a BuildKit that knows nothing of the engine, so its sessions run inside BuildKit's
own API as well.
"""

from __future__ import annotations

import signal
import socket
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import pytest
from tools.engine import Engine

from support.borrowed import install_borrowed
from support.cli import Cli, end
from support.engines import ScratchContext
from support.peer import Peers, Script, read_head, silent

CliFor = Callable[[str], Cli]

NO_OUTPUT = (
    "WARNING: No output specified with borrowed driver. Build result will only remain in the "
    "build cache. To push result image into registry use --push or to load image into docker "
    "use --load"
)
SECONDS = 15.0


@pytest.fixture
def cli(engine_26: Engine, engine_26_containerd: Engine, cli_for: CliFor) -> Cli:
    """Builds with the containerd store's BuildKit, for the classic engine."""
    cli = cli_for(engine_26.host)
    install_borrowed(cli, engine_26_containerd.host)
    return cli


@pytest.fixture
def cli_to(engine_26_containerd: Engine, cli_for: CliFor) -> Callable[[str], Cli]:
    """Builds with the same, for the engine at an address."""

    def make(host: str) -> Cli:
        cli = cli_for(host)
        install_borrowed(cli, engine_26_containerd.host)
        return cli

    return make


@pytest.fixture
def tag() -> str:
    return f"dockyard-test-{uuid4().hex[:8]}:1"


def test_load_streams_the_image_into_the_engine(
    cli: Cli,
    engine_26: Engine,
    engine_26_containerd: Engine,
    scratch_context: ScratchContext,
    tag: str,
) -> None:
    # The name makes a layer that the engine cannot have from another test.
    new = f"COPY busybox /{tag.partition(':')[0]}"
    context = scratch_context(new, 'CMD ["/bin/busybox", "echo", "it came"]')

    done = cli.ok("build", "--load", "-t", tag, context)

    assert '#0 building with "borrowed" instance using borrowed driver' in done.err
    assert " importing to docker\n" in done.err
    assert "loading layer " in done.err
    assert "WARNING" not in done.err
    assert engine_26.docker("run", "--rm", "--network=none", tag).stdout == "it came\n"
    elsewhere = engine_26_containerd.docker("image", "ls", "-q", tag).stdout
    assert elsewhere == ""


def test_the_image_id_is_the_engines(
    cli: Cli, engine_26: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    done = cli.ok("build", "-q", "--load", "--iidfile=iid", "-t", tag, scratch_context())

    image_id = engine_26.docker("inspect", "--format", "{{.Id}}", tag).stdout.strip()
    assert done.out.strip() == image_id
    assert (cli.home / "iid").read_text() == image_id


def test_load_into_an_engine_with_the_containerd_store(
    cli_to: Callable[[str], Cli],
    engine_26_containerd: Engine,
    scratch_context: ScratchContext,
    tag: str,
) -> None:
    cli = cli_to(engine_26_containerd.host)

    cli.ok("build", "--load", "-t", tag, scratch_context('CMD ["/bin/busybox", "echo", "hi"]'))

    run = engine_26_containerd.docker("run", "--rm", "--network=none", tag)
    assert run.stdout == "hi\n"


def test_load_and_another_output_at_once(
    cli: Cli, engine_26: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    cli.ok("build", "--load", "-o", "out", "-t", tag, scratch_context())

    assert engine_26.docker("image", "ls", "-q", tag).stdout
    assert (cli.home / "out" / "bin" / "busybox").exists()


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_an_archive_is_written_whole(
    cli: Cli, engine_26: Engine, scratch_context: ScratchContext, tag: str, kind: str
) -> None:
    cli.ok("build", "-o", f"type={kind},dest=image.tar", "-t", tag, scratch_context())

    with tarfile.open(cli.home / "image.tar") as packed:
        assert "index.json" in packed.getnames()
    if kind == "docker":
        engine_26.docker("load", "-i", str(cli.home / "image.tar"))
        assert engine_26.docker("image", "ls", "-q", tag).stdout


def test_the_session_inside_the_api_sends_many_files_both_ways(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY many /many\n")
    (context / "many").mkdir()
    for number in range(500):
        (context / "many" / str(number)).write_bytes(bytes([number % 256]) * number)
    (context / "many" / "large").write_bytes(bytes(range(256)) * (64 << 10))

    cli.ok("build", "-o", "out", context)

    for path in (context / "many").iterdir():
        assert (cli.home / "out" / "many" / path.name).read_bytes() == path.read_bytes()


# --- without an output -------------------------------------------------------------------------


def test_a_build_without_an_output_says_so_when_it_is_done(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    done = cli.ok("build", scratch_context())

    assert done.err.rstrip("\n").splitlines()[-1] == NO_OUTPUT
    assert done.err.count("WARNING") == 1


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["-o", "type=cacheonly"], {}),
        (["--load"], {}),
        ([], {"BUILDX_NO_DEFAULT_LOAD": "1"}),
    ],
)
def test_when_nothing_is_said(
    cli: Cli, scratch_context: ScratchContext, arguments: list[str], variables: dict[str, str]
) -> None:
    cli.variables.update(variables)

    done = cli.ok("build", *arguments, scratch_context())

    assert "WARNING" not in done.err


def test_a_senseless_wish_against_loading_is_a_warning(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    cli.variables["BUILDX_NO_DEFAULT_LOAD"] = "what"

    done = cli.ok("build", scratch_context())

    assert "WARNING: invalid non-bool value for BUILDX_NO_DEFAULT_LOAD: what" in done.err
    assert NO_OUTPUT in done.err


# --- engines that do not take it ---------------------------------------------------------------


def telling(script: Script) -> Script:
    """Tell of a classic image store with nothing in it, and do to loads what the script says."""

    def run(connection: socket.socket) -> None:
        head = connection.recv(1 << 16, socket.MSG_PEEK)
        if head.startswith(b"POST /images/load"):
            script(connection)
            return
        read_head(connection)
        status, body = b"404 No", b"{}"
        if head.startswith(b"GET /info"):
            status, body = b"200 OK", b'{"ID": "x", "DriverStatus": [["Backing Filesystem", "x"]]}'
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % (status, len(body)) + body)

    return run


def refusing(connection: socket.socket) -> None:
    """Refuse at once, as an engine does that cannot even begin."""
    read_head(connection)
    body = b'{"message":"there is no room here"}'
    head = b"HTTP/1.1 507 Full\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % len(body) + body)
    silent(connection)


def refusing_late(connection: socket.socket) -> None:
    """Take all, and refuse then, as an engine does that could not unpack it."""
    data = read_head(connection)
    while not data.endswith(b"0\r\n\r\n"):
        piece = connection.recv(1 << 16)
        if not piece:
            return
        data = (data + piece)[-64:]
    body = b'{"stream":"working"}\n{"error":"there is no room here"}\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % len(body) + body)


def dying(connection: socket.socket) -> None:
    """Hang up in the middle, if not all of it came along with the head."""
    read_head(connection)
    connection.settimeout(1)
    with suppress(TimeoutError):
        connection.recv(1 << 16)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (refusing, "there is no room here"),
        (refusing_late, "there is no room here"),
        (dying, "docker API at unix://"),
    ],
)
def test_an_engine_that_does_not_take_the_image(
    peers: Peers,
    cli_to: Callable[[str], Cli],
    scratch_context: ScratchContext,
    tag: str,
    script: Script,
    words: str,
) -> None:
    cli = cli_to(peers.unix(telling(script)).host)
    context = scratch_context()

    started = time.monotonic()
    message = cli.refused("build", "--load", "-t", tag, context)

    assert time.monotonic() - started < SECONDS
    assert message.startswith("failed to build: ")
    assert words in message
    assert len(message.splitlines()) <= 2


def test_no_engine_to_load_into(
    cli_to: Callable[[str], Cli], scratch_context: ScratchContext, tag: str
) -> None:
    cli = cli_to("unix:///nowhere.sock")
    context = scratch_context()

    started = time.monotonic()
    message = cli.refused("build", "--load", "-t", tag, context)

    assert time.monotonic() - started < SECONDS
    first, hint = message.splitlines()
    assert first.startswith(
        "failed to build: failed to connect to the docker API at unix:///nowhere.sock"
    )
    assert hint.startswith("check that the address is right")


def test_an_engine_that_is_not_there_does_not_matter_without_load(
    cli_to: Callable[[str], Cli], scratch_context: ScratchContext
) -> None:
    cli_to("unix:///nowhere.sock").ok("build", scratch_context())


def test_a_failed_build_loads_nothing(
    cli: Cli, engine_26: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    context = scratch_context('RUN ["/bin/busybox", "false"]')

    message = cli.refused("build", "--load", "-t", tag, context)

    assert "exit code: 1" in message
    assert engine_26.docker("image", "ls", "-q", tag).stdout == ""


def test_an_interrupt_while_an_engine_loads(
    peers: Peers, cli_to: Callable[[str], Cli], scratch_context: ScratchContext, tag: str
) -> None:
    loading = threading.Event()

    def hanging(connection: socket.socket) -> None:
        loading.set()
        silent(connection)

    cli = cli_to(peers.unix(telling(hanging)).host)
    process = cli.start("build", "--load", "-t", tag, scratch_context())
    try:
        assert loading.wait(60)
        interrupted = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        seconds = time.monotonic() - interrupted
    finally:
        end(process)

    assert process.returncode == 130, err
    assert b"Traceback" not in err
    assert seconds < 5
