"""``dial-stdio``: the connection to a builder's BuildKit as standard input and output."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

import grpc
import pytest

from dockyard.buildkit.client import Client
from dockyard.cli.commands.dial_stdio import descriptor_of
from dockyard.driver import Connection
from dockyard.engine.stream import SocketStream
from dockyard.errors import InputError
from support.cli import Cli
from support.peer import Peer, Script
from support.protos import protos
from support.scripted_buildkit import ScriptedBuildKit
from support.stand import stand_cli

MIB = 1 << 20
WORKER = {"ID": "w1", "platforms": [{"OS": "linux", "Architecture": "amd64"}]}

Start = Callable[..., subprocess.Popen[bytes]]
Stdio = int | IO[bytes]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return stand_cli(tmp_path / "home")


@pytest.fixture
def start(cli: Cli) -> Iterator[Start]:
    """Start the command; it ends with the test at the latest."""
    with ExitStack() as stack:

        def run(
            *arguments: str, stdin: Stdio = subprocess.PIPE, stdout: Stdio = subprocess.PIPE
        ) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [Path(sys.executable).parent / "dockyard", "dial-stdio", *arguments],
                env=cli.environment,
                cwd=cli.home,
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
            )
            stack.callback(_end, process)
            return process

        yield run


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for socket files."""
    with tempfile.TemporaryDirectory(prefix="ds") as name:
        yield Path(name)


@pytest.fixture
def buildkit(cli: Cli, folder: Path) -> Iterator[ScriptedBuildKit]:
    """A daemon, selected as a builder."""
    with ScriptedBuildKit(folder / "s") as daemon:
        daemon.workers = lambda: [WORKER]
        daemon.info = lambda: {"buildkitVersion": {"version": "v9.9.9"}}
        cli.ok("create", "--name", "far", "--use", f"stand://{folder}/s")
        yield daemon


@pytest.fixture
def serve(cli: Cli, folder: Path) -> Iterator[Callable[[Script], None]]:
    """Make a builder of a script that is done to each connection."""
    with ExitStack() as stack:

        def make(script: Script) -> None:
            # Made while nobody is there, because a script would not answer what is asked then.
            cli.ok("create", "--name", "far", "--use", "--driver", "stand", f"stand://{folder}/s")
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / "s"))
            listener.listen()
            stack.callback(Peer(listener, script).close)

        yield make


def echo(connection: socket.socket) -> None:
    """Give back what comes, and say so when it ends."""
    while data := connection.recv(1 << 16):
        connection.sendall(data)
    connection.sendall(b"END")


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- what goes through -----------------------------------------------------------------------


@pytest.mark.usefixtures("buildkit")
def test_a_grpc_client_speaks_through_pipes(start: Start, folder: Path) -> None:
    """Grpcio wants a socket, so one is joined to the pipes."""
    process = start()
    assert process.stdin is not None
    assert process.stdout is not None
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "door"))
    listener.listen()

    def join() -> None:
        connection, _ = listener.accept()
        assert process.stdin is not None
        assert process.stdout is not None
        with connection:
            down = threading.Thread(target=_pump, args=(process.stdout.fileno(), connection))
            down.start()
            with suppress(ConnectionResetError):  # it may leave before it has read everything
                while data := connection.recv(1 << 16):
                    process.stdin.write(data)
                    process.stdin.flush()
            process.stdin.close()
            down.join(45)

    joiner = threading.Thread(target=join)
    joiner.start()
    with grpc.insecure_channel(f"unix:{folder}/door") as channel:
        call = channel.unary_unary(
            "/moby.buildkit.v1.Control/ListWorkers",
            request_serializer=lambda values: protos().encode(
                "moby.buildkit.v1.ListWorkersRequest", values
            ),
            response_deserializer=lambda data: protos().decode(
                "moby.buildkit.v1.ListWorkersResponse", data
            ),
        )
        answer = call({}, timeout=45)
    joiner.join(45)
    listener.close()

    assert answer["record"][0]["ID"] == "w1"
    assert process.wait(45) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


