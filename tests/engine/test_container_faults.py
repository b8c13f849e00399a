"""What goes wrong with a builder in a container: a clear error in seconds, and nothing left.

Each fault is recorded with the seconds until it was reported and the words; the table is printed
at the end of the module.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs
import pytest
from tools.engine import Engine, PrivateEngine

from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import request
from support.cli import Cli, end, wait_for
from support.engine_proxy import EngineProxy, Request
from support.engines import ScratchContext, StartEngine
from support.faults import SECONDS, Bench, Report, container, report, volume
from support.mute import import_mute
from support.peer import Peers

CliFor = Callable[[str], Cli]
ImageOf = Callable[[Engine], str]

__all__ = ["report"]

MIB = 1 << 20
POINTS = 20
"""At how many moments of its work the client is killed."""
SILENCE = 60.0
"""Within what a daemon that says nothing any more is given up."""
SLEEP = 'RUN ["/bin/busybox", "sh", "-c", "echo begun; exec /bin/busybox sleep 1000"]'
FILL = 'RUN ["/bin/busybox", "dd", "if=/dev/urandom", "of=/big", "bs=1M", "count={}"]'


@pytest.fixture
def bench(
    engine_26: Engine, cli_for: CliFor, buildkit_image: ImageOf, report: Report
) -> Iterator[Bench]:
    made = Bench(
        cli=cli_for(engine_26.host),
        engine=engine_26,
        image=buildkit_image(engine_26),
        report=report,
    )
    yield made
    made.clear()


@pytest.fixture
def own_bench(
    start_engine: StartEngine, cli_for: CliFor, buildkit_image: ImageOf, report: Report
) -> tuple[Bench, PrivateEngine]:
    """Give a bench on an engine that the test may restart and kill."""
    engine = start_engine("26.1")
    made = Bench(
        cli=cli_for(engine.host), engine=engine, image=buildkit_image(engine), report=report
    )
    return made, engine


def import_image(
    bench: Bench, folder: Path, files: dict[str, Path], *flags: str, config: str
) -> str:
    """Make an image of a few files."""
    archive = folder / "rootfs.tar"
    with tarfile.open(archive, "w") as tar:
        for name, path in files.items():
            tar.add(path, name)
    name = bench.new_name()
    bench.engine.docker("import", *flags, "--change", config, str(archive), name)
    return name


def end_container(bench: Bench, name: str, how: str) -> None:
    """End a builder's container by force, in one of several ways."""
    if how == "crashed":
        os.kill(bench.pid(name), signal.SIGKILL)
    elif how == "killed":
        bench.engine.docker("kill", container(name))
    else:
        bench.engine.docker("rm", "--force", container(name))


def directory_of_volume(bench: Bench, name: str) -> Path:
    """Give the directory of a builder's volume, which must be on this machine."""
    if not isinstance(bench.engine, PrivateEngine):
        pytest.skip("the given engine may keep its volumes anywhere")
    return bench.engine.data / "volumes" / volume(name)


# --- the container is killed -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "crashed", "removed"])
def test_a_container_that_ends_during_boot(
    bench: Bench, how: str, busybox: Path, tmp_path: Path
) -> None:
    image = import_mute(bench.engine, bench.new_name(), busybox, tmp_path)
    name = bench.create("--driver-opt", "restart-policy=no", image=image)
    process = bench.cli.start("build", "--builder", name, "-")
    bench.await_container(name)

    cause = partial(end_container, bench, name, how)
    error = bench.breaks(f"container {how} during boot", process, cause)

    assert error.startswith("failed to build: ")
    assert container(name) in error
    assert how == "removed" or "137" in error


@pytest.mark.parametrize("how", ["killed", "crashed", "removed"])
def test_a_container_that_ends_during_a_build(
    bench: Bench, scratch_context: ScratchContext, how: str
) -> None:
    name = bench.create()
    process = bench.cli.start("build", "--builder", name, scratch_context(SLEEP))
    wait_for(process, b" begun\n")

    cause = partial(end_container, bench, name, how)
    error = bench.breaks(f"container {how} during a build", process, cause)

    assert error.startswith("failed to build: ")
    assert container(name) in error
    if how == "killed":
        assert "137" in error
    # The builder is not lost: the next build boots it again.
    bench.cli.ok("build", "--builder", name, scratch_context())


