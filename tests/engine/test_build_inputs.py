"""What a build may be given, by the rows of the feature table, on real engines."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import re
import shutil
import socket
import subprocess
import tarfile
from base64 import b64decode
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

import dockyard
from dockyard.config import Environment
from support.cli import Cli
from support.engines import ScratchContext
from support.ssh_agent import SshAgentProcess, copy_ssh_add, make_key
from support.sshd import run_sshd
from support.website import make_repository, publish, served

CliFor = Callable[[str], Cli]

IGNORED = {
    "plain": ("foo\n/bar/\n", "a/foo foobar", "foo/a bar/b"),
    "stars": ("*.md\n**/*.log\n", "d/a.md", "a.md a.log d/e/a.log"),
    "again": ("*\n!keep\n!*.txt\n", "keep/a b.txt", "drop d/b.txt"),
    "order": ("!foo/bar\nfoo\n", "other", "foo/bar foo/baz"),
    "below": ("foo/**\n", "foobar", "foo/c foo/a/b"),
    "signs": ("#comment\n\\#real\n[^a].txt\na?c\n", "a.txt a/c", "#real b.txt abc"),
}
"""By name: an ignore file, what it keeps, what it keeps back; from the edge table of wire.md 5."""


@pytest.fixture
def cli(engine_26: Engine, cli_for: CliFor) -> Cli:
    return cli_for(engine_26.host)


@pytest.fixture
def old_cli(engine_20: Engine, cli_for: CliFor) -> Cli:
    return cli_for(engine_20.host)


@pytest.fixture
def tag() -> str:
    return f"dockyard-test-{uuid4().hex[:8]}:1"


def output_of(done_err: str) -> str:
    """Give what the steps printed, without the numbers in front."""
    return "\n".join(re.findall(r"^#\d+ \d+\.\d+ (.*)$", done_err, re.MULTILINE))


def labels(engine: Engine, tag: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        engine.docker("inspect", "--format", "{{json .Config.Labels}}", tag).stdout
    )
    return found


# --- contexts -------------------------------------------------------------------------------


def test_row_128_ignore_files_keep_back_what_the_edge_table_says(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    copies = [f"COPY --from={name} / /all/{name}" for name in IGNORED]
    context = scratch_context(*copies, 'RUN ["/bin/busybox", "find", "/all", "-type", "f"]')
    flags = []
    for name, (lines, kept, dropped) in IGNORED.items():
        folder = cli.home / f"ignored-{name}"
        for path in f"{kept} {dropped}".split():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
        (folder / ".dockerignore").write_text(lines + ".dockerignore\n")
        flags.append(f"--build-context={name}={folder}")

    done = cli.ok("build", "--no-cache", *flags, context)

    found = {word for word in output_of(done.err).split() if word.startswith("/all/")}
    wanted = {f"/all/{name}/{path}" for name, each in IGNORED.items() for path in each[1].split()}
    assert found == wanted


def test_row_128_a_dockerfiles_own_ignore_file_comes_first(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context("COPY . /all", 'RUN ["/bin/busybox", "ls", "/all"]', a=b"", b=b"")
    (context / "Dockerfile").rename(context / "Other")
    (context / ".dockerignore").write_text("a\n")
    (context / "Other.dockerignore").write_text("b\n")

    done = cli.ok("build", "--no-cache", "-f", context / "Other", context)

    shown = output_of(done.err).split()
    assert "a" in shown
    assert "b" not in shown


@pytest.mark.parametrize("pack", [bytes, bz2.compress, lzma.compress], ids=["tar", "bz2", "xz"])
def test_row_129_an_archive_on_stdin_is_unpacked(
    cli: Cli, engine_26: Engine, tag: str, pack: Callable[[bytes], bytes]
) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as packed:
        for name, data in {"Some": b"FROM scratch\nCOPY a /\n", "a": b"content"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))

    cli.ok("build", "-t", tag, "-f", "Some", "-", stdin=pack(sink.getvalue()))

    assert tag in engine_26.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout


def test_row_129_a_dockerfile_on_stdin_sees_the_context_or_nothing(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context(a=b"")

    cli.ok("build", "-f", "-", context, stdin=b"FROM scratch\nCOPY a /\n")
    alone = cli.run("build", "-", stdin=b"FROM scratch\nCOPY a /\n", cwd=context)

    assert alone.code == 1
    assert '"/a": not found' in alone.err


def test_row_136_named_contexts_are_directories_images_and_repositories(
    cli: Cli, engine_26: Engine, scratch_context: ScratchContext, tmp_path: Path, tag: str
) -> None:
    cli.ok("build", "-t", tag, scratch_context("LABEL base=yes"))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_text("from a directory")
    work, website = tmp_path / "work", tmp_path / "website"
    website.mkdir()
    work.mkdir()
    (work / "file").write_text("from git")
    make_repository(work)
    publish(work, website / "repository.git")
    (website / "page").write_text("from the web")
    (folder / "Dockerfile").write_text(
        "FROM base.invalid/image\n"
        "COPY --from=folder file /1\n"
        "COPY --from=repository file /2\n"
        "COPY --from=web page /3\n"
        "COPY --from=context file /4\n"
        'RUN ["/bin/busybox", "tail", "-n", "1", "/1", "/2", "/3", "/4"]\n'
    )

    with served(website) as url:
        done = cli.ok(
            "build",
            "--no-cache",
            f"--build-context=base.invalid/image:latest=docker-image://{tag}",
            "--build-context=folder=folder",
            f"--build-context=repository={url}/repository.git#main",
            f"--build-context=web={url}/page",
            "--build-context=context=folder",
            "-t", f"{tag}-more",
            "folder",
            cwd=tmp_path,
        )  # fmt: skip

    shown = output_of(done.err)
    assert shown.count("from a directory") == 2
    assert "from git" in shown
    assert "from the web" in shown
    assert labels(engine_26, f"{tag}-more") == {"base": "yes"}


def test_row_136_an_oci_layout_is_read_through_the_session(
    engine_26_containerd: Engine, cli_for: CliFor, scratch_context: ScratchContext, tag: str
) -> None:
    cli = cli_for(engine_26_containerd.host)
    base = scratch_context("LABEL base=layout")
    cli.ok("build", "-o", "type=oci,dest=layout,tar=false,name=base:v1", base)
    digest = json.loads((cli.home / "layout/index.json").read_text())["manifests"][0]["digest"]
    (base / "Dockerfile").write_text("FROM nowhere.invalid/image\n")

    for number, reference in enumerate(("layout", "layout:v1", f"layout@{digest}")):
        cli.ok(
            "build",
            "-t", f"{tag}-{number}",
            f"--build-context=nowhere.invalid/image=oci-layout://{reference}",
            base,
        )  # fmt: skip
        assert labels(engine_26_containerd, f"{tag}-{number}") == {"base": "layout"}


def test_row_136_a_context_that_cannot_be_used_is_told_before_anything_is_sent(cli: Cli) -> None:
    (cli.home / "Dockerfile").write_text("FROM scratch\n")

    for value, words in {
        "foo": "invalid context value: foo, expected key=value",
        "foo=nosuch": "failed to build: failed to get build context foo: stat nosuch: "
        "no such file or directory",
        "a=Dockerfile": "failed to build: failed to get build context path {Dockerfile <nil>}: "
        "not a directory",
        "a=target:b": "failed to build: failed to find target b for context a",
    }.items():
        done = cli.run("build", "--build-context", value, ".")
        assert done.code == 1
        assert f"ERROR: {words}" in done.err
        assert "#1" not in done.err


# --- secrets and agents ---------------------------------------------------------------------


@pytest.mark.parametrize("which", ["cli", "old_cli"])
def test_row_137_secrets_come_from_files_and_variables_and_stay_out_of_everything(
    request: pytest.FixtureRequest, scratch_context: ScratchContext, which: str
) -> None:
    cli: Cli = request.getfixturevalue(which)
    secret, hidden = uuid4().hex, uuid4().hex
    cli = attrs.evolve(cli, variables={"TOKEN": hidden})
    (cli.home / "secret").write_text(secret)
    context = scratch_context(
        "RUN --mount=type=secret,id=file --mount=type=secret,id=TOKEN "
        '["/bin/busybox", "md5sum", "/run/secrets/file", "/run/secrets/TOKEN"]',
        "RUN --mount=type=secret,id=nosuch "
        '["/bin/busybox", "sh", "-c", "ls /run/secrets/nosuch || echo none is there"]',
    )

    done = cli.ok(
        "build", "--no-cache", "--progress=rawjson",
        "--secret=id=file,src=secret", "--secret=id=TOKEN", context,
    )  # fmt: skip

    everything = done.out + done.err
    logs = b"".join(
        b64decode(log["data"])
        for line in done.err.splitlines()
        for log in json.loads(line).get("logs", ())
    ).decode()
    assert [word for word in logs.split() if len(word) == 32] == [
        md5(value.encode()).hexdigest() for value in (secret, hidden)
    ]
    assert "none is there" in logs
    for value in (secret, hidden):
        assert value not in everything
        kept = subprocess.run(
            ["grep", "-r", value, cli.home / "docker"], capture_output=True, check=False
        )
        assert not kept.stdout


def test_row_137_a_secret_that_a_step_needs_and_nobody_gave_is_the_steps_error(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context('RUN --mount=type=secret,id=x,required=true ["/bin/busybox", "true"]')

    assert "secret x: not found" in cli.refused("build", context)


@pytest.mark.parametrize("which", ["cli", "old_cli"])
def test_row_138_steps_sign_with_an_agent_and_with_keys(
    request: pytest.FixtureRequest,
    scratch_context: ScratchContext,
    tmp_path: Path,
    which: str,
) -> None:
    cli: Cli = request.getfixturevalue(which)
    with SshAgentProcess.running(tmp_path) as agent:
        agent.add_key("agents")
        key = make_key(tmp_path, "files", "ecdsa")
        context = scratch_context(
            "COPY tools *.pub /",
            "RUN --mount=type=ssh,required=true ssh-add -l && ssh-add -T /key-agents.pub "
            "&& echo agent signed && if ssh-add -D; then exit 9; fi",
            "RUN --mount=type=ssh,id=mine ssh-add -T /key-files.pub && echo key signed",
            "RUN --mount=type=ssh,id=other ssh-add -l || echo no other agent",
        )
        copy_ssh_add(context / "tools")
        for name in ("agents", "files"):
            shutil.copy(tmp_path / f"key-{name}.pub", context)
        cli = attrs.evolve(cli, variables={"SSH_AUTH_SOCK": str(agent.socket)})

        done = cli.ok("build", "--no-cache", "--ssh=default", f"--ssh=mine={key}", context)

        assert "agents" in agent.run("ssh-add", "-l").stdout
    shown = output_of(done.err)
    assert "agents (ED25519)" in shown
    assert "agent signed" in shown
    assert "key signed" in shown
    assert "no other agent" in shown


def test_row_138_an_agent_that_is_gone_is_a_warning_and_the_steps_error(
    cli: Cli, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    with SshAgentProcess.running(tmp_path) as agent:
        left = tmp_path / "left"
        left.symlink_to(agent.socket)
        context = scratch_context("COPY tools /", "RUN --mount=type=ssh ssh-add -l")
        copy_ssh_add(context / "tools")
        agent.socket.rename(agent.socket.with_name("moved"))
        with socket.socket(socket.AF_UNIX) as nobody:
            nobody.bind(str(agent.socket))

        done = cli.run("build", "--no-cache", f"--ssh=default={left}", context)

    assert done.code == 1
    assert f"WARNING: the ssh agent at {left} cannot be used: connection refused" in done.err
    assert '"/bin/sh -c ssh-add -l" did not complete successfully' in done.err


def test_row_138_git_over_ssh_gets_the_users_agent_without_being_told(
    cli: Cli, engine_26: Engine, tmp_path: Path, tag: str
) -> None:
    server, programs, work = (tmp_path / name for name in ("server", "programs", "work"))
    for folder in (server, programs, work):
        folder.mkdir()
    for name in ("git", "git-upload-pack"):
        program = shutil.which(name)
        assert program is not None
        (programs / name).symlink_to(program)
    (work / "Dockerfile").write_text("FROM scratch\nLABEL from=ssh\n")
    make_repository(work)

    with run_sshd(server, programs) as host, SshAgentProcess.running(tmp_path) as agent:
        url = f"{host.address}{work}/.git#main"
        cli = attrs.evolve(cli, variables={"SSH_AUTH_SOCK": str(agent.socket)})
        assert "Permission denied" in cli.run("build", url).err
        agent.run("ssh-add", "-q", server / "user")
        cli.ok("build", "-t", tag, url)

    assert labels(engine_26, tag) == {"from": "ssh"}


def test_rows_136_to_138_are_in_the_library_too(
    engine_26: Engine, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/file").write_text("from a directory")
    make_key(tmp_path, "mine")
    context = scratch_context(
        'RUN --mount=from=more,target=/more ["/bin/busybox", "cat", "/more/file"]',
        'RUN --mount=type=secret,id=one ["/bin/busybox", "md5sum", "/run/secrets/one"]',
        'RUN --mount=type=secret,id=two ["/bin/busybox", "md5sum", "/run/secrets/two"]',
        "RUN --mount=type=ssh,id=x,required=true ls -d $SSH_AUTH_SOCK",
    )
    variables = {"HOME": str(tmp_path), "DOCKER_HOST": engine_26.host, "TOKEN": "hush"}
    builder = dockyard.Builder(environment=Environment.from_process(variables=variables))
    logs: list[str] = []
    texts, values = ["id=one,env=TOKEN", "id=two,env=TOKEN"], {"one": b"hush", "two": b"hush"}

    for secrets in (texts, values):
        builder.build(
            context,
            secrets=secrets,
            ssh=[dockyard.SshAgent(id="x", keys=("key-mine",))],
            build_contexts={"more": "more"},
            working_directory=tmp_path,
            no_cache=True,
            on_progress=lambda update: logs.extend(log.data.decode() for log in update.logs),
        )

    shown = "".join(logs)
    assert shown.count("from a directory") == 2
    assert shown.count(md5(b"hush").hexdigest()) == 4
    assert shown.count("/run/buildkit/ssh_agent") == 2


# --- git and policies -----------------------------------------------------------------------


def test_row_148_git_information_becomes_labels(
    cli: Cli, engine_26: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    context = scratch_context()
    commit = make_repository(context)
    cli = attrs.evolve(cli, variables={"BUILDX_GIT_LABELS": "1", "BUILDX_GIT_CHECK_DIRTY": "1"})

    cli.ok("build", "-t", tag, "--label=other=label", context)

    assert labels(engine_26, tag) == {
        "com.docker.image.source.entrypoint": "Dockerfile",
        "org.opencontainers.image.revision": commit,
        "other": "label",
    }


def test_row_150_a_policy_in_a_context_that_the_daemon_fetches_is_found(
    cli: Cli, engine_20: Engine, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    work, website = scratch_context(), tmp_path / "website"
    website.mkdir()
    (work / "Dockerfile.rego").write_text("package docker\n")
    with tarfile.open(website / "context.tar", "w") as packed:
        packed.add(work, arcname=".")
    make_repository(work)
    publish(work, website / "repository.git")
    old = attrs.evolve(cli, docker_host=engine_20.host)

    with served(website) as url:
        for place in ("context.tar", "repository.git#main"):
            for one in (cli, old):
                assert "a policy in Rego is not supported by the current BuildKit" in one.refused(
                    "build", f"{url}/{place}"
                )


def test_row_150_a_source_policy_is_obeyed_or_refused_by_name(
    cli: Cli, engine_20: Engine, scratch_context: ScratchContext
) -> None:
    policy = {
        "rules": [
            {
                "action": "DENY",
                "selector": {"identifier": "docker-image://nowhere.invalid/*"},
            }
        ]
    }
    (cli.home / "policy.json").write_text(json.dumps(policy))
    cli = attrs.evolve(cli, variables={"EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": "policy.json"})
    context = scratch_context()

    cli.ok("build", context)
    (context / "Dockerfile").write_text("FROM nowhere.invalid/image\n")
    assert "denied by policy" in cli.refused("build", context)
    (context / "Dockerfile.rego").write_text("package docker\n")
    assert "a policy in Rego is not supported by the current BuildKit" in cli.refused(
        "build", context
    )
    assert "denied by policy" in cli.refused("build", "--policy=disabled=true", context)
    (context / "Dockerfile.rego").unlink()
    old = attrs.evolve(cli, docker_host=engine_20.host)
    assert "a source policy is not supported by the current BuildKit" in old.refused(
        "build", context
    )
