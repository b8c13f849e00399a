"""Fixtures of the remote driver's tests: a daemon of somebody else's, certificates, a display."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs
import pytest
from tools.engine import Engine

from dockyard.driver import Node
from dockyard.engine import kept
from dockyard.events import StatusUpdate
from dockyard_remote import reach
from support.buildkit_image import BuildkitImage
from support.cli import Cli
from support.peer import Peer, Script
from support.remote_buildkit import Daemon, Relay, children_of, run_daemon

MakeNode = Callable[..., Node]
StartRelay = Callable[..., Relay]

SETTLING_SECONDS = 30
"""For so long what was closed may take to be gone, on a busy machine."""
PATIENCE = 60.0
"""Seconds that a real daemon gets to answer, however busy this machine is."""


@pytest.fixture
def make_node() -> MakeNode:
    """Make a node at an endpoint, with driver options as keyword arguments."""

    def make(endpoint: str, **options: object) -> Node:
        named = {name.replace("_", "-"): value for name, value in options.items()}
        return Node(name="n", driver="remote", endpoint=endpoint, options=named)

    return make


@pytest.fixture(scope="session")
def daemon(engine_26: Engine, buildkit_image: BuildkitImage) -> Iterator[Daemon]:
    """A BuildKit that every test of this folder uses and none stops."""
    with run_daemon(engine_26, buildkit_image(engine_26)) as running:
        yield running


@pytest.fixture
def relay(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartRelay]:
    """Listen for the daemon; ``relay(unix=True)`` on a socket file.

    In this process, nobody gives up the daemon because the relay's program is slow to start.
    """
    monkeypatch.setattr(reach.Target, "patience", PATIENCE)
    with ExitStack() as stack:

        def start(*, unix: bool = False, **settings: object) -> Relay:
            folder = tmp_path if unix else None
            made = Relay(
                daemon.command,
                daemon.engine.environment(),
                folder=folder,
                **settings,  # type: ignore[arg-type]  # what the caller wants
            )
            return stack.enter_context(made)

        yield start


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listen to a daemon until it speaks, and keep what was opened, for as long as it takes."""
    monkeypatch.setattr(reach, "_SPEAKS_FIRST", PATIENCE)
    monkeypatch.setattr(kept, "_FRESH_SECONDS", PATIENCE)


@pytest.fixture
def cli(tmp_path: Path, daemon: Daemon) -> Cli:
    """A command line whose ``docker``, ``podman`` and so on all lead to the daemon."""
    home = tmp_path / "home"
    home.mkdir()
    programs = daemon.make_programs(tmp_path / "programs")
    return Cli(
        home=home,
        docker_host=daemon.engine.host,
        variables={"PATH": f"{programs}:{os.environ['PATH']}"},
    )


@attrs.define
class Line:
    """A step, and what was shown below it."""

    name: str
    words: list[str] = attrs.field(factory=list)
    failed: bool = False

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        raise NotImplementedError(text)
        yield

    def report(self, text: str, current: int = 0, total: int = 0, *, done: bool = False) -> None:
        raise NotImplementedError(text, current, total, done)

    def log(self, data: bytes, *, stream: int = 2) -> None:
        assert stream == 2
        self.words.append(data.decode().removesuffix("\n"))


class Memory:
    """A progress that remembers its steps."""

    def __init__(self) -> None:
        self.steps: list[Line] = []
        self.heard = threading.Event()
        """Set once something was shown."""

    @contextmanager
    def step(self, name: str) -> Iterator[Line]:
        line = Line(name)
        self.steps.append(line)
        self.heard.set()
        try:
            yield line
        except BaseException:
            line.failed = True
            raise

    def update(self, update: StatusUpdate, /) -> None:
        raise NotImplementedError(update)

    def warn(self, text: str) -> None:
        raise NotImplementedError(text)


@pytest.fixture
def memory() -> Memory:
    """A progress that remembers its steps."""
    return Memory()


@contextmanager
def nothing_left() -> Iterator[None]:
    """Check that a block leaves no connection, thread or child process behind in this process."""
    before = _held()
    yield
    deadline = time.monotonic() + SETTLING_SECONDS
    while (left := _held() - before) and time.monotonic() < deadline:
        time.sleep(0.02)  # a poll with a deadline
    assert not left


@contextmanager
def peer(script: Script, path: Path | None = None) -> Iterator[str]:
    """Serve a script on a loopback port, or on a socket file; give the endpoint."""
    if path is None:
        listener = socket.create_server(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        endpoint = f"unix://{path}"
    serving = Peer(listener, script)
    try:
        yield endpoint
    finally:
        serving.close()


def _held() -> set[str]:
    """Name what this process holds: sockets, pipes, our threads, children."""
    held = {f"child {pid}" for pid in children_of(os.getpid())}
    held |= {f"thread {thread.ident}" for thread in threading.enumerate()}
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208  # entries come and go
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")  # noqa: PTH115
        except OSError:
            continue
        if target.startswith(("socket:", "pipe:")):
            held.add(target)
    return held
