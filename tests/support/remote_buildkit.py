"""A real BuildKit that somebody else runs, and ways to it that a test can disturb.

The daemon is a container of the Debian-made image, which listens nowhere. A :class:`Relay` listens
in its place, on a socket file or on TCP, and joins each connection to a
``docker exec -i ... buildctl dial-stdio`` of its own. :func:`terminate_tls` stands before it.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs
from tools.engine import Engine

from support.peer import Script

SECONDS = 120
"""For so long something may take that only a hang would keep from coming."""
_TURNS = 10
"""In so many turns of its loop, asyncio has given an accepted connection to its handler."""


@attrs.frozen(kw_only=True)
class Daemon:
    """A BuildKit in a container."""

    engine: Engine
    name: str

    @property
    def command(self) -> list[str]:
        """What joins its standard streams to the daemon."""
        return [self.engine.cli, "exec", "-i", self.name, "buildctl", "dial-stdio"]

    @property
    def processes(self) -> list[int]:
        """The daemon's processes, by their numbers on this machine."""
        listed = self.engine.docker("top", self.name, "-eo", "pid,args").stdout.splitlines()
        return [int(line.split()[0]) for line in listed[1:]]

    def make_programs(self, folder: Path) -> Path:
        """Fill a folder with the programs that lead into containers; all are really docker.

        What each was called with is in the file ``calls``, a line each.
        """
        folder.mkdir(exist_ok=True)
        variables = self.engine.environment()
        docker = " ".join(
            [f"{name}={variables[name]}" for name in ("DOCKER_HOST", "DOCKER_CONFIG")]
            + [f'exec "{self.engine.cli}"']
        )
        for program, words in {
            "docker": f'{docker} "$@"',
            "podman": f'{docker} "$@"',
            # Its flags stand before the word exec, and docker does not know them.
            "nerdctl": f'while [ "$1" != exec ]; do shift; done; {docker} "$@"',
            "kubectl": f"{docker} exec -i {self.name} buildctl dial-stdio",
            "buildctl": f"{docker} exec -i {self.name} buildctl dial-stdio",
        }.items():
            note = f'echo "{program} $*" >> {folder}/calls'
            (folder / program).write_text(f"#!/bin/sh\n{note}\n{words}\n")
            (folder / program).chmod(0o755)
        return folder


@contextmanager
def run_daemon(engine: Engine, image: str, *flags: str) -> Iterator[Daemon]:
    """Run a BuildKit that listens on its socket when this returns; ``flags`` are docker's."""
    name = f"dockyard-remote-{uuid.uuid4().hex[:12]}"
    engine.docker("run", "--detach", "--init", "--privileged", *flags, "--name", name, image)
    try:
        _await(engine, name)
        yield Daemon(engine=engine, name=name)
    finally:
        engine.docker("rm", "--force", "--volumes", name)


def _await(engine: Engine, name: str) -> None:
    deadline = time.monotonic() + SECONDS
    while engine.docker("exec", name, "buildctl", "debug", "workers", check=False).returncode:
        assert time.monotonic() < deadline, engine.docker("logs", name).stderr[-2000:]
        time.sleep(0.1)  # a poll with a deadline


