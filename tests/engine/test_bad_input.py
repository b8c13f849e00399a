"""Bad input, on real engines: one clear line, exit 1, in seconds, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tools.engine import Engine

from support.cli import BIN, Cli, Finished, end
from support.peer import Peers, Script, answering, closing, read_head, silent
from support.registry import Registry

CliFor = Callable[[str], Cli]

SECONDS = 10.0
"""What an error may take on a busy machine; they take half a second."""
WAIT = 20.0
"""What an engine may take to answer anything."""
HELPER_WAIT = 30.0
"""What a credential helper may take."""

PLAIN = "FROM scratch\nCOPY . /\n"


def error_of(done: Finished, seconds: float, within: float = SECONDS) -> str:
    """Check that a command ended as bad input has to end, and give its error."""
    assert done.code == 1, (done.code, done.err)
    assert "Traceback" not in done.err, done.err
    assert done.err.count("ERROR: ") - done.err.count(" ERROR: ") == 1, done.err
    assert seconds < within
    lines = done.err[done.err.rindex("\nERROR: ") + 1 if "\nERROR: " in done.err else 0 :]
    error, *hint = lines.strip().splitlines()
    assert len(hint) <= 1, done.err
    return error.removeprefix("ERROR: ")


def fails(cli: Cli, *arguments: str | Path, within: float = SECONDS, stdin: bytes = b"") -> str:
    """Run a build that has to fail, and give its error."""
    started = time.monotonic()
    done = cli.run("build", *arguments, stdin=stdin)
    return error_of(done, time.monotonic() - started, within)


def fails_unprivileged(cli: Cli, *arguments: str | Path) -> str:
    """The same, without root's right to read and write what others may not."""
    if os.geteuid() != 0:
        return fails(cli, *arguments)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root may read everything, and there is no setpriv to give that up")
    started = time.monotonic()
    given_up = "--bounding-set=-dac_override,-dac_read_search"
    done = cli.run(given_up, BIN / "dockyard", "build", *arguments, program=setpriv)
    return error_of(done, time.monotonic() - started)


@pytest.fixture
def cli(engine_26: Engine, cli_for: CliFor) -> Cli:
    return cli_for(engine_26.host)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A context that builds without a base image."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(PLAIN)
    (folder / "notes").write_text("text")
    return folder


def outputs(cli: Cli) -> list[str]:
    """Name all that stands in the output directory, if there is one."""
    return sorted(path.name for path in (cli.home / "out").rglob("*"))


# --- contexts and Dockerfiles ------------------------------------------------------------------


def test_a_missing_dockerfile(engine: Engine, cli_for: CliFor, context: Path) -> None:
    (context / "Dockerfile").unlink()

    error = fails(cli_for(engine.host), context)

    assert error == (
        "failed to build: failed to solve: failed to read dockerfile: open Dockerfile: "
        "no such file or directory"
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "not a regular file"),
        (Path.mkdir, "is a directory"),
        (lambda path: path.symlink_to(path.name), "too many levels of symbolic links"),
        (lambda path: path.symlink_to("nowhere"), "no such file or directory"),
    ],
    ids=["fifo", "directory", "loop", "dangling"],
)
def test_a_dockerfile_that_is_no_file(
    cli: Cli, context: Path, make: Callable[[Path], None], words: str
) -> None:
    (context / "Dockerfile").unlink()
    make(context / "Dockerfile")

    error = fails(cli, context)

    assert "failed to read dockerfile: open Dockerfile: " in error
    assert error.endswith(words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", 'unable to prepare context: path "nowhere" not found'),
        ("file", 'unable to prepare context: path "file" not found'),
        ("two\nlines", r'unable to prepare context: path "two\nlines" not found'),
        (os.fsdecode(b"\xff"), r'unable to prepare context: path "\xff" not found'),
        ("x" * 300, f'unable to prepare context: path "{"x" * 300}" not found'),
        ("", "please specify build context"),
    ],
    ids=["missing", "file", "newline", "not UTF-8", "too long", "empty"],
)
def test_a_context_that_is_no_directory(cli: Cli, name: str, words: str) -> None:
    (cli.home / "file").touch()

    error = fails(cli, name)

    assert error.startswith(f"failed to build: {words}")


