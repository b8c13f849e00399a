"""Calls, remote Dockerfiles and typed errors on real engines: rows 131, 132, 161 and 216."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from tools.engine import Engine

import dockyard
from dockyard import errors
from dockyard.buildkit.answer import Values
from dockyard.buildkit.client import Client
from dockyard.buildkit.forward import Forwarded, Hold, forward
from dockyard.buildkit.linked import link
from dockyard.buildkit.request import SolveRequest, new_id
from dockyard.buildkit.solve import solve
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.driver import Node
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.errors import BuildError
from dockyard.fsutil.root import VirtualRoot
from dockyard.session.filesync import LocalSources
from dockyard.session.session import Session
from dockyard_docker.engine import connect
from support.cli import Cli
from support.engines import ScratchContext
from support.website import make_repository, publish

CliFor = Callable[[str], Cli]

OUTLINE = """\
# base thing
FROM scratch AS base
ARG A=1
COPY busybox /busybox
FROM base AS final
ARG B
RUN --mount=type=secret,id=tok --mount=type=ssh /busybox true
"""


@pytest.fixture
def cli(engine_26: Engine, cli_for: CliFor) -> Cli:
    return cli_for(engine_26.host)


@pytest.fixture
def cli_20(engine_20: Engine, cli_for: CliFor) -> Cli:
    return cli_for(engine_20.host)


@pytest.fixture
def outline_context(scratch_context: ScratchContext) -> Path:
    context = scratch_context()
    (context / "Dockerfile").write_text(OUTLINE)
    return context


def builder_of(engine: Engine, home: Path) -> dockyard.Builder:
    variables = {"HOME": str(home), "DOCKER_HOST": engine.host}
    return dockyard.Builder(environment=Environment.from_process(variables=variables))


# --- row 161: calls -----------------------------------------------------------------------------


def test_row_161_outline_and_targets_are_told_and_nothing_is_built(
    cli: Cli, outline_context: Path
) -> None:
    outline = cli.ok("build", "--call=outline", "--iidfile=iid", outline_context)
    targets = cli.ok("build", "--call", "targets", "-o", "out", outline_context)

    assert outline.out.startswith("TARGET: ")
    assert (
        "BUILD ARG   VALUE   DESCRIPTION\nA           1       \nB                   \n\n"
        in outline.out
    )
    assert "SECRET   REQUIRED\ntok      \n\nSSH       REQUIRED\ndefault   \n" in outline.out
    assert [line.split()[:2] for line in targets.out.splitlines()] == [
        ["TARGET", "DESCRIPTION"],
        ["base", "thing"],
        ["final", "(default)"],
    ]
    assert "RUN" not in outline.err
    assert not (cli.home / "out").exists()
    assert not list((cli.home / "docker" / "buildx").glob("refs/*/*/*"))


def test_row_161_json_is_given_as_it_is_also_in_the_metadata(
    cli: Cli, outline_context: Path
) -> None:
    done = cli.ok(
        "build", "-q", "--call=targets,format=json", "--metadata-file=meta", outline_context
    )

    assert done.err == ""
    values = json.loads(done.out)
    assert [target["name"] for target in values["targets"]] == ["base", "final"]
    metadata = json.loads((cli.home / "meta").read_text())
    assert metadata["result.json"] == values
    assert "buildx.build.ref" not in metadata


def test_row_161_what_a_frontend_does_not_know_is_named(cli: Cli, outline_context: Path) -> None:
    said = cli.refused("build", "--call=foo", outline_context)

    assert said.startswith("failed to build: failed to solve: unsupported request frontend.foo")


def test_row_161_a_check_finds_what_is_wrong_or_says_that_the_frontend_cannot(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context()
    (context / "Dockerfile").write_text("FROM scratch as x\nCOPY busybox /\n")

    done = cli.run("build", "--check", context)

    assert done.code == 1
    if "unsupported request frontend.lint" not in done.err:  # BuildKit 0.14 has it
        assert "Check complete, 1 warning has been found!\n\nWARNING: FromAsCasing" in done.out


def test_row_161_an_old_engine_answers_what_it_can(cli_20: Cli, outline_context: Path) -> None:
    methods = cli_20.ok("build", "--call=subrequests.describe", outline_context)
    said = cli_20.refused("build", "--call=outline", outline_context)

    assert methods.out.startswith("NAME                 VERSION DESCRIPTION\nsubrequests.describe")
    assert said.endswith("unsupported request frontend.outline")


def test_row_161_calls_are_functions_with_typed_results(
    engine_26: Engine, tmp_path: Path, outline_context: Path
) -> None:
    builder = builder_of(engine_26, tmp_path)

    outline = builder.outline(outline_context, build_args={"B": "given"})
    targets = builder.targets(outline_context)

    assert [(arg.name, arg.value) for arg in outline.args] == [("A", "1"), ("B", "given")]
    assert [secret.name for secret in outline.secrets] == ["tok"]
    assert [one.name for one in targets.targets if one.default] == ["final"]
    assert len(targets.targets) == 2
    with pytest.raises(errors.FrontendError, match=r"unsupported request frontend\.foo"):
        builder.call("foo", outline_context)


# --- rows 131 and 132: from elsewhere -----------------------------------------------------------


@pytest.mark.parametrize("which", ["cli", "cli_20"])
def test_row_132_a_dockerfile_is_fetched_by_the_builder(
    request: pytest.FixtureRequest,
    website: tuple[Path, str],
    scratch_context: ScratchContext,
    which: str,
) -> None:
    cli: Cli = request.getfixturevalue(which)
    folder, url = website
    (folder / "Other").write_text("FROM scratch\nCOPY notes /fetched\n")
    (folder / "long").write_bytes(b"#" * (2 << 20) + b"\n")
    context = scratch_context(notes=b"text")

    done = cli.ok("build", "-f", f"{url}/Other", "-o", "out", context)

    assert f"[internal] load {url}/Other" in done.err
    assert (cli.home / "out" / "fetched").read_bytes() == b"text"
    said = cli.refused("build", "-f", f"{url}/long", context)
    assert said.endswith(f"Dockerfile {url}/long bigger than allowed max size (2.097MB)")
    assert "404" in cli.refused("build", "-f", f"{url}/nowhere", context)


@pytest.mark.parametrize("which", ["cli", "cli_20"])
def test_row_131_a_git_url_with_a_query_needs_a_frontend_that_knows_it(
    request: pytest.FixtureRequest,
    website: tuple[Path, str],
    scratch_context: ScratchContext,
    which: str,
) -> None:
    cli: Cli = request.getfixturevalue(which)
    folder, url = website
    work = scratch_context()
    (work / "Dockerfile").write_text("FROM scratch\nCOPY busybox /\n")
    make_repository(work)
    publish(work, folder / "repo.git")

    done = cli.run("build", "-o", "out", f"{url}/repo.git?ref=main")

    if done.code:  # BuildKit 0.24 knows it
        words = "failed to build: current frontend does not support Git URLs with query string"
        assert f"ERROR: {words}" in done.err
    else:
        assert (cli.home / "out" / "busybox").exists()

    asking = attrs.evolve(cli, variables={"BUILDX_SEND_GIT_QUERY_AS_INPUT": "1"})
    asking.ok("build", "-o", "fetched", f"{url}/repo.git?branch=main")
    assert (cli.home / "fetched" / "busybox").exists()


def test_a_named_context_on_an_old_engine_is_said_to_need_a_newer_frontend(
    cli_20: Cli, scratch_context: ScratchContext
) -> None:
    said = cli_20.refused("build", "--build-context", "a=.", scratch_context())

    assert said == (
        "failed to build: current frontend does not support --build-context. Named contexts are "
        "supported since Dockerfile v1.4. Use #syntax directive in Dockerfile or update to latest "
        "BuildKit."
    )


def test_what_an_old_engine_would_ignore_is_refused_by_name(
    cli_20: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context()

    for flag in ("--ulimit=nofile=1:1", "--shm-size=1m", "--cgroup-parent=x"):
        said = cli_20.refused("build", flag, context)
        assert said.startswith(f"failed to build: {flag.partition('=')[0]} is not supported by")


# --- linked targets -----------------------------------------------------------------------------


def test_a_build_takes_what_another_has_just_made(engine_26: Engine, busybox: Path) -> None:
    parent = {
        "Dockerfile": b"FROM scratch\nENV FROM_PARENT=yes\nCOPY --chmod=755 busybox /bin/\n",
        "busybox": busybox.read_bytes(),
    }
    child = {"Dockerfile": b'FROM base\nRUN ["/bin/busybox", "sh", "-c", "test $FROM_PARENT"]\n'}
    results: list[Values] = []
    made = threading.Event()
    hold = Hold()

    def keep(result: Values) -> None:
        results.append(result)
        made.set()

    def run_parent() -> None:
        lead(engine_26, parent, Forwarded("dockerfile.v0", {}, on_result=keep, hold=hold))

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_parent)
        try:
            assert made.wait(120)
            linked = link({"context:base": "target:one"}, {"one": results[0]})
            attributes = {"frontend.caps": "moby.buildkit.frontend.contexts", **linked.attributes}
            request = Forwarded("dockerfile.v0", attributes, inputs=linked.inputs)
            lead(engine_26, child, request)
            assert not running.done()
        finally:
            hold.release()
        running.result(120)


def lead(engine: Engine, files: dict[str, bytes], request: Forwarded) -> None:
    """Forward a request on a connection of its own, with files as context and Dockerfile."""
    node = Node(
        name="default",
        driver="docker",
        endpoint=engine.host,
        builder="default",
        engine=EngineEndpoint(host=engine.host),
    )
    client = Client(connect(node, Cancellation()))
    places = {"context": VirtualRoot(files=files), "dockerfile": VirtualRoot(files=files)}
    session = Session(shared_key="", attachables=[LocalSources(places)])
    try:
        session.open(client)
        wanted = SolveRequest(ref=new_id(), session=session.id, frontend="")
        solve(client, wanted, lambda _: None, Cancellation(), talk=forward(request))
    finally:
        session.close()
        client.close()


# --- row 216: failures --------------------------------------------------------------------------

_SHELL = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
"""
_NOWHERE = "127.0.0.1:1/nowhere"

