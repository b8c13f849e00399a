"""Fixtures with real Docker Engines.

An engine starts when the first test asks for it, serves the whole test run (also all workers of
pytest-xdist) and ends with it, also when the run is interrupted or killed: see
``tools/supervisor.py``. Tests share it, so a test gives its images names of its own and neither
restarts nor kills the engine; a test that must do so takes ``start_engine``.

Where an engine cannot run the test is skipped and says why, unless ``DOCKYARD_TEST_ENGINES`` is
``required`` (as ``./dev test`` sets it where engines run): then it fails.
``DOCKYARD_TEST_DOCKER_HOST`` names an engine to use in place of a private classic 26.1.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

import pytest
from tools import debian, engine
from tools.cache import locked
from tools.engine import KINDS, Engine, PrivateEngine
from tools.packages import BUSYBOX
from tools.report import DevError

ENGINE_FIXTURES = frozenset(
    {
        "buildkit_image",
        "busybox",
        "busybox_arm64",
        "docker_cli",
        "emulation",
        "engine",
        "engine_20",
        "engine_26",
        "engine_26_containerd",
        "mirrored_engine",
        "reference_buildx",
        "registry",
        "registry_with_login",
        "scratch_context",
        "start_engine",
    }
)
"""The fixtures that need more than Python: their tests carry the mark ``engine``."""

SCRATCH_DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
"""

ScratchContext = Callable[..., Path]
"""``scratch_context("CMD [...]", name=b"content")``: see the fixture."""
StartEngine = Callable[..., PrivateEngine]
"""``start_engine("26.1", {"debug": True})``: see the fixture."""

Made = TypeVar("Made")


def or_skip(make: Callable[[], Made]) -> Made:
    """Return what ``make`` gives; where it cannot, skip the test, or fail if engines must run."""
    try:
        return make()
    except DevError as error:
        if os.environ.get("DOCKYARD_TEST_ENGINES") == "required":
            raise
        pytest.skip(str(error))


class Engines:
    """The engines of one test run, each started when it is first asked for."""

    def __init__(self, folder: Path, shared: Path | None) -> None:
        self._folder = folder
        self._shared = shared
        """A folder that all workers of pytest-xdist see; None without workers."""
        self._running: dict[str, Engine] = {}
        self._failed: dict[str, DevError] = {}

    def get(self, name: str) -> Engine:
        """Return the engine of one kind, or skip the test when there can be none."""
        return or_skip(lambda: self._get(name))

    def close(self) -> None:
        for running in self._running.values():
            if isinstance(running, PrivateEngine):
                running.control.release() if self._shared else running.end()

    def _get(self, name: str) -> Engine:
        if name in self._failed:
            raise self._failed[name]
        try:
            return self._running.setdefault(name, self._running.get(name) or self._make(name))
        except DevError as error:
            self._failed[name] = error
            raise

    def _make(self, name: str) -> Engine:
        given = os.environ.get("DOCKYARD_TEST_DOCKER_HOST")
        if given and name == engine.DEFAULT_KIND:
            cli = engine.cli_path() if debian.why_not() is None else shutil.which("docker")
            if cli is None:
                raise DevError("there is no docker program to use the given engine with")
            return Engine(host=given, cli=cli, config=self._folder / "given")
        if self._shared is None:
            return engine.start(KINDS[name])
        return self._share(name, self._shared / f"engine-{name}")

    def _share(self, name: str, record: Path) -> PrivateEngine:
        """Take the engine that another worker started, or be the one that starts it."""
        with locked(record.with_suffix(".lock")):
            with suppress(OSError):
                return engine.attach(KINDS[name], Path(record.read_text()))
            started = engine.start(KINDS[name])
            record.write_text(str(started.control.folder))
            return started


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """All engines of the run; the fixtures below are one of them each."""
    folder = tmp_path_factory.mktemp("engines")
    worker = "PYTEST_XDIST_WORKER" in os.environ
    shared = tmp_path_factory.getbasetemp().parent if worker else None
    running = Engines(folder, shared)
    yield running
    running.close()


@pytest.fixture(scope="session")
def engine_26(engines: Engines) -> Engine:
    """Docker Engine 26.1 with the classic image store, or the engine that the user named."""
    return engines.get("26.1")


@pytest.fixture(scope="session")
def engine_26_containerd(engines: Engines) -> Engine:
    """Docker Engine 26.1 with containerd's image store."""
    return engines.get("26.1-containerd")


@pytest.fixture(scope="session")
def engine_20(engines: Engines) -> Engine:
    """Docker Engine 20.10, the oldest that is supported."""
    return engines.get("20.10")


@pytest.fixture(scope="session", name="engine", params=list(KINDS))
def each_engine(request: pytest.FixtureRequest, engines: Engines) -> Engine:
    """Each kind of engine in turn."""
    return engines.get(request.param)


@pytest.fixture
def start_engine() -> Iterator[StartEngine]:
    """Start engines for this test alone, which it may restart and kill.

    ``start_engine("26.1", {"debug": True})`` adds settings to the daemon's configuration file.
    """
    with ExitStack() as stack:

        def start(name: str, settings: Mapping[str, object] | None = None) -> PrivateEngine:
            started = or_skip(lambda: engine.start(KINDS[name], settings=settings))
            stack.callback(started.end)
            return started

        yield start


@pytest.fixture(scope="session")
def docker_cli() -> str:
    """The path of the real Docker CLI, 26.1."""
    return or_skip(engine.cli_path)


@pytest.fixture(scope="session")
def reference_buildx() -> str:
    """The path of the reference buildx, 0.13."""
    return or_skip(engine.buildx_path)


@pytest.fixture(scope="session")
def busybox() -> Path:
    """A static busybox: the way to have a shell in an image without a registry."""
    return or_skip(lambda: debian.unpacked([BUSYBOX])[0]) / "bin" / "busybox"


@pytest.fixture
def scratch_context(tmp_path: Path, busybox: Path) -> ScratchContext:
    """Make a build context whose Dockerfile begins with a shell on an empty image.

    ``scratch_context("RUN echo hi > /hi", notes=b"text")`` adds the lines to the Dockerfile and
    the file ``notes`` to the context. Each call makes a new folder.
    """

    def make(*lines: str, **files: bytes) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="context-", dir=tmp_path))
        shutil.copy(busybox, folder / "busybox")
        (folder / "Dockerfile").write_text("\n".join([SCRATCH_DOCKERFILE.rstrip(), *lines, ""]))
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder

    return make