def test_a_context_that_may_not_be_entered(cli: Cli, context: Path) -> None:
    context.chmod(0)

    error = fails_unprivileged(cli, context)

    assert error.endswith("open Dockerfile: permission denied")


def test_an_unreadable_file_in_the_context(engine: Engine, cli_for: CliFor, context: Path) -> None:
    cli = cli_for(engine.host)
    (context / "notes").chmod(0)

    error = fails_unprivileged(cli, "-o", "out", context)

    assert error == f'failed to build: cannot read "{context}/notes": permission denied'
    assert outputs(cli) == []


def test_an_unreadable_file_that_is_ignored_is_none_of_our_business(
    cli: Cli, context: Path
) -> None:
    (context / "notes").chmod(0)
    (context / ".dockerignore").write_text("notes\n")

    setpriv = shutil.which("setpriv")
    if setpriv is None or os.geteuid() != 0:
        cli.ok("build", "-o", "out", context)
    else:
        given_up = "--bounding-set=-dac_override,-dac_read_search"
        build = (BIN / "dockyard", "build", "-o", "out", context)
        assert cli.run(given_up, *build, program=setpriv).code == 0

    assert outputs(cli) == [".dockerignore", "Dockerfile"]


def test_a_name_that_is_not_utf_8(engine: Engine, cli_for: CliFor, context: Path) -> None:
    cli = cli_for(engine.host)
    (context / os.fsdecode(b"bad\xffname")).touch()

    error = fails(cli, "-o", "out", context)

    assert error == (
        rf'failed to build: the file name "{context}/bad\xffname" is not valid UTF-8 '
        "and cannot be sent"
    )
    assert outputs(cli) == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--build-arg", "X=\udcff"], "build-arg:X"),
        (["--label", "X=\udcff"], "label:X"),
        (["--target", "\udcff"], "target"),
        (["--cgroup-parent", "\udcff"], "cgroup-parent"),
    ],
)
def test_text_that_is_not_utf_8(cli: Cli, context: Path, arguments: list[str], name: str) -> None:
    error = fails(cli, *arguments, context)

    assert error == rf'failed to build: "{name}" cannot be sent, it is not valid UTF-8: "\xff"'


def test_special_files_and_loops_of_links_are_sent_as_what_they_are(
    engine: Engine, cli_for: CliFor, context: Path
) -> None:
    cli = cli_for(engine.host)
    os.mkfifo(context / "fifo")
    (context / "one").symlink_to("two")
    (context / "two").symlink_to("one")
    (context / "self").symlink_to(".")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(context / "socket"))

    started = time.monotonic()
    cli.ok("build", "-o", "out", context)

    assert time.monotonic() - started < SECONDS
    out = cli.home / "out"
    left = set(outputs(cli))
    assert left - {"fifo"} == {"Dockerfile", "notes", "one", "self", "socket", "two"}
    assert "fifo" not in left or (out / "fifo").is_fifo()  # the BuildKit in 20.10 drops it
    assert (out / "one").readlink() == Path("two")
    assert (out / "self").readlink() == Path()
    assert (out / "socket").read_bytes() == b""


def test_copying_a_loop_of_links(cli: Cli, context: Path) -> None:
    (context / "one").symlink_to("two")
    (context / "two").symlink_to("one")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY one /one\n")

    error = fails(cli, "-o", "out", context)

    assert error.endswith("too many symlinks: /one")
    assert outputs(cli) == []


# --- .dockerignore -----------------------------------------------------------------------------


def test_an_empty_dockerignore_ignores_nothing(
    engine: Engine, cli_for: CliFor, context: Path
) -> None:
    cli = cli_for(engine.host)
    (context / ".dockerignore").touch()

    cli.ok("build", "-o", "out", context)

    assert outputs(cli) == [".dockerignore", "Dockerfile", "notes"]


def test_a_pattern_that_is_none(engine: Engine, cli_for: CliFor, context: Path) -> None:
    cli = cli_for(engine.host)
    (context / ".dockerignore").write_text("fine\n[a-\n")

    error = fails(cli, "-o", "out", context)

    assert "[a-" in error
    assert "syntax error in pattern" in error
    assert outputs(cli) == []


