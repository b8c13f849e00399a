"""Dockyard as a library, on real engines."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from tools.engine import Engine

import dockyard
from dockyard.config import Environment
from dockyard.errors import (
    BuilderNotFoundError,
    BuildError,
    CanceledError,
    ContextError,
    EngineUnreachableError,
    InputError,
)
from dockyard.events import StatusUpdate
from support.engines import ScratchContext

MANY = 16
SECONDS = 30.0
"""Within what a build ends that would go on for a thousand; mostly that is at once."""

Environ = Callable[[str], Environment]


@pytest.fixture
def environ(tmp_path: Path) -> Environ:
    """Give the surroundings of a bare login with one engine."""

    def make(host: str) -> Environment:
        home = str(tmp_path / "home")
        return Environment.from_process(variables={"HOME": home, "DOCKER_HOST": host})

    return make


@pytest.fixture
def builder(engine: Engine, environ: Environ) -> dockyard.Builder:
    return dockyard.Builder(environment=environ(engine.host))


@pytest.fixture
def tag() -> str:
    return f"dockyard-test-{uuid4().hex[:8]}:1"


def test_a_build_gives_digest_image_id_and_metadata(
    builder: dockyard.Builder, engine: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    result = builder.build(scratch_context(), tags=[tag])

    assert result.image_id == engine.docker("inspect", "--format", "{{.Id}}", tag).stdout.strip()
    assert result.digest.startswith("sha256:")
    assert result.metadata["containerimage.digest"] == result.digest
    assert result.ref.startswith("default/default/")
    assert result.metadata["buildx.build.ref"] == result.ref


def test_the_function_builds_with_what_the_process_has(
    engine_26: Engine,
    scratch_context: ScratchContext,
    tag: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine_26.host)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(scratch_context("LABEL from=api"))

    result = dockyard.build(tags=[tag])

    assert engine_26.docker("image", "ls", "-q", "--no-trunc", tag).stdout.strip() == (
        result.image_id
    )


def test_events_tell_what_happens(
    builder: dockyard.Builder, scratch_context: ScratchContext
) -> None:
    context = scratch_context('RUN ["/bin/busybox", "echo", "some words"]')
    updates: list[StatusUpdate] = []
    threads: set[threading.Thread] = set()

    def on_progress(update: StatusUpdate) -> None:
        updates.append(update)
        threads.add(threading.current_thread())

    builder.build(context, no_cache=True, on_progress=on_progress)

    names = {vertex.name for update in updates for vertex in update.vertexes}
    assert "[internal] load build definition from Dockerfile" in names
    assert any(log.data == b"some words\n" for update in updates for log in update.logs)
    assert threads == {threading.current_thread()}


def test_a_failed_step_is_an_error_with_everything_that_is_known(
    builder: dockyard.Builder, engine: Engine, scratch_context: ScratchContext
) -> None:
    context = scratch_context('RUN ["/bin/busybox", "sh", "-c", "exit 7"]')

    with pytest.raises(BuildError, match="exit code: 7") as caught:
        builder.build(context)

    assert caught.value.exit_code == 1
    if engine.version.startswith("20.10"):  # it tells only the words
        return
    assert caught.value.step_exit_code == 7
    assert caught.value.vertex is not None
    assert caught.value.vertex.startswith("sha256:")
    (excerpt,) = caught.value.excerpts
    assert ">>> RUN" in excerpt


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"build_context": "nowhere"}, ContextError),
        ({"dockerfile": "nowhere"}, ContextError),
        ({"tags": ["A"]}, InputError),
        ({"outputs": ["type="]}, InputError),
        ({"build_context": "-"}, InputError),
    ],
)
def test_wrong_input_is_an_error_of_its_own_kind(
    engine_26: Engine, environ: Environ, tmp_path: Path, options: dict[str, str], kind: type
) -> None:
    builder = dockyard.Builder(environment=environ(engine_26.host))
    arguments = {"build_context": tmp_path, **options}

    with pytest.raises(kind, match="."):
        builder.build(**arguments)  # type: ignore[arg-type]  # that is what is tested


def test_builders_and_engines_that_are_not_there(environ: Environ, tmp_path: Path) -> None:
    nowhere = environ("unix:///nowhere.sock")

    with pytest.raises(BuilderNotFoundError, match='no builder "none" found'):
        dockyard.Builder("none", environment=nowhere).build(tmp_path)
    with pytest.raises(EngineUnreachableError, match=r"unix:///nowhere\.sock"):
        dockyard.Builder(environment=nowhere).build(tmp_path)


def test_streams_take_the_place_of_files(
    builder: dockyard.Builder, scratch_context: ScratchContext
) -> None:
    sink = io.BytesIO()
    dockerfile = io.BytesIO(b"FROM scratch\nCOPY notes /notes\n")

    builder.build(
        scratch_context(notes=b"text"),
        dockerfile="-",
        stdin=dockerfile,
        outputs=["type=tar,dest=-"],
        stdout=sink,
    )

    sink.seek(0)
    with tarfile.open(fileobj=sink) as packed:
        assert packed.getnames() == ["notes"]


# --- ending early ------------------------------------------------------------------------------


def endless(scratch_context: ScratchContext) -> tuple[Path, str]:
    """Make a build that says something and then does not end."""
    mark = uuid4().hex
    line = f'RUN ["/bin/busybox", "sh", "-c", "echo begun {mark}; exec /bin/busybox sleep 1000"]'
    return scratch_context(line), mark


def wait_until_begun(build: dockyard.Build, mark: str) -> None:
    words = f"begun {mark}\n".encode()
    for update in build:
        if any(words in log.data for log in update.logs):
            return
    raise AssertionError("it ended before it began")


def assert_gone(builder: dockyard.Builder, context: Path, mark: str) -> None:
    """The same build runs its step anew: nobody runs it any more."""
    with builder.start(context) as again:
        wait_until_begun(again, mark)


def test_another_thread_cancels(builder: dockyard.Builder, scratch_context: ScratchContext) -> None:
    context, mark = endless(scratch_context)
    cancel = dockyard.Cancellation()
    begun = threading.Event()

    def on_progress(update: StatusUpdate) -> None:
        if any(mark.encode() in log.data for log in update.logs):
            begun.set()

    def cancel_once_begun() -> None:
        begun.wait()
        cancel.cancel()

    canceler = threading.Thread(target=cancel_once_begun)
    canceler.start()
    try:
        with pytest.raises(CanceledError, match="canceled"):
            builder.build(context, cancel=cancel, on_progress=on_progress)
    finally:
        begun.set()
        canceler.join()

    assert_gone(builder, context, mark)


def test_leaving_the_block_early_cancels(
    builder: dockyard.Builder, scratch_context: ScratchContext
) -> None:
    context, mark = endless(scratch_context)

    with builder.start(context) as build:
        wait_until_begun(build, mark)
        left = time.monotonic()

    assert time.monotonic() - left < SECONDS
    with pytest.raises(CanceledError, match="canceled"):
        build.result()
    assert_gone(builder, context, mark)


def test_an_error_of_the_callers_own_ends_the_build(
    builder: dockyard.Builder, scratch_context: ScratchContext
) -> None:
    context, mark = endless(scratch_context)

    def on_progress(update: StatusUpdate) -> None:
        if any(mark.encode() in log.data for log in update.logs):
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        builder.build(context, on_progress=on_progress)
    assert_gone(builder, context, mark)


def test_what_is_canceled_before_it_begins_does_not_begin(
    builder: dockyard.Builder, scratch_context: ScratchContext
) -> None:
    cancel = dockyard.Cancellation()
    cancel.cancel()

    with pytest.raises(CanceledError, match="canceled"):
        builder.build(scratch_context(), cancel=cancel)


# --- several at once, and no process -----------------------------------------------------------


@pytest.mark.parametrize("shared", [True, False], ids=["one builder", "a builder each"])
def test_many_builds_at_once(
    engine: Engine,
    environ: Environ,
    scratch_context: ScratchContext,
    shared: bool,
    tag: str,
) -> None:
    environment = environ(engine.host)
    one = dockyard.Builder(environment=environment)
    contexts = [scratch_context(f"LABEL number={number}") for number in range(MANY)]

    def build(number: int) -> str:
        builder = one if shared else dockyard.Builder(environment=environment)
        return builder.build(contexts[number], tags=[f"{tag}-{number}"]).image_id

    with ThreadPoolExecutor(MANY) as pool:
        ids = list(pool.map(build, range(MANY)))

    assert len(set(ids)) == MANY
    for number in (0, MANY - 1):
        found = engine.docker(
            "inspect", "--format", "{{.Id}} {{.Config.Labels.number}}", f"{tag}-{number}"
        )
        assert found.stdout.split() == [ids[number], str(number)]


def test_a_build_leaves_nothing_behind(
    engine_26: Engine, environ: Environ, scratch_context: ScratchContext
) -> None:
    builder = dockyard.Builder(environment=environ(engine_26.host))
    context = scratch_context()
    failing = scratch_context('RUN ["/bin/busybox", "false"]')

    def work() -> None:
        builder.build(context)
        with suppress(BuildError):
            builder.build(failing)

    work()
    before = held()
    for _ in range(3):
        work()

    deadline = time.monotonic() + 60
    while (left := held() - before) and time.monotonic() < deadline:
        time.sleep(0.02)  # a poll with a deadline
    assert not left


def held() -> Counter[str]:
    """Count what this process has open, and the threads of builds, each by its name."""
    names = (thread.name for thread in threading.enumerate())
    found = Counter(name for name in names if name.startswith("dockyard"))
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208  # entries come and go
        with suppress(OSError):
            found[os.readlink(f"/proc/self/fd/{entry}")] += 1  # noqa: PTH115
    return found


PROGRAM = """\
import contextlib, pathlib, sys

started, children = [], []
EVENTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system")
sys.addaudithook(lambda event, _: started.append(event) if event in EVENTS else None)

import dockyard

context, tag = sys.argv[1:]
result = dockyard.build(context, tags=[tag])
dockyard.build(context, outputs=["type=local,dest=out"])
try:
    dockyard.build(context + "/nowhere")
except dockyard.DockyardError:
    pass
assert not started, started
for file in pathlib.Path("/proc/self/task").glob("*/children"):
    with contextlib.suppress(OSError):  # a thread that is just ending
        children += file.read_text().split()
assert not children, children
print(result.image_id)
"""


def test_no_process_is_started(
    engine_26: Engine, scratch_context: ScratchContext, tag: str, tmp_path: Path
) -> None:
    variables = {"HOME": str(tmp_path), "DOCKER_HOST": engine_26.host, "PYTHONWARNINGS": "error"}

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(scratch_context()), tag],
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = engine_26.docker("inspect", "--format", "{{.Id}}", tag)
    assert done.stdout == found.stdout