def _pump(source: int, sink: socket.socket) -> None:
    try:
        while data := os.read(source, 1 << 16):
            sink.sendall(data)
    except OSError:
        return


@pytest.mark.usefixtures("buildkit")
def test_our_client_speaks_through_a_socket_that_is_both(start: Start) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        process = start(stdin=theirs.fileno(), stdout=theirs.fileno())

    with closing(Client(Connection(stream=SocketStream(ours)))) as client:
        assert client.version() == "v9.9.9"
        assert [worker.id for worker in client.workers()] == ["w1"]

    assert process.wait(45) == 0


def test_what_goes_into_a_pipe_comes_out_of_one(
    start: Start, serve: Callable[[Script], None]
) -> None:
    serve(echo)
    process = start()
    assert process.stdin is not None
    assert process.stdout is not None
    data = os.urandom(MIB) * 16

    with writing(process.stdin.write, process.stdin.close, data):
        received = process.stdout.read()

    assert received == data + b"END"
    assert process.wait(45) == 0


def test_what_goes_into_a_socket_comes_out_of_it(
    start: Start, serve: Callable[[Script], None]
) -> None:
    serve(echo)
    ours, theirs = socket.socketpair()
    with theirs:
        process = start(stdin=theirs.fileno(), stdout=theirs.fileno())
    data = os.urandom(MIB) * 16
    received = bytearray()

    with ours, writing(ours.sendall, partial(ours.shutdown, socket.SHUT_WR), data):
        while piece := ours.recv(1 << 16):
            received += piece

    assert received == data + b"END"
    assert process.wait(45) == 0


@contextmanager
def writing(
    write: Callable[[bytes], object], finish: Callable[[], object], data: bytes
) -> Iterator[None]:
    """Write in a thread for as long as the block runs."""

    def run() -> None:
        write(data)
        finish()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(45)


def test_bytes_that_came_before_the_end_are_not_lost(
    start: Start, serve: Callable[[Script], None]
) -> None:
    serve(lambda connection: connection.sendall(b"x" * MIB))

    out, _ = start().communicate(timeout=45)

    assert out == b"x" * MIB


def test_progress_goes_to_standard_error_when_asked_for(
    start: Start, serve: Callable[[Script], None]
) -> None:
    serve(lambda connection: connection.sendall(b"hello"))

    out, err = start("--progress", "plain").communicate(timeout=45)

    assert out == b"hello"
    lines = err.decode().splitlines()
    assert "#1 Proxying to builder" in lines
    assert any(line.startswith("#1 Dialing builder") for line in lines)


# --- how it ends -----------------------------------------------------------------------------


def test_the_daemon_s_end_is_the_end(start: Start, serve: Callable[[Script], None]) -> None:
    serve(lambda connection: connection.sendall(b"bye"))
    process = start()
    assert process.stdout is not None

    assert process.stdout.read() == b"bye"
    assert process.wait(45) == 0  # though standard input is open


def test_the_end_of_standard_input_is_passed_on(
    start: Start, serve: Callable[[Script], None]
) -> None:
    serve(echo)

    process = start(stdin=subprocess.DEVNULL)
    out, _ = process.communicate(timeout=45)

    assert out == b"END"
    assert process.returncode == 0


def test_a_daemon_that_does_not_care_for_the_end_is_left(
    start: Start, serve: Callable[[Script], None]
) -> None:
    over = threading.Event()

    def listen_to_nothing(_: socket.socket) -> None:
        over.wait(60)

    serve(listen_to_nothing)
    started = time.monotonic()

    process = start(stdin=subprocess.DEVNULL)
    process.communicate(timeout=50)
    over.set()

    assert process.returncode == 0
    assert time.monotonic() - started < 45