def test_a_paused_container_goes_on_for_a_build(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    name = bench.create()
    bench.boot(name)
    bench.engine.docker("pause", container(name))

    bench.cli.ok("build", "--builder", name, scratch_context())
    bench.engine.docker("pause", container(name))
    bench.cli.ok("rm", name)

    assert bench.left_behind(name) == []


def test_a_container_paused_during_a_build_is_noticed(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    name = bench.create()
    process = bench.cli.start("build", "--builder", name, scratch_context(SLEEP))
    wait_for(process, b" begun\n")

    cause = partial(bench.engine.docker, "pause", container(name))
    error = bench.breaks("container paused during a build", process, cause, SILENCE)

    assert error.startswith("failed to build: ")
    assert container(name) in error
    assert "paused" in error


def test_a_container_killed_during_a_load(
    bench: Bench, scratch_context: ScratchContext, peers: Peers
) -> None:
    proxy = EngineProxy(bench.engine.host)
    loading, killed = threading.Event(), threading.Event()

    def hold(asked: Request) -> None:
        """Let nobody load all of it before the container is killed."""
        if asked.is_load and asked.sent > MIB:
            loading.set()
            killed.wait(60)

    def kill() -> None:
        end_container(bench, name, "crashed")  # the engine's own kill waits for what is held
        killed.set()

    proxy.meanwhile = hold
    cli = attrs.evolve(bench.cli, docker_host=peers.unix(proxy.serve).host)
    name = attrs.evolve(bench, cli=cli).create("--driver-opt", "restart-policy=no")
    tag = f"{name}:loaded"
    context = scratch_context(FILL.format(30))
    process = cli.start("build", "--builder", name, "--load", "-t", tag, context)
    try:
        assert loading.wait(200)
        error = bench.breaks("container killed during a load", process, kill)
    finally:
        killed.set()
        end(process)

    assert error.startswith("failed to build: ")
    assert container(name) in error
    assert bench.engine.docker("image", "inspect", tag, check=False).returncode != 0


# --- the engine goes ---------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_an_engine_that_goes_during_a_build(
    own_bench: tuple[Bench, PrivateEngine], scratch_context: ScratchContext, how: str
) -> None:
    bench, engine = own_bench
    name = bench.create()
    process = bench.cli.start("build", "--builder", name, scratch_context(SLEEP))
    wait_for(process, b" begun\n")

    # A restart takes its time to stop the container; what counts is that the build ends with it.
    cause = engine.restart if how == "restarted" else engine.kill
    within = SECONDS + (30 if how == "restarted" else 0)
    error = bench.breaks(f"engine {how} during a build", process, cause, within)
    if how == "killed":
        engine.start()
    again = bench.cli.run("build", "--builder", name, scratch_context())
    removed = bench.cli.run("rm", name)

    assert error.startswith("failed to build: ")
    assert again.code == 0, again.err
    assert removed.code == 0, removed.err
    assert bench.left_behind(name) == []


def test_an_engine_killed_during_a_boot_and_dead_afterwards(
    own_bench: tuple[Bench, PrivateEngine],
) -> None:
    bench, engine = own_bench
    name = bench.create()
    process = bench.cli.start("build", "--builder", name, "-")
    bench.await_container(name)

    bench.breaks("engine killed during boot", process, engine.kill)
    error = bench.fails("build while the engine is dead", "build", "--builder", name, "-")

    assert "docker" in error
    assert str(engine.socket) in error


# --- the volume ----------------------------------------------------------------------------


def test_a_volume_removed_under_a_stopped_builder_is_made_again(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    name = bench.create()
    bench.boot(name)
    bench.engine.docker("rm", "--force", container(name))
    bench.engine.docker("volume", "rm", volume(name))

    bench.cli.ok("build", "--builder", name, scratch_context())
    bench.cli.ok("rm", name)

    assert bench.left_behind(name) == []


def test_a_volume_whose_directory_is_gone(bench: Bench, scratch_context: ScratchContext) -> None:
    name = bench.create()
    bench.boot(name)
    bench.cli.ok("stop", name)
    shutil.rmtree(directory_of_volume(bench, name))

    context = str(scratch_context())
    error = bench.fails("volume's directory deleted", "build", "--builder", name, context)
    assert volume(name) in error
    bench.cli.ok("rm", name)

    assert bench.left_behind(name) == []


def test_a_volume_emptied_under_a_running_build(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    name = bench.create()
    bench.boot(name)
    shutil.rmtree(directory_of_volume(bench, name) / "_data", ignore_errors=True)

    error = bench.fails(
        "volume deleted under a running builder",
        *("build", "--builder", name, str(scratch_context("RUN echo hi"))),
        within=30,
    )

    assert error.startswith("failed to build: ")
    bench.cli.ok("rm", name)
    assert bench.left_behind(name) == []


# --- images that are none ------------------------------------------------------------------


def test_an_image_that_is_no_buildkit(bench: Bench, busybox: Path, tmp_path: Path) -> None:
    config = 'ENTRYPOINT ["/bin/busybox", "sh", "-c", "sleep 1000"]'
    image = import_image(bench, tmp_path, {"bin/busybox": busybox}, config=config)
    name = bench.create(image=image)

    error = bench.fails("an image that is no BuildKit", "build", "--builder", name, "-")

    assert "BuildKit" in error
    assert image in error


def test_an_image_whose_program_ends_at_once(bench: Bench, busybox: Path, tmp_path: Path) -> None:
    config = 'ENTRYPOINT ["/bin/busybox", "sh", "-c", "echo no luck today >&2; exit 42"]'
    image = import_image(bench, tmp_path, {"bin/busybox": busybox}, config=config)
    name = bench.create(image=image)

    error = bench.fails("an image that crashes", "build", "--builder", name, "-")

    assert "42" in error
    assert "no luck today" in error
    assert bench.left_behind(name) == []


def test_an_image_without_its_program(bench: Bench, busybox: Path, tmp_path: Path) -> None:
    config = 'ENTRYPOINT ["buildkitd"]'
    image = import_image(bench, tmp_path, {"bin/busybox": busybox}, config=config)
    name = bench.create(image=image)

    error = bench.fails("an image without buildkitd", "build", "--builder", name, "-")

    assert "buildkitd" in error


def test_an_image_that_cannot_be_pulled(bench: Bench) -> None:
    image = "127.0.0.1:1/no/such:image"
    name = bench.create(image=image)

    error = bench.fails("an image that cannot be pulled", "build", "--builder", name, "-")

    assert "127.0.0.1:1" in error


def test_an_image_with_another_architecture(bench: Bench, tmp_path: Path) -> None:
    program = tmp_path / "buildkitd"
    # The header of an ELF file for a machine (here: IBM S/390) that is not this one.
    numbers = (2, 22, 1, 0, 64, 0, 0, 64, 56, 0, 0, 0, 0)
    header = struct.pack(">16sHHIQQQIHHHHHH", b"\x7fELF\2\2\1", *numbers)
    program.write_bytes(header)
    program.chmod(0o755)
    config = 'ENTRYPOINT ["/bin/buildkitd"]'
    flags = ("--platform", "linux/s390x")
    image = import_image(bench, tmp_path, {"bin/buildkitd": program}, *flags, config=config)
    name = bench.create(image=image)

    error = bench.fails("an image of another architecture", "build", "--builder", name, "-")

    assert "s390x" in error


def test_a_network_that_does_not_exist(bench: Bench) -> None:
    name = bench.create("--driver-opt", "network=no-such-network")

    error = bench.fails("a network that does not exist", "build", "--builder", name, "-")

    assert "network no-such-network not found" in error
    bench.cli.ok("rm", name)
    assert bench.left_behind(name) == []


# --- two at once ---------------------------------------------------------------------------


def test_two_processes_boot_one_builder_at_once(
    bench: Bench, scratch_context: ScratchContext
) -> None:
    name = bench.create()
    processes = [
        bench.cli.start("build", "--builder", name, scratch_context(f"RUN echo {number}"))
        for number in range(2)
    ]
    ends = [(process.communicate(timeout=90)[1], process.returncode) for process in processes]

    assert [code for _, code in ends] == [0, 0], ends
    assert bench.left_behind(name) == [f"container {container(name)}", f"volume {volume(name)}"]


# --- the client is killed ------------------------------------------------------------------


def live(bench: Bench, name: str, context: Path, seconds: float) -> str:
    """Make, boot and use a builder, and kill who does it when the time is over.

    Gives the last line that was written until then; empty when there was time enough.
    """
    deadline = time.monotonic() + seconds
    for arguments in (
        ["create", *bench.creation(name)],
        ["build", "--builder", name, "--load", "-t", f"{name}:loaded", context],
    ):
        process = bench.cli.start(*arguments)
        try:
            process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            lines = process.communicate()[1].decode(errors="replace").split("\n")
            return next((line for line in reversed(lines) if line), str(arguments[0]))
        finally:
            end(process)
        assert process.returncode == 0, arguments
    return ""


def await_engine(proxy: EngineProxy, endpoint: EngineEndpoint) -> None:
    """Wait until the engine has done, or given up, what it was asked by a client that is gone."""
    request(endpoint, "GET", "/_ping")  # it is passed on after all that the client asked
    deadline = time.monotonic() + 60
    while any("/exec/" not in each.path for each in tuple(proxy.under_way)):
        assert time.monotonic() < deadline, proxy.under_way
        time.sleep(0.01)


@pytest.mark.timeout(900)
def test_a_client_killed_at_any_point_leaves_nothing_that_rm_does_not_remove(
    bench: Bench, scratch_context: ScratchContext, peers: Peers
) -> None:
    proxy = EngineProxy(bench.engine.host)
    endpoint = peers.unix(proxy.serve)
    bench = attrs.evolve(bench, cli=attrs.evolve(bench.cli, docker_host=endpoint.host))
    context = scratch_context(FILL.format(20))
    began = time.monotonic()
    assert not live(bench, f"{bench.prefix}whole", context, 100)
    whole = time.monotonic() - began
    bench.cli.ok("rm", f"{bench.prefix}whole")

    left: dict[str, list[str]] = {}
    moments: set[str] = set()
    for point in range(POINTS):
        seconds = whole * (point + 0.5) / POINTS
        name = f"{bench.prefix}killed{point}x"  # no name is the beginning of another
        moment = live(bench, name, context, seconds)
        await_engine(proxy, endpoint)
        began = time.monotonic()
        done = bench.cli.run("rm", name)
        if done.code:  # it did not come as far as a record
            assert f'no builder "{name}" found' in done.err
        taken = time.monotonic() - began
        bench.report.add(f"client killed after {seconds:.2f} s; rm", taken, moment or "(done)")
        assert taken < 2 * SECONDS
        if remains := bench.left_behind(name):
            left[f"{seconds:.2f} s: {moment}"] = remains
        if bench.engine.docker("image", "inspect", f"{name}:loaded", check=False).returncode == 0:
            bench.engine.docker("run", "--rm", f"{name}:loaded", "/bin/busybox", "true")
        moments.add(moment)

    assert left == {}
    assert len(moments) > POINTS // 3  # they were different ones
    assert bench.left_behind(bench.prefix) == []


# --- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../x", "a/b", "/etc/passwd", "-x", "0x", "a b", "a\nb", "kä", ".", "a" * 5000],
    ids=["up", "slash", "path", "dash", "digit", "space", "newline", "letter", "dot", "long"],
)
def test_a_builder_s_name_that_is_hostile(bench: Bench, name: str) -> None:
    flags = [f"--name={name}", *bench.creation("x")[2:]]

    bench.fails(f"builder name {name[:12]!r}", "create", *flags)

    assert name not in bench.cli.ok("ls", "--format", "{{.Name}}").out.splitlines()


@pytest.mark.parametrize("length", [100, 200, 228, 240, 256])
def test_a_long_name_works_or_is_refused_before_anything_exists(bench: Bench, length: int) -> None:
    name = bench.prefix.ljust(length, "x")
    began = time.monotonic()
    done = bench.cli.run("create", *bench.creation(name))
    if done.code == 0:  # then it has to be good for all that follows
        bench.boot(name)
        assert bench.state(name) == "running"
        bench.cli.ok("rm", name)
    else:
        error = bench.record(f"builder name of {length} letters", done, time.monotonic() - began)
        assert "too long" in error

    assert length > 100 or done.code == 0
    assert bench.left_behind(name) == []


def test_a_builder_s_name_that_is_taken(bench: Bench) -> None:
    name = bench.create()

    error = bench.fails("builder name taken", "create", *bench.creation(name))

    assert f'existing instance for "{name}" but no append mode' in error


def test_a_container_s_name_that_is_taken_by_something_else(
    bench: Bench, busybox: Path, tmp_path: Path
) -> None:
    config = 'ENTRYPOINT ["/bin/busybox", "sh", "-c", "sleep 1000"]'
    image = import_image(bench, tmp_path, {"bin/busybox": busybox}, config=config)
    name = bench.create()
    bench.engine.docker("run", "--detach", "--name", container(name), image)

    error = bench.fails("container name taken", "build", "--builder", name, "-")

    assert "BuildKit" in error
    assert container(name) in error


# --- options -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("memory=abc", "invalid size: 'abc'"),
        ("memory=-1", "invalid size: '-1'"),
        ("memory=1x", "invalid suffix: 'x'"),
        ("memory=1e400g", ""),
        ("memory=99999999p", "invalid size"),
        ("memory=1k", "minimum memory limit"),
        ("memory-swap=-2", "invalid size: '-2'"),
        ("memory-swap=lots", "invalid size: 'lots'"),
        ("memory-swap=1g", "without memory"),
        ("memory=1g,memory-swap=512m", "smaller than memory"),
        ("cpu-quota=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("cpu-quota=1.5", 'strconv.ParseInt: parsing "1.5": invalid syntax'),
        ("cpu-quota=99999999999999999999", "value out of range"),
        ("cpu-quota=10", "cannot be less than 1ms"),
        ("cpu-period=1s", 'strconv.ParseInt: parsing "1s": invalid syntax'),
        ("cpu-period=1", "cannot be less than 1ms"),
        ("cpu-period=-1000", "cannot be less than 1ms"),
        ("cpu-shares=many", 'strconv.ParseInt: parsing "many": invalid syntax'),
        ("cpu-shares=-1", "must be a positive integer"),
        ("cpuset-cpus=a-b", "for cpuset cpus"),
        ("cpuset-mems=one", "for cpuset mems"),
        ("restart-policy=:3", "no policy provided before colon"),
        ("restart-policy=on-failure:x", "maximum retry count must be an integer"),
        ("restart-policy=on-failure:-1", "cannot be negative"),
        ("restart-policy=always:3", "can only be used with 'on-failure'"),
        ("restart-policy=sometimes", "sometimes"),
        ("default-load=maybe", 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("provenance-add-gha=2", 'strconv.ParseBool: parsing "2": invalid syntax'),
        ("allow-untrusted-image=yes", 'strconv.ParseBool: parsing "yes": invalid syntax'),
        ("env.=x", 'invalid env option "env.", expecting env.FOO=bar'),
        ("image=UPPER/../case", "invalid image name"),
        ("bogus=1", "bogus"),
        ("memory", 'invalid value "memory", expecting k=v'),
        ("=1", ""),
    ],
)
def test_an_option_that_is_wrong_is_refused_before_anything_exists(
    bench: Bench, option: str, words: str
) -> None:
    name = bench.new_name()

    error = bench.fails(f"option {option}", "create", *bench.creation(name), "--driver-opt", option)

    assert words in error
    assert name not in bench.cli.ok("ls", "--format", "{{.Name}}").out
    assert bench.left_behind(name) == []


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("cpuset-cpus=4000", "4000"),
        ("cpuset-mems=4000", "4000"),
        ("network=container:no-such-container", "no-such-container"),
    ],
)
def test_an_option_that_only_the_engine_can_refuse_says_so_at_boot(
    bench: Bench, option: str, words: str, scratch_context: ScratchContext
) -> None:
    name = bench.create("--driver-opt", option)

    context = str(scratch_context())
    error = bench.fails(f"option {option}", "build", "--builder", name, context)
    assert words in error
    bench.cli.ok("rm", name)

    assert bench.left_behind(name) == []
