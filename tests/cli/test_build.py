from __future__ import annotations

import io
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import grpc
import pytest

from dockyard.cli.commands import build, create
from dockyard.cli.invocation import Invocation, Mode
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.config import Environment
from dockyard.driver import BuildResult
from dockyard.errors import BuilderNotFoundError, FlagError, InputError, ProtocolError
from support.hostile_buildkit import HostileBuildKit
from support.scripted_buildkit import Refusal, Values
from support.stand import stand_cli

PLUGIN = {"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": "docker"}


def test_an_image_id_cannot_be_something_that_a_terminal_obeys() -> None:
    good, bad = (
        BuildResult(ref="", response={"containerimage.digest": text})
        for text in ("sha256:00", "sha256:00\x1b[2J")
    )

    assert build._image_id(good) == "sha256:00"
    with pytest.raises(ProtocolError, match="makes no sense"):
        build._image_id(bad)
    assert build._readable("a\tb\n\x1b[2Jc\r") == "a\tb\n[2Jc"


def invoked(**variables: str) -> Invocation:
    return Invocation(
        mode=Mode.DOCKYARD,
        environment=Environment.from_process(variables=variables),
        builder="",
        debug=False,
        stdin=io.TextIOWrapper(io.BytesIO()),
        stdout=io.TextIOWrapper(io.BytesIO()),
        stderr=io.TextIOWrapper(io.BytesIO()),
    )


@pytest.fixture
def invocation() -> Invocation:
    return invoked()


def parsed(*line: str, command: Command = build.COMMAND) -> Options:
    parser = CommandParser("build", "")
    command.flags(parser)
    return parser.parse(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], "auto"),
        (["--progress="], "auto"),
        (["--progress=plain"], "plain"),
        (["-q"], "quiet"),
        (["-q", "--progress=none"], "quiet"),
    ],
)
def test_the_progress_mode(invocation: Invocation, line: list[str], expected: str) -> None:
    assert build._progress_mode(invocation, parsed(*line)) == expected


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--progress=what"], "invalid progress mode what"),
        (["-q", "--progress=plain"], "progress=plain and quiet cannot be used together"),
        (["-q", "--progress="], "progress= and quiet cannot be used together"),
    ],
)
def test_a_wrong_progress_mode(invocation: Invocation, line: list[str], words: str) -> None:
    with pytest.raises(InputError, match=f"^{words}$"):
        build._progress_mode(invocation, parsed(*line))


def test_limits_with_flags_of_their_own_come_first_and_in_their_order() -> None:
    options = parsed("--resource=memory=1", "-c", "", "-m", "2", "-c", "3")

    found = build._resources(options)

    assert found == ["cpu-shares=", "memory=2", "cpu-shares=3", "memory=1"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--shm-size=much"], '"much" for "--shm-size" flag: invalid size: \'much\''),
        (["--ulimit=x"], '"x" for "--ulimit" flag: invalid ulimit argument: x'),
        (['--add-host=a"b'], r'"a\\"b" for "--add-host" flag: parse error on line 1, column 2: '),
    ],
)
def test_a_flag_of_a_type_is_refused_before_anything_else(line: list[str], words: str) -> None:
    with pytest.raises(FlagError, match=f"^invalid argument {words}"):
        parsed(*line)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--build-arg="], 'invalid key-value pair "": empty key'),
        (["--attest="], "EOF"),
        (["-o", "type="], "type is required for output"),
        (["-o", "out", "--iidfile=x"], "local and tar exporters are incompatible with image ID"),
        (["-o", "out", "--iidfile=x", "--cache-from=a=b"], "local and tar exporters are incomp"),
        (["--secret=x"], "invalid field 'x' must be a key=value pair"),
        (["--call=a,b"], "invalid print value: a,b"),
    ],
)
def test_a_wrong_grammar_is_found_before_the_build(
    invocation: Invocation, line: list[str], words: str
) -> None:
    options = parsed(*line, ".")

    with pytest.raises(InputError, match=f"^{words}"):
        build._read(invocation, options, build._given(invocation, options))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--no-cache", "--no-cache-filter="], "--no-cache and --no-cache-filter cannot"),
        (["--resource="], 'invalid resource "", expected key=value'),
        (["-m="], 'invalid value "=" for resource memory: invalid size'),
        (["--platform="], '"" is an invalid OS component of ""'),
        (["-o", "type=local"], "dest is required for local exporter"),
        (["--allow=x"], "unknown entitlement x"),
        (["--annotation=x"], 'parse annotations: invalid annotation "x"'),
    ],
)
def test_what_does_not_fit_is_found_by_the_build(
    invocation: Invocation, line: list[str], words: str
) -> None:
    options = parsed(*line, ".")
    given = build._given(invocation, options)
    request, call = build._read(invocation, options, given)

    with pytest.raises(InputError, match=f"^failed to build: {words}"), build._prefixing():
        build._fit(invocation, given, request, call)


def test_a_source_policy_that_is_missing_is_no_build_that_failed(tmp_path: Path) -> None:
    invocation = invoked(EXPERIMENTAL_BUILDKIT_SOURCE_POLICY=str(tmp_path / "none"))
    options = parsed(".")

    with pytest.raises(InputError, match="^failed to read policy file: open "):
        build._read(invocation, options, build._given(invocation, options))


