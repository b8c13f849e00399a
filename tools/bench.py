"""``./dev bench``: Dockyard beside a reference executable, run in turns, printed as ratios.

Nothing here is a test: times say something only beside each other, on one machine, in one run.
The engine is the one that ``DOCKER_HOST`` names, else a private one. Results also go to a file in
``bench-results/``, which git ignores.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tools import buildkit_image, engine, environment, existing
from tools.control import ROOT
from tools.report import DevError, say

RESULTS = ROOT / "bench-results"
METADATA = "docker-cli-plugin-metadata"
_MIB = 1 << 20
_BUILDER = "bench"
_KEEP_NOTHING = ("--output", "type=cacheonly")
"""Where sending the context is measured, the daemon shall not also make an image of it."""


class Sample(NamedTuple):
    """One run of one program."""

    seconds: float
    cpu: float
    """User and system seconds of the program, not of the daemon."""
    memory: int
    """Bytes at the peak."""


class Bench(NamedTuple):
    """The place where a workload puts its files, and how it runs a program."""

    folder: Path
    variables: dict[str, str]
    turn: int
    """Counts the runs, so that each can have names of its own."""


class Workload(NamedTuple):
    """Something to measure."""

    title: str
    prepare: Callable[[Bench], None]
    """Make the inputs, once; also what the engine shall have."""
    arguments: Callable[[Bench], Sequence[str]]
    """Give one run's command line; what it does to the inputs is not measured."""
    must: float
    """The ratio of wall time that has to be reached."""


def run(reference: str | None, names: Sequence[str], pairs: int) -> None:
    """Measure the named workloads, all when none is named, and print the table."""
    unknown = set(names) - set(WORKLOADS)
    if unknown:
        raise DevError(f"no such workload: {', '.join(sorted(unknown))}")
    chosen = {name: WORKLOADS[name] for name in names} if names else WORKLOADS
    environment.prepare()
    programs = {"dockyard": environment.program("docker-buildx")}
    if reference is not None:
        if shutil.which(reference) is None:
            raise DevError(f"the reference {reference} is no program that can be run")
        programs["reference"] = str(Path(reference).absolute())
    else:
        say("no --reference given: there is nothing to compare with, so no ratios")
    with _engine() as host, tempfile.TemporaryDirectory(prefix="dockyard-bench-") as folder:
        table = {
            name: _measure(name, workload, programs, host, Path(folder, name), pairs)
            for name, workload in chosen.items()
        }
    _report(table)


@contextmanager
def _engine() -> Iterator[str]:
    found = existing.find()
    if found is not None:
        yield found.host
        return
    private = engine.start(engine.KINDS[engine.DEFAULT_KIND])
    try:
        yield private.host
    finally:
        private.end()