FAILURES: list[tuple[str, type[BuildError], int, dict[str, Any]]] = [
    (_SHELL + "RUN echo words >&2; exit 7", errors.StepError, 4, {}),
    (_SHELL + "RUN nowhere", errors.StepError, 4, {}),
    ('FROM scratch\nCOPY busybox /\nRUN ["/nowhere"]', errors.StepError, 3, {}),
    (_SHELL + "USER nobody-here\nRUN true", errors.StepError, 5, {}),
    ("FROM scratch\nFOO bar", errors.DockerfileError, 2, {}),
    ("FROM scratch\nCOPY", errors.DockerfileError, 2, {}),
    ("FROM scratch\nCOPY --bogus busybox /", errors.DockerfileError, 2, {}),
    ("FROM scratch\nONBUILD FROM x", errors.DockerfileError, 2, {}),
    ("FROM scratch\nEXPOSE abc", errors.DockerfileError, 2, {}),
    ("RUN x", errors.DockerfileError, 1, {}),
    ("\n", errors.DockerfileError, 0, {}),
    ("ARG X\nFROM ${X}", errors.DockerfileError, 2, {}),
    ("FROM scratch\nCOPY <<EOF /x\nabc", errors.DockerfileError, 0, {}),
    ("FROM scratch AS a\nCOPY busybox /", errors.DockerfileError, 0, {"target": "nowhere"}),
    ("FROM scratch\nCOPY --chown=nobody-here busybox /", errors.DockerfileError, 2, {}),
    ("FROM scratch\nCOPY nowhere /", errors.MissingFileError, 2, {}),
    (_SHELL + "RUN --mount=type=bind,source=no,target=/x true", errors.MissingFileError, 4, {}),
    (f"FROM {_NOWHERE}", errors.SourceError, 1, {}),
    (f"FROM scratch\nCOPY --from={_NOWHERE} x /", errors.SourceError, 0, {}),
    ("FROM scratch\nADD http://127.0.0.1:1/x /", errors.SourceError, 0, {}),
    (f"# syntax={_NOWHERE}\nFROM scratch", errors.FrontendError, 0, {}),
    (_SHELL + "RUN --mount=type=secret,id=s,required=true true", errors.SecretError, 4, {}),
    (_SHELL + "RUN --mount=type=ssh,required=true true", errors.SecretError, 4, {}),
    (_SHELL + "RUN --network=host true", errors.EntitlementError, 0, {}),
    ("FROM scratch\nCOPY busybox /", errors.ExportError, 0, {"outputs": ["type=bogus"]}),
]
"""A Dockerfile, the class of its failure, the line that is told (0: any or none), options."""