@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile.dockerignore"])
def test_a_dockerignore_at_which_the_daemon_would_wait_for_ever(
    cli: Cli, context: Path, name: str
) -> None:
    os.mkfifo(context / name)

    error = fails(cli, context)

    assert error.endswith(f"failed to read {name}: not a regular file")


# --- flags -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--tag=Upper", 'failed to build: invalid tag "Upper": repository name must be lowercase'),
        ("--tag=\udcff", r'failed to build: invalid tag "\xff": invalid reference format'),
        (f"--tag={'a' * 64}", "failed to build: failed to solve: "),
        ("--build-arg==x", 'invalid key-value pair "=x": empty key'),
        ("--platform=a/b/c/d", 'failed to build: "a/b/c/d": cannot parse platform specifier'),
        ("--add-host=name:1.2", "failed to build: invalid host name:1.2"),
        ("--network=mine", 'failed to build: network mode "mine" not supported by buildkit'),
        ("--build-context=a=none", "failed to build: failed to get build context a: stat none: "),
        ("--cache-to=type=", 'type required for "type="'),
        ("--output=type=local,dest=-", "failed to build: dest cannot be stdout for local exporter"),
        ("--output=type=tar,dest=folder", "failed to build: destination file folder is a direct"),
        ("--output=type=local,dest=file", "failed to build: destination directory file is a file"),
        ('--output=type=tar,de"st=x', "parse error on line 1, column 12: bare"),
        (f"--output={'x' * 300}", "failed to build: invalid destination directory: xxx"),
        (f"--output=type=tar,dest={'x' * 300}", "failed to build: invalid destination file: xxx"),
        ("--output=type=what", 'failed to build: failed to solve: exporter "what" could not be '),
        ("--progress=what", "invalid progress mode what"),
        ("--iidfile=folder", "removing image ID file: remove folder: "),
        ("--iidfile=nowhere/iid", "writing image ID file: open nowhere/iid: no such file"),
        ("--metadata-file=folder", "cannot write to a directory"),
        (f"--metadata-file={'x' * 300}", "failed to write the metadata file xxx"),
        ("--builder=none", 'no builder "none" found'),
        ("--file=nowhere", "failed to build: failed to solve: failed to read dockerfile: open "),
        ("--target=nowhere", "failed to build: failed to solve: target stage "),
        ("--push", "failed to build: tag is needed when pushing to registry"),
    ],
)
def test_a_wrong_value(cli: Cli, context: Path, flag: str, words: str) -> None:
    (cli.home / "file").touch()
    (cli.home / "folder").mkdir()

    error = fails(cli, flag, context)

    assert error.startswith(words)
    kept = sorted(path.name for path in cli.home.iterdir() if not path.name.startswith(".cache"))
    assert kept == ["docker", "file", "folder"] or kept == ["file", "folder"]


@pytest.mark.parametrize("flag", ["--bogus", "-Z", "--quiet=maybe", "--tag"])
def test_a_flag_that_cannot_be_read_is_a_usage_error(cli: Cli, flag: str) -> None:
    done = cli.run("build", ".", flag)

    assert done.code == 2
    assert done.err.startswith("ERROR: ")
    assert "Traceback" not in done.err


# --- docker's configuration --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"auths": ', " is not valid JSON at line 1 column 11"),
        (b"[]", " is not a JSON object"),
        (b"\xff\xfe", " is not UTF-8"),
        (b"[" * 100_000, " is nested too deeply"),
        (b'{"auths": [1]}', ": auths is no object"),
        (b'{"credsStore": 3}', ": credsStore is no string"),
        (b'{"proxies": 3}', ": proxies is no object"),
        (b'{"plugins": {"dockyard": 3}}', ": plugins.dockyard is no object"),
    ],
)
def test_a_malformed_docker_configuration(
    cli: Cli, context: Path, content: bytes, words: str
) -> None:
    file = cli.home / "docker" / "config.json"
    file.parent.mkdir()
    file.write_bytes(content)

    error = fails(cli, context)

    assert f"docker configuration {file}{words}" in error


