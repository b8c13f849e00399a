"""Fixtures of the docker driver's tests: nodes on real engines, and a progress that remembers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import pytest

from dockyard.buildkit.client import Client
from dockyard.cancellation import Cancellation
from dockyard.driver import Connection, Node
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.events import StatusUpdate
from dockyard_docker import plugin
from support.engines import ENGINE_FIXTURES
from support.peer import peers

__all__ = ["peers"]

MakeNode = Callable[[str], Node]

SETTLING_SECONDS = 30
"""For so long what was closed may take to be gone, on a busy machine."""


@pytest.fixture
def make_node() -> MakeNode:
    """Make a node on the engine at an address."""

    def make(host: str) -> Node:
        engine = EngineEndpoint(host=host)
        return Node(name="n", driver="docker", endpoint="default", engine=engine)

    return make


@attrs.define
class Line:
    """A step, and what was shown below it."""

    name: str
    reports: list[tuple[str, int, int, bool]] = attrs.field(factory=list)
    failed: bool = False

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        self.reports.append((text, 0, 0, True))
        yield

    def report(self, text: str, current: int = 0, total: int = 0, *, done: bool = False) -> None:
        self.reports.append((text, current, total, done))

    def log(self, data: bytes, *, stream: int = 2) -> None:
        raise NotImplementedError(data, stream)


class Memory:
    """A progress that remembers its steps."""

    def __init__(self) -> None:
        self.steps: list[Line] = []

    @contextmanager
    def step(self, name: str) -> Iterator[Line]:
        line = Line(name)
        self.steps.append(line)
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
def client_of(node: Node) -> Iterator[Client]:
    """Connect to the node's BuildKit, as the core does."""
    connection: Connection = plugin.dockyard_connect(node, Cancellation())
    client = Client(connection)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(autouse=True)
def nothing_stays_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every connection has to be closed, the kept ones together with their nodes."""
    for name in {*ENGINE_FIXTURES, "classic"}.intersection(request.fixturenames):
        request.getfixturevalue(name)  # what an engine's supervision needs may stay open
    before = _open_sockets()
    yield
    deadline = time.monotonic() + SETTLING_SECONDS
    while (left := _open_sockets() - before) and time.monotonic() < deadline:
        time.sleep(0.02)  # a poll with a deadline
    assert not left


def _open_sockets() -> set[str]:
    """Name this process's sockets; each has a number that no other gets."""
    found = set()
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208  # entries come and go
        try:
            target = os.readlink(f"/proc/self/fd/{entry}")  # noqa: PTH115
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found