def test_a_reader_that_goes_away_ends_it(start: Start, serve: Callable[[Script], None]) -> None:
    serve(echo)
    process = start()
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdin.write(b"x")
    process.stdin.flush()
    assert process.stdout.read(1) == b"x"

    process.stdout.close()

    assert process.wait(45) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stdin.close()


def test_an_idle_connection_costs_nothing(start: Start, serve: Callable[[Script], None]) -> None:
    serve(echo)
    process = start()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"x")
    process.stdin.flush()
    assert process.stdout.read(1) == b"x"
    before = cpu_seconds(process)

    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)

    assert cpu_seconds(process) - before < 0.3
    process.stdin.close()


def test_a_stalled_reader_costs_nothing(start: Start, serve: Callable[[Script], None]) -> None:
    serve(lambda connection: connection.sendall(bytes(8 * MIB)))
    process = start()
    assert process.stdout is not None
    assert process.stdout.read(1) == b"\0"
    before = cpu_seconds(process)

    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)

    assert cpu_seconds(process) - before < 0.3
    assert len(process.stdout.read()) == 8 * MIB - 1


def test_an_interrupt_ends_it(start: Start, serve: Callable[[Script], None]) -> None:
    serve(echo)
    process = start()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"x")
    process.stdin.flush()
    assert process.stdout.read(1) == b"x"

    process.send_signal(signal.SIGINT)

    assert process.wait(45) == 130
    process.stdin.close()


# --- what is refused -------------------------------------------------------------------------


def refused(cli: Cli, *arguments: str) -> str:
    return cli.refused("dial-stdio", *arguments)


def test_a_daemon_that_is_not_there_is_an_error(cli: Cli) -> None:
    cli.ok("create", "--name", "far", "--use", "stand:///nowhere")

    assert "nobody listens at /nowhere" in refused(cli)


@pytest.mark.usefixtures("buildkit")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--progress", "loud"), "invalid progress mode loud"),
        (("--platform", "a/b/c/d"), '"a/b/c/d": cannot parse platform specifier'),
        (("--builder", "none"), 'no builder "none" found'),
        (("x",), "'dockyard dial-stdio' requires 0 arguments"),
    ],
)
def test_what_makes_no_sense_is_refused(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    code = 2 if arguments == ("x",) else 1

    assert words in cli.refused("dial-stdio", *arguments, code=code)


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_a_standard_stream_that_is_closed_is_told(stream: io.StringIO | None) -> None:
    with pytest.raises(InputError, match="^standard input is closed$"):
        descriptor_of(stream, "input")


@pytest.mark.parametrize("by", ["declared", "workers", "environment"])
def test_a_platform_chooses_the_node(cli: Cli, folder: Path, by: str, start: Start) -> None:
    with ScriptedBuildKit(folder / "1") as first, ScriptedBuildKit(folder / "2") as second:
        for number, daemon in enumerate((first, second), 1):
            architecture = "amd64" if number == 1 else "arm64"
            platform = {"OS": "linux", "Architecture": architecture}
            daemon.workers = lambda platform=platform: [{"ID": "w", "platforms": [platform]}]
            daemon.info = lambda number=number: {"buildkitVersion": {"version": f"v{number}"}}
            declared = ("--platform", f"linux/{architecture}") if by == "declared" else ()
            more = ("--append",) if number == 2 else ()
            cli.ok(
                "create", "--name", "two", "--use", *more, *declared, f"stand://{folder}/{number}"
            )
        if by == "environment":
            cli.variables["DOCKER_DEFAULT_PLATFORM"] = "linux/arm64"
        ours, theirs = socket.socketpair()
        with theirs:
            asked = () if by == "environment" else ("--platform", "linux/arm64")
            process = start(*asked, stdin=theirs.fileno(), stdout=theirs.fileno())

        with closing(Client(Connection(stream=SocketStream(ours)))) as client:
            assert client.version() == "v2"
        assert process.wait(45) == 0