class Relay:
    """Listens for connections, and joins each to a command's standard streams."""

    def __init__(
        self,
        command: Sequence[str],
        environment: dict[str, str],
        *,
        folder: Path | None = None,
        port: int = 0,
    ) -> None:
        """Start to listen.

        Args:
            command: What to join connections to.
            environment: The command's.
            folder: Where to make the socket file; without it a loopback port is listened on.
            port: The port, where it has to be a certain one.
        """
        self.accepted = 0
        self.passed = 0
        """Bytes that went through, both ways together."""
        self.cut_after: int | None = None
        """Bytes after which all connections are cut, and new ones too."""
        self.cut_at: float | None = None
        """When that was, by the monotonic clock."""
        self.endpoint = ""
        self._command = list(command)
        self._environment = environment
        self._folder = folder
        self._port = port
        self._ready = threading.Event()
        self._end: asyncio.Event | None = None
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._joins: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def begin(self, cut_after: int | None) -> None:
        """Count anew, once nothing of earlier connections is left; cut after so many bytes."""
        deadline = time.monotonic() + SECONDS
        while self._joins:
            assert time.monotonic() < deadline, self._joins
            time.sleep(0.01)  # a poll with a deadline
        self.passed, self.cut_at, self.cut_after = 0, None, cut_after

    def _stop(self) -> None:
        assert self._end is not None
        self._end.set()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        if self._folder is not None:
            path = Path(tempfile.mkdtemp(prefix="r", dir=self._folder)) / "s"
            server = await asyncio.start_unix_server(self._join, path)
            self.endpoint = f"unix://{path}"
        else:
            server = await asyncio.start_server(self._join, "127.0.0.1", self._port)
            self.endpoint = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._end.wait()
        server.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)  # who was just accepted is met, and not left open
        for join in self._joins:
            join.cancel()
        await asyncio.gather(*self._joins, return_exceptions=True)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        assert self._end is not None
        if self.cut_at is not None or self._end.is_set():
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._joins.add(task)
        self._writers.add(writer)
        child, ours = self._start()
        ends = [writer]
        try:
            # A handler that is canceled would be complained of.
            with suppress(asyncio.CancelledError):
                source, sink = await asyncio.open_connection(sock=ours)
                self._writers.add(sink)
                ends.append(sink)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._copy(reader, sink))
                    both.create_task(self._copy(source, writer))
        finally:
            child.kill()
            child.wait()
            for end in ends:
                end.transport.abort()
                self._writers.discard(end)
            self._joins.discard(task)

    def _start(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """Start the command; give it and the other end of its standard streams."""
        ours, theirs = socket.socketpair()
        with theirs:
            child = subprocess.Popen(
                self._command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env=self._environment,
            )
        return child, ours

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(self._counted(data))
                await writer.drain()
                if self.cut_at is not None:
                    self._cut()
        with suppress(OSError):
            writer.write_eof()

    def _counted(self, data: bytes) -> bytes:
        """Count the data; give what still goes through."""
        before = self.passed
        self.passed += len(data)
        if self.cut_after is None or self.passed < self.cut_after:
            return data
        if self.cut_at is None:
            self.cut_at = time.monotonic()
        return data[: max(0, self.cut_after - before)]


def children_of(pid: int) -> set[int]:
    """Give the processes that a process of this machine has started and not yet seen end."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found |= {int(word) for word in (task / "children").read_text().split()}
    return found


def running_with(word: str) -> list[str]:
    """Give the command lines of this machine's processes that have a word in them."""
    lines = []
    for entry in os.listdir("/proc"):  # noqa: PTH208  # entries come and go
        if entry.isdecimal():
            with suppress(OSError):
                line = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                if word in line:
                    lines.append(line)
    return lines


def wait_until_gone(word: str, seconds: float = SECONDS) -> list[str]:
    """Wait until no process has the word in its command line; give those that stay."""
    deadline = time.monotonic() + seconds
    while (left := running_with(word)) and time.monotonic() < deadline:
        time.sleep(0.05)  # a poll with a deadline
    return left


def server_context(certificate: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """Make a server's side of TLS that asks for client certificates when given their CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def terminate_tls(context: ssl.SSLContext, endpoint: str) -> Script:
    """Take TLS off and pass the bytes on to a socket file."""

    def run(connection: socket.socket) -> None:
        with (
            context.wrap_socket(connection, server_side=True) as secured,
            socket.socket(socket.AF_UNIX) as inner,
        ):
            inner.connect(endpoint.removeprefix("unix://"))
            while True:
                both = [secured, inner]
                ready = [secured] if secured.pending() else select.select(both, [], [])[0]
                for source in ready:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    (inner if source is secured else secured).sendall(data)

    return run