@pytest.mark.parametrize("number", range(len(FAILURES)))
def test_row_216_a_failure_has_its_class_and_its_place(
    engine_26: Engine, tmp_path: Path, scratch_context: ScratchContext, number: int
) -> None:
    dockerfile, kind, line, options = FAILURES[number]
    context = scratch_context()
    (context / "Dockerfile").write_text(f"{dockerfile}\n")

    with pytest.raises(BuildError) as caught:
        builder_of(engine_26, tmp_path).build(context, **options)

    assert type(caught.value) is kind, str(caught.value)
    if line:
        (source,) = caught.value.sources
        assert (source.filename, source.first_line) == ("Dockerfile", line)
        assert source.text == dockerfile.split("\n")[line - 1]


@pytest.mark.parametrize("number", [0, 4, 15, 17, 21])
def test_row_216_an_old_engine_tells_the_class_by_its_words(
    engine_20: Engine, tmp_path: Path, scratch_context: ScratchContext, number: int
) -> None:
    dockerfile, kind, _, options = FAILURES[number]
    context = scratch_context()
    (context / "Dockerfile").write_text(f"{dockerfile}\n")

    with pytest.raises(BuildError) as caught:
        builder_of(engine_20, tmp_path).build(context, **options)

    assert type(caught.value) is kind, str(caught.value)