@pytest.fixture
def with_helper(cli_for: CliFor, registry_with_login: Registry) -> Callable[[str, str], Cli]:
    """Give a command line whose credentials for the registry come from a shell script."""

    def make(host: str, script: str) -> Cli:
        cli = cli_for(host)
        programs = cli.home / "bin"
        programs.mkdir()
        helper = programs / "docker-credential-test"
        helper.write_text(f"#!/bin/sh\n{script}\n")
        helper.chmod(0o755)
        (cli.home / "docker").mkdir()
        config = {"credHelpers": {registry_with_login.address: "test"}}
        (cli.home / "docker" / "config.json").write_text(json.dumps(config))
        cli.variables["PATH"] = f"{programs}:{os.environ['PATH']}"
        return cli

    return make


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo it is broken; exit 1", "it is broken"),
        ("echo it is broken >&2; exit 7", "it is broken"),
        ("kill -9 $$", ""),
        ("echo nonsense", ""),
        ("head -c 100000000 /dev/zero", ""),
    ],
    ids=["stdout", "stderr", "killed", "nonsense", "endless"],
)
def test_a_credential_helper_that_fails(
    engine_26: Engine,
    with_helper: Callable[[str, str], Cli],
    registry_with_login: Registry,
    script: str,
    words: str,
) -> None:
    cli = with_helper(engine_26.host, script)
    dockerfile = f"FROM {registry_with_login.address}/private\n".encode()

    error = fails(cli, "-", stdin=dockerfile)

    assert "docker-credential-test" in error
    assert words in error


def test_a_credential_helper_that_is_missing(
    engine: Engine, with_helper: Callable[[str, str], Cli], registry_with_login: Registry
) -> None:
    cli = with_helper(engine.host, "")
    (cli.home / "bin" / "docker-credential-test").unlink()

    error = fails(cli, "-", stdin=f"FROM {registry_with_login.address}/private\n".encode())

    assert "docker-credential-test" in error


def test_a_credential_helper_that_hangs(
    engine_26: Engine, with_helper: Callable[[str, str], Cli], registry_with_login: Registry
) -> None:
    cli = with_helper(engine_26.host, 'echo $$ > "$HOME/pid"; exec sleep 1000')
    dockerfile = f"FROM {registry_with_login.address}/private\n".encode()

    error = fails(cli, "-", stdin=dockerfile, within=HELPER_WAIT + SECONDS)

    assert "docker-credential-test" in error
    assert not Path("/proc", (cli.home / "pid").read_text().strip()).exists()


# --- engines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("unix:///nowhere.sock", "failed to connect to the docker API at unix:///nowhere.sock"),
        ("tcp://127.0.0.1:1", "failed to connect to the docker API at tcp://127.0.0.1:1"),
        ("tcp://127.0.0.1:99999", "invalid engine address tcp://127.0.0.1:99999"),
        ("tcp://none.invalid:1", "failed to connect to the docker API at tcp://none.invalid:1"),
        ("what://ever", "invalid engine address what://ever"),
        ("ssh://", "invalid ssh address ssh://"),
    ],
)
def test_an_engine_that_is_not_there(cli_for: CliFor, context: Path, host: str, words: str) -> None:
    error = fails(cli_for(host), context)

    assert error.startswith(words)


UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


def endless(connection: socket.socket) -> None:
    """Answer with a head that never ends."""
    read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: and more\r\n" * 1000)