NO_OUTPUT = "WARNING: No output specified with remote driver. Build result will only remain in "


@pytest.mark.parametrize(
    ("line", "words", "warns"),
    [
        (["-t", "FOO"], 'invalid tag "FOO": repository name must be lowercase', True),
        (["-t", "FOO", "-o", "out"], 'invalid tag "FOO": repository name must be', False),
        (["-t", "FOO", "--check"], 'invalid tag "FOO": repository name must be', False),
        (["--network=foo"], 'network mode "foo" not supported by buildkit', True),
        (["--add-host=a"], "invalid host a", True),
        (["--build-context=a=none"], "failed to get build context a: stat none: ", True),
        (["--secret=id=a,src=none"], "failed to stat none: ", False),
        (["--resource=a"], 'invalid resource "a"', False),
    ],
)
def test_a_missing_output_is_told_when_the_node_was_chosen_before_the_failure(
    tmp_path: Path, line: list[str], words: str, warns: bool
) -> None:
    invocation = invoked(DOCKER_CONFIG=str(tmp_path), HOME=str(tmp_path))
    made = parsed("--driver=remote", "--use", "tcp://127.0.0.1:1", command=create.COMMAND)
    create.COMMAND.run(invocation, made)

    with pytest.raises(InputError, match=f"^failed to build: {words}"):
        build.COMMAND.run(invocation, parsed(*line, str(tmp_path)))

    invocation.stderr.seek(0)
    assert (NO_OUTPUT in invocation.stderr.read()) is warns


def test_a_context_that_is_missing_is_told_before_a_wrong_network(tmp_path: Path) -> None:
    invocation = invoked(DOCKER_CONFIG=str(tmp_path), HOME=str(tmp_path))
    made = parsed("--driver=remote", "--use", "tcp://127.0.0.1:1", command=create.COMMAND)
    create.COMMAND.run(invocation, made)

    with pytest.raises(InputError, match="^failed to build: unable to prepare context: path "):
        build.COMMAND.run(invocation, parsed("--network=bad", str(tmp_path / "none")))


def test_a_source_policy_is_handed_on(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text('{"version": 1}')
    invocation = invoked(EXPERIMENTAL_BUILDKIT_SOURCE_POLICY=str(tmp_path / "policy"))
    options = parsed(".")

    request, _ = build._read(invocation, options, build._given(invocation, options))

    assert request.source_policy == {"version": 1}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.INTERNAL, 100),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 102),
        (grpc.StatusCode.UNKNOWN, 1),
    ],
)
def test_the_exit_code_says_what_the_daemon_died_of(
    tmp_path: Path, status: grpc.StatusCode, code: int
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    cli = stand_cli(tmp_path / "home")

    def refuse(_request: Values, _gone: threading.Event) -> Values:
        raise Refusal(status, "no more")

    with (
        tempfile.TemporaryDirectory() as folder,
        HostileBuildKit(Path(folder), lambda _: None, gateway=False) as daemon,
    ):
        daemon.solve = refuse
        daemon.status = lambda _request, _gone: iter(())
        cli.ok("create", "--use", f"stand://{daemon.address}")
        done = cli.run("build", tmp_path)

    last = done.err.splitlines()[-1]
    assert last.startswith("ERROR: failed to build: failed to solve: ")
    assert last.endswith("no more")
    assert done.code == code


def test_warnings_come_last_and_as_a_plugin_at_length_only_if_docker_debugs(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    cli = stand_cli(tmp_path / "home")
    vertex = "sha256:" + "0" * 64

    def tell(_request: Values, _gone: threading.Event) -> Iterator[Values]:
        warning = {"vertex": vertex, "short": b"Rule: words", "detail": [b"at length"]}
        yield {"vertexes": [{"digest": vertex, "name": "step"}], "warnings": [warning]}

    with (
        tempfile.TemporaryDirectory() as folder,
        HostileBuildKit(Path(folder), lambda _: None) as daemon,
    ):
        daemon.status = tell
        cli.ok("create", "--use", f"stand://{daemon.address}")
        long = cli.ok("build", "-D", tmp_path)
        plugin = attrs.evolve(cli, variables={**cli.variables, **PLUGIN})
        short = plugin.run("buildx", "build", "-D", tmp_path, program="docker-buildx")
        expanded = plugin.run("-D", "buildx", "build", tmp_path, program="docker-buildx")

    assert "at length" in long.err
    assert 0 < long.err.find("No output specified") < long.err.find("1 warning found")
    assert "use docker --debug to expand" in short.err
    assert "at length" not in short.err
    assert "at length" in expanded.err


def test_a_builder_that_is_missing_is_told_before_what_does_not_fit(tmp_path: Path) -> None:
    invocation = invoked(DOCKER_CONFIG=str(tmp_path), HOME=str(tmp_path))
    invocation.builder = "none"

    with pytest.raises(BuilderNotFoundError, match='^no builder "none" found$'):
        build.COMMAND.run(invocation, parsed("-t", "FOO", "-o", "type=local", "."))