@pytest.mark.parametrize("old", [False, True])
def test_row_216_the_output_of_the_failed_step_is_whole(
    request: pytest.FixtureRequest, tmp_path: Path, scratch_context: ScratchContext, old: bool
) -> None:
    engine: Engine = request.getfixturevalue("engine_20" if old else "engine_26")
    script = "i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo line $i >&2; done; echo out; exit 3"
    context = scratch_context(f"RUN {script}")

    with pytest.raises(errors.StepError) as caught:
        builder_of(engine, tmp_path).build(context, no_cache=True)

    assert caught.value.step_exit_code == 3
    assert "RUN i=0" in caught.value.step
    assert caught.value.stderr == b"".join(b"line %d\n" % (n + 1) for n in range(5000))
    assert caught.value.stdout == b"out\n"


def test_row_216_the_last_line_of_rawjson_is_the_error(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context("RUN echo words >&2; exit 7")

    done = cli.run("build", "--progress=rawjson", context)

    lines = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    error = lines[-1].pop("error")
    assert not lines[-1]
    assert not any("error" in line for line in lines[:-1])
    assert (error["class"], error["stepExitCode"], error["exitCode"]) == ("StepError", 7, 1)
    assert base64.b64decode(error["stderr"]) == b"words\n"
    assert error["sources"] == [
        {
            "filename": "Dockerfile",
            "start": {"line": 4},
            "end": {"line": 4},
            "text": "RUN echo words >&2; exit 7",
        }
    ]