def _measure(
    name: str,
    workload: Workload,
    programs: dict[str, str],
    host: str,
    folder: Path,
    pairs: int,
) -> dict[str, list[Sample]]:
    folder.mkdir()
    variables = {
        **os.environ,
        "DOCKER_HOST": host,
        "DOCKER_CONFIG": str(folder / "docker"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }
    bench = Bench(folder=folder, variables=variables, turn=0)
    workload.prepare(bench)
    samples: dict[str, list[Sample]] = {program: [] for program in programs}
    for pair in range(pairs + 1):
        for number, (program, path) in enumerate(programs.items()):
            bench = bench._replace(turn=pair * len(programs) + number)
            sample = _run(path, workload.arguments(bench), bench)
            if pair:  # the first round only warms up
                samples[program].append(sample)
    say(f"{name}: {pairs} runs of {' and '.join(programs)} done")
    _forget(bench)
    shutil.rmtree(folder)
    return samples


def _run(program: str, arguments: Sequence[str], bench: Bench) -> Sample:
    with (bench.folder / "log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [program, *arguments],
            env=bench.variables,
            cwd=bench.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        tail = (bench.folder / "log").read_text(errors="replace")[-500:]
        raise DevError(f"{program} {' '.join(arguments)} ended with {process.returncode}: {tail}")
    return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def _forget(bench: Bench) -> None:
    """Give the disk back that a workload's builds took on the daemon."""
    try:
        cli = engine.cli_path()
    except DevError:
        return
    buildx = environment.program("docker-buildx")
    for command in (
        [buildx, "rm", "--force", _BUILDER],
        [cli, "builder", "prune", "--all", "--force"],
        [cli, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "bench"],
    ):
        done = subprocess.run(command, env=bench.variables, capture_output=True, check=False)
    if made := done.stdout.decode().split():
        command = [cli, "image", "rm", "--force", *made]
        subprocess.run(command, env=bench.variables, capture_output=True, check=False)


def _report(table: dict[str, dict[str, list[Sample]]]) -> None:
    lines = [f"{'workload':36} {'wall':>14} {'CPU':>14} {'memory':>14}  wall/ref  must   mem/ref"]
    for name, samples in table.items():
        own = _median(samples["dockyard"])
        beside = _median(samples["reference"]) if "reference" in samples else None
        cells = [
            _cell(own.seconds * 1000, beside and beside.seconds * 1000, "ms"),
            _cell(own.cpu * 1000, beside and beside.cpu * 1000, "ms"),
            _cell(own.memory / _MIB, beside and beside.memory / _MIB, "MiB"),
        ]
        ratios = "-         -      -"
        if beside is not None:
            wall, memory = own.seconds / beside.seconds, own.memory / beside.memory
            ratios = f"{wall:8.2f}  {WORKLOADS[name].must:4.2f}  {memory:8.2f}"
        lines.append(f"{WORKLOADS[name].title:36} {' '.join(cells)}  {ratios}")
    lines.append("medians, dockyard/reference; CPU and memory are the client's")
    for line in lines:
        say(line)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
    file.write_text(json.dumps(table, indent=1))
    say(f"all samples: {file.relative_to(ROOT)}")


def _median(samples: Sequence[Sample]) -> Sample:
    return Sample(
        statistics.median(sample.seconds for sample in samples),
        statistics.median(sample.cpu for sample in samples),
        int(statistics.median(sample.memory for sample in samples)),
    )


def _cell(own: float, beside: float | None, unit: str) -> str:
    text = f"{own:.0f}/{beside:.0f} {unit}" if beside else f"{own:.0f} {unit}"
    return f"{text:>14}"


# --- the workloads --------------------------------------------------------------------------


def _nothing(_bench: Bench) -> None:
    """Prepare nothing."""


def _contexts(number: int, host: Callable[[Bench, int], str]) -> Callable[[Bench], None]:
    """Prepare docker contexts, each of which is a builder that ``ls`` asks."""

    def prepare(bench: Bench) -> None:
        import hashlib

        for index in range(number):
            name = f"context{index}"
            place = Path(bench.variables["DOCKER_CONFIG"], "contexts", "meta")
            place /= hashlib.sha256(name.encode()).hexdigest()
            place.mkdir(parents=True)
            endpoint = {"docker": {"Host": host(bench, index), "SkipTLSVerify": False}}
            content = {"Name": name, "Metadata": {}, "Endpoints": endpoint}
            (place / "meta.json").write_text(json.dumps(content))

    return prepare


def _in_container(prepare: Callable[[Bench], None]) -> Callable[[Bench], None]:
    """Prepare something, and a builder of the docker-container driver that both programs use."""

    def both(bench: Bench) -> None:
        prepare(bench)
        image = os.environ.get("DOCKYARD_TEST_BUILDKIT_IMAGE", "")
        if not image:
            archive = buildkit_image.archive()
            _checked(bench, engine.cli_path(), "load", "--input", str(archive.path))
            image = archive.name
        buildx = environment.program("docker-buildx")
        wanted = ("--name", _BUILDER, "--driver", "docker-container", "--use", "--bootstrap")
        _checked(bench, buildx, "create", *wanted, "--driver-opt", f"image={image}")

    return both


def _grown_up(prepare: Callable[[Bench], None]) -> Callable[[Bench], None]:
    """Prepare the same, and let the builder's first minute pass, in which it is looked after."""

    def both(bench: Bench) -> None:
        _in_container(prepare)(bench)
        time.sleep(61)

    return both


def _checked(bench: Bench, *command: str) -> None:
    done = subprocess.run(
        command, env=bench.variables, cwd=bench.folder, capture_output=True, check=False
    )
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace")[-500:]
        raise DevError(f"{' '.join(command)} ended with {done.returncode}: {words}")


def _same_engine(bench: Bench, _index: int) -> str:
    return bench.variables["DOCKER_HOST"]


def _dead(bench: Bench, index: int) -> str:
    return f"unix://{bench.folder}/dead{index}.sock"


def _project(bench: Bench, dockerfile: str) -> Path:
    project = bench.folder / "project"
    project.mkdir()
    (project / "Dockerfile").write_text(dockerfile)
    return project


def _tiny(bench: Bench) -> None:
    (_project(bench, "FROM scratch\nCOPY data /\n") / "data").write_bytes(b"x" * 1000)


def _big(size: int) -> Callable[[Bench], None]:
    def prepare(bench: Bench) -> None:
        project = _project(bench, "FROM scratch\nCOPY big /\n")
        piece = os.urandom(16 * _MIB)
        with (project / "big").open("wb") as file:
            for _ in range(size // len(piece)):
                file.write(piece)

    return prepare


def _many(files: int, ignored: bool = False) -> Callable[[Bench], None]:
    def prepare(bench: Bench) -> None:
        project = _project(bench, "FROM scratch\nCOPY src /src\n")
        for index in range(files):
            if index % 500 == 0:
                folder = project / "src" / f"d{index // 500:04}"
                folder.mkdir(parents=True)
            (folder / f"f{index % 500:03}.txt").write_bytes(b"%d\n" % index * 40)
        if ignored:
            (project / ".dockerignore").write_text("src/*\n!src/d0000\n**/f[1-9]*.txt\n")

    return prepare


def _build(bench: Bench, *more: str) -> Sequence[str]:
    return ("build", "--progress", "quiet", *more, "project")


def _build_plain(bench: Bench) -> Sequence[str]:
    return _build(bench)


def _build_unseen(bench: Bench) -> Sequence[str]:
    """Build from a folder whose name the daemon has not seen, so that it is sent everything."""
    link = bench.folder / f"unseen{bench.turn}"
    previous = next(bench.folder.glob("unseen*"), bench.folder / "project")
    previous.rename(link)
    return ("build", "--progress", "quiet", *_KEEP_NOTHING, link.name)


def _build_changed(bench: Bench) -> Sequence[str]:
    changed = bench.folder / "project" / "src" / "d0001" / "f001.txt"
    changed.write_bytes(b"%d\n" % bench.turn * 40)
    return _build(bench, *_KEEP_NOTHING)


def _output(kind: str) -> Callable[[Bench], Sequence[str]]:
    def arguments(bench: Bench) -> Sequence[str]:
        target = bench.folder / "out"
        shutil.rmtree(target, ignore_errors=True)
        (bench.folder / "out.tar").unlink(missing_ok=True)
        dest = "out" if kind == "local" else "out.tar"
        return _build(bench, "-o", f"type={kind},dest={dest}")

    return arguments


def _layers(bench: Bench) -> None:
    """Prepare an image of 500 MiB in seven layers, half of it random; the last is 1 MiB."""
    names = [f"layer{index}" for index in range(6)]
    lines = ["FROM scratch", *(f"COPY {name} /" for name in names), "COPY last /", ""]
    project = _project(bench, "\n".join(lines))
    for name in names:
        _half_random(project / name, 83 * _MIB)
    _half_random(project / "last", _MIB)


def _half_random(path: Path, size: int) -> None:
    text = b"what compresses well, and what does not\n" * 1024
    with path.open("wb") as file:
        while file.tell() < size:
            file.write(os.urandom(64 << 10))
            file.write(text[: 64 << 10])


def _load_first(bench: Bench) -> Sequence[str]:
    """Load an image of which neither the builder nor the engine has seen anything."""
    _layers_anew(bench)
    return _build(bench, "--load", "--tag", f"bench:first{bench.turn}")


def _layers_anew(bench: Bench) -> None:
    for path in sorted((bench.folder / "project").glob("layer*")):
        with path.open("r+b") as file:
            file.write(os.urandom(64 << 10))


def _load_same(bench: Bench) -> Sequence[str]:
    """Load what the engine has already, under a name that each program uses again and again."""
    return _build(bench, "--load", "--tag", f"bench:same{bench.turn % 2}")


def _load_changed(bench: Bench) -> Sequence[str]:
    (bench.folder / "project" / "last").write_bytes(os.urandom(_MIB))
    return _build(bench, "--load", "--tag", f"bench:changed{bench.turn % 2}")


def _files_and_size(bench: Bench) -> None:
    """Prepare 500 MiB in 2,000 files of 256 KiB."""
    project = _project(bench, "FROM scratch\nCOPY src /src\n")
    (project / "src").mkdir()
    piece = os.urandom(_MIB // 4)
    for index in range(2000):
        (project / "src" / f"f{index}").write_bytes(b"%08d" % index + piece)


WORKLOADS = {
    "version": Workload("version", _nothing, lambda _: ("version",), 1.0),
    "metadata": Workload("plugin metadata", _nothing, lambda _: (METADATA,), 1.0),
    "ls": Workload("ls, 4 builders up", _contexts(3, _same_engine), lambda _: ("ls",), 1.0),
    "ls-dead": Workload("ls, 5 dead endpoints", _contexts(5, _dead), lambda _: ("ls",), 1.0),
    "cached": Workload("tiny cached build", _tiny, _build_plain, 1.0),
    "big": Workload("context: one 1 GiB file", _big(1024 * _MIB), _build_unseen, 0.7),
    "many": Workload("context: 50,000 files, all sent", _many(50_000), _build_unseen, 1.0),
    "changed": Workload("context: 50,000 files, 1 changed", _many(50_000), _build_changed, 0.75),
    "ignored": Workload(
        "context: 200,000 files, 100 kept", _many(200_000, ignored=True), _build_plain, 1.0
    ),
    "local": Workload("-o type=local, 500 MiB", _files_and_size, _output("local"), 0.8),
    "tar": Workload("-o type=tar, 500 MiB", _files_and_size, _output("tar"), 0.8),
    "c-cached": Workload("container: tiny cached build", _grown_up(_tiny), _build_plain, 1.0),
    "c-big": Workload(
        "container: context, one 1 GiB file", _in_container(_big(1024 * _MIB)), _build_unseen, 0.7
    ),
    "c-load": Workload(
        "container: --load 500 MiB, first", _in_container(_layers), _load_first, 0.85
    ),
    "c-load-same": Workload(
        "container: --load again, unchanged", _in_container(_layers), _load_same, 0.1
    ),
    "c-load-changed": Workload(
        "container: --load, 1 MiB changed", _in_container(_layers), _load_changed, 0.2
    ),
}