@pytest.mark.parametrize(
    "script",
    [
        closing,
        answering(b""),
        answering(b"garbage\r\n\r\n"),
        answering(b"\x16\x03\x01\0\0\r\n\r\n"),
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        answering(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\n<p>a"),
        answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        endless,
        answering(UPGRADED),
        answering(UPGRADED + b"garbage" * 100),
        answering(UPGRADED + SETTINGS + b"\xff" * 100),
        answering(UPGRADED + SETTINGS + b"\xff\xff\xff\x00\0\0\0\0\x01"),
    ],
    ids=[
        "hangs up",
        "reads and hangs up",
        "no HTTP",
        "TLS",
        "200",
        "500",
        "404",
        "endless head",
        "upgrades and hangs up",
        "upgrades to text",
        "upgrades to broken HTTP/2",
        "upgrades to a huge frame",
    ],
)
def test_an_engine_that_answers_garbage(
    peers: Peers, cli_for: CliFor, context: Path, script: Script
) -> None:
    host = peers.unix(script).host

    error = fails(cli_for(host), context)

    assert host.removeprefix("unix://") in error or "BuildKit" in error or "docker" in error


def upgrading(connection: socket.socket) -> None:
    """Upgrade, and say nothing any more."""
    read_head(connection)
    connection.sendall(UPGRADED)
    silent(connection)


def upgrading_to_http2(connection: socket.socket) -> None:
    """Upgrade, speak HTTP/2, and answer no call."""
    read_head(connection)
    connection.sendall(UPGRADED + SETTINGS)
    silent(connection)


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        end(process)


def test_an_engine_that_never_answers(
    peers: Peers, cli_for: CliFor, context: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    scripts: Sequence[Script] = (silent, upgrading, upgrading_to_http2)
    began = time.monotonic()
    started += [cli_for(peers.unix(script).host).start("build", context) for script in scripts]

    ends = [process.communicate(timeout=WAIT + SECONDS) for process in started]

    for process, (out, err) in zip(started, ends, strict=True):
        done = Finished(process.returncode, out.decode(), err.decode())
        error_of(done, time.monotonic() - began, WAIT + SECONDS)


# --- outputs -----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("kind", ["local", "tar"])
def test_a_full_disk(cli: Cli, context: Path, small_disk: Path, kind: str) -> None:
    (context / "notes").write_bytes(os.urandom(3 << 20))
    dest = small_disk / "out"

    error = fails(cli, "-o", f"type={kind},dest={dest}", context)

    assert error.startswith("failed to build: cannot write ")
    assert str(dest) in error
    assert error.endswith("no space left on device")
    left = {path.name for path in small_disk.rglob("*")}
    assert left <= ({"out", "Dockerfile"} if kind == "local" else set())


def test_a_full_disk_keeps_the_earlier_archive(cli: Cli, context: Path, small_disk: Path) -> None:
    (context / "notes").write_bytes(os.urandom(3 << 20))
    dest = small_disk / "out.tar"
    dest.write_text("from before")

    fails(cli, "-o", f"type=tar,dest={dest}", context)

    assert dest.read_text() == "from before"
    assert [path.name for path in small_disk.iterdir()] == ["out.tar"]


def test_a_full_disk_for_the_metadata(cli: Cli, context: Path, small_disk: Path) -> None:
    filled = subprocess.run(
        ["dd", "if=/dev/zero", f"of={small_disk / 'filler'}"], capture_output=True, check=False
    )
    assert filled.returncode == 1

    error = fails(cli, "--metadata-file", small_disk / "meta.json", context)

    assert error.endswith("no space left on device")
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


@pytest.mark.parametrize("kind", ["local", "tar"])
@pytest.mark.parametrize("dest", ["closed/out", "closed/more/out"])
def test_a_place_that_may_not_be_written(cli: Cli, context: Path, kind: str, dest: str) -> None:
    closed = cli.home / "closed"
    closed.mkdir(0o555)

    error = fails_unprivileged(cli, "-o", f"type={kind},dest={dest}", context)

    assert error.startswith("failed to build: cannot write ")
    assert error.endswith("permission denied")
    assert list(closed.iterdir()) == []


@pytest.mark.parametrize("clash", ["file", "directory"])
def test_what_stands_where_the_result_has_something_else(
    cli: Cli, context: Path, clash: str
) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY notes /a/b\n")
    out = cli.home / "out"
    if clash == "file":
        out.mkdir()
        (out / "a").write_text("a file where the result has a directory")
    else:
        (out / "a" / "b").mkdir(parents=True)
        (out / "a" / "b" / "kept").write_text("a directory where the result has a file")

    done = cli.run("build", "-o", "out", context)

    assert "Traceback" not in done.err
    if done.code == 0:  # as the reference: the newer takes the place
        assert (out / "a" / "b").read_text() == "text"
    else:
        assert done.code == 1
        assert done.err.count("ERROR: failed to build: ") == 1
        assert not (out / "a" / "b").is_file()
