"""Builds on real engines, by the command line."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from tools.engine import Engine

from support.cli import Cli, end, wait_for
from support.engines import ScratchContext, StartEngine
from support.registry import Registry
from support.website import git, publish

CliFor = Callable[[str], Cli]

SECONDS = 10
"""Within what a build ends that would go on for a thousand; mostly that is at once."""
OLDER = b"FROM scratch\nCOPY notes /older\n"
NEWER = b"FROM scratch\nCOPY notes /newer\n"


@pytest.fixture
def cli(engine: Engine, cli_for: CliFor) -> Cli:
    return cli_for(engine.host)


@pytest.fixture
def tag() -> str:
    return f"dockyard-test-{uuid4().hex[:8]}:1"


def docker(engine: Engine, *arguments: str) -> str:
    return engine.docker(*arguments).stdout


def is_old(engine: Engine) -> bool:
    return docker(engine, "version", "--format", "{{.Server.Version}}").startswith("20.10")


def is_containerd(engine: Engine) -> bool:
    return "io.containerd.snapshotter" in docker(engine, "info", "--format", "{{.DriverStatus}}")


def test_row_127_a_directory_becomes_an_image_in_the_engine_and_runs(
    cli: Cli, engine: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    context = scratch_context('CMD ["/bin/busybox", "echo", "hello", "world"]')

    done = cli.ok("build", "-t", tag, context)

    assert '#0 building with "default" instance using docker driver' in done.err
    assert " [internal] load build definition from Dockerfile" in done.err
    assert tag in docker(engine, "image", "inspect", "--format", "{{.RepoTags}}", tag)
    assert docker(engine, "run", "--rm", "--network=none", tag).strip() == "hello world"


def test_a_second_build_is_cached(cli: Cli, scratch_context: ScratchContext) -> None:
    context = scratch_context('RUN ["/bin/busybox", "touch", "/made"]')
    cli.ok("build", context)

    done = cli.ok("build", context)

    assert done.err.count(" CACHED") >= 2


def test_row_139_no_cache_builds_every_step_and_its_filter_only_some(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context(
        'RUN ["/bin/busybox", "echo", "first ran"]',
        "FROM scratch AS other",
        "COPY --from=0 /bin/busybox /bin/busybox",
        'RUN ["/bin/busybox", "echo", "other ran"]',
    )
    cli.ok("build", "--no-cache", context)

    cached = cli.ok("build", context)
    whole = cli.ok("build", "--no-cache", context)
    some = cli.ok("build", "--no-cache-filter", "other", context)

    assert [line.count("first ran\n") for line in (cached.err, whole.err, some.err)] == [0, 1, 0]
    assert [line.count("other ran\n") for line in (cached.err, whole.err, some.err)] == [0, 1, 1]
    assert "--no-cache and --no-cache-filter cannot" in cli.refused(
        "build", "--no-cache", "--no-cache-filter", "x", context
    )


def test_row_133_arguments_labels_and_target_reach_the_build(
    cli: Cli, engine: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    context = scratch_context(
        "FROM scratch AS wanted",
        "ARG A",
        "ARG B=default",
        "LABEL a=$A b=$B",
        "COPY busybox /",
        "FROM nowhere.invalid/never AS unwanted",
    )

    cli.ok(
        "build", "-t", tag, "--target", "wanted", "--build-arg", "A=one", "--label=c=three", context
    )

    labels = json.loads(docker(engine, "inspect", "--format", "{{json .Config.Labels}}", tag))
    assert labels == {"a": "one", "b": "default", "c": "three"}


def test_row_125_a_directory_is_sent_once_and_then_only_what_is_new(
    engine_26: Engine, cli_for: CliFor, scratch_context: ScratchContext
) -> None:
    cli = cli_for(engine_26.host)
    context = scratch_context(large=os.urandom(3 << 20))

    first = cli.ok("build", context)
    (context / "small").write_text("new")
    second = cli.ok("build", context)

    sent = [
        re.findall(r"transferring context: ([\d.]+)([kM]?B)", each.err) for each in (first, second)
    ]
    assert sent[0][-1][1] == "MB"
    assert sent[1][-1][1] in {"B", "kB"}


def test_row_126_proxies_of_dockers_configuration_reach_run(
    engine_26: Engine, cli_for: CliFor, scratch_context: ScratchContext
) -> None:
    cli = cli_for(engine_26.host)
    here, elsewhere = "http://here.invalid:1", "http://elsewhere.invalid:1"
    proxies = {
        "default": {"httpProxy": elsewhere, "httpsProxy": elsewhere},
        engine_26.host: {"httpProxy": here, "noProxy": "example.invalid"},
    }
    (cli.home / "docker").mkdir()
    (cli.home / "docker/config.json").write_text(json.dumps({"proxies": proxies}))
    context = scratch_context('RUN ["/bin/busybox", "env"]')

    ours = cli.ok("build", "--no-cache", context)
    given = cli.ok("build", "--no-cache", "--build-arg", f"http_proxy={elsewhere}", context)

    assert f" HTTP_PROXY={here}\n" in ours.err
    assert " NO_PROXY=example.invalid\n" in ours.err
    assert elsewhere not in ours.err
    assert here not in given.err


def test_row_140_pull_asks_the_registry_for_a_newer_base(
    engine_26: Engine, cli_for: CliFor, scratch_context: ScratchContext, registry: Registry
) -> None:
    cli = cli_for(engine_26.host)
    base = f"{registry.address}/base/{uuid4().hex[:8]}"
    cli.ok("build", "--push", "-t", base, scratch_context(notes=b"", Dockerfile=NEWER))
    cli.ok("build", "-t", base, scratch_context(notes=b"", Dockerfile=OLDER))
    (context := scratch_context()).joinpath("Dockerfile").write_text(f"FROM {base}\n")

    cli.ok("build", "-o", "local", context)
    cli.ok("build", "-o", "pulled", "--pull", context)

    assert (cli.home / "local/older").exists()
    assert (cli.home / "pulled/newer").exists()


def test_rows_141_and_142_hosts_and_networks_reach_run(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context(
        'RUN ["/bin/busybox", "cat", "/etc/hosts"]',
        'RUN ["/bin/busybox", "ip", "link"]',
    )

    done = cli.ok(
        "build", "--no-cache", "--network=none", "--add-host", "some.host:1.2.3.4", context
    )

    assert "1.2.3.4\tsome.host" in done.err.replace(" ", "\t")
    assert "eth0" not in done.err


def test_row_142_host_gateway_is_the_engines_address(
    cli: Cli, engine: Engine, scratch_context: ScratchContext
) -> None:
    if is_old(engine):
        pytest.skip("the BuildKit in 20.10 does not tell the host gateway's address")
    context = scratch_context('RUN ["/bin/busybox", "cat", "/etc/hosts"]')

    done = cli.ok("build", "--no-cache", "--add-host=gw:host-gateway", context)

    line = next(line for line in done.err.splitlines() if line.endswith("gw"))
    assert line.split()[-2].count(".") == 3


def test_row_143_limits_reach_run(
    cli: Cli, engine: Engine, scratch_context: ScratchContext
) -> None:
    if is_old(engine):
        pytest.skip("BuildKit has ulimits and shm-size since 0.10; 20.10 has 0.8")
    context = scratch_context(
        'RUN ["/bin/busybox", "sh", "-c", "ulimit -n; df -k /dev/shm | tail -1"]'
    )

    done = cli.ok("build", "--no-cache", "--ulimit", "nofile=123:456", "--shm-size=3m", context)

    assert " 123\n" in done.err
    assert " 3072 " in done.err


def test_row_134_several_tags_are_all_given(
    cli: Cli, engine: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    cli.ok("build", "-t", tag, "-t", f"{tag}-more", scratch_context())

    # Each by its name: a list of all goes wrong on some engines while others remove images.
    form = ("image", "inspect", "--format", "{{.Id}}")
    assert docker(engine, *form, tag) == docker(engine, *form, f"{tag}-more")


def test_row_159_quiet_prints_the_image_id_and_nothing_else(
    cli: Cli, engine: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    done = cli.ok("build", "-q", "-t", tag, scratch_context())

    assert done.err == ""
    assert done.out.strip() == docker(engine, "inspect", "--format", "{{.Id}}", tag).strip()


def test_row_159_the_image_id_and_the_metadata_are_written(
    cli: Cli, engine: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    (cli.home / "iid").write_text("from an earlier build")

    cli.ok("build", "--iidfile", "iid", "--metadata-file=meta.json", "-t", tag, scratch_context())

    image_id = docker(engine, "inspect", "--format", "{{.Id}}", tag).strip()
    assert (cli.home / "iid").read_text() == image_id
    metadata = json.loads((cli.home / "meta.json").read_text())
    assert metadata["containerimage.digest"].startswith("sha256:")
    assert metadata["buildx.build.ref"].startswith("default/default/")
    if not is_old(engine):
        assert metadata["image.name"] == f"docker.io/library/{tag}"


def test_a_failed_build_leaves_no_image_id_and_shows_the_step_and_its_lines(
    cli: Cli, engine: Engine, scratch_context: ScratchContext
) -> None:
    (cli.home / "iid").write_text("from an earlier build")
    context = scratch_context('RUN ["/bin/busybox", "sh", "-c", "echo some output; exit 7"]')

    done = cli.run("build", "--iidfile", "iid", context)

    assert done.code == 1
    assert not (cli.home / "iid").exists()
    assert "\n------\n > [" in done.err
    assert done.err.count("some output") >= 2
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("ERROR: failed to build: failed to solve: ")
    assert "exit code: 7" in last
    if not is_old(engine):  # it tells no place
        assert "Dockerfile:4\n--------------------\n" in done.err
        assert "   4 | >>> RUN [" in done.err


def test_a_dockerfile_that_does_not_parse_is_an_error_with_its_line(
    cli: Cli, engine: Engine, scratch_context: ScratchContext
) -> None:
    context = scratch_context("NONSENSE here")

    done = cli.run("build", context)

    assert done.code == 1
    assert "unknown instruction: NONSENSE" in done.err.strip().splitlines()[-1]
    if not is_old(engine):
        assert ">>> NONSENSE here" in done.err


def test_row_128_ignored_files_are_not_sent(cli: Cli, scratch_context: ScratchContext) -> None:
    context = scratch_context("COPY . /all", 'RUN ["/bin/busybox", "find", "/all"]')
    for name in ("kept.txt", "dropped.log", "sub/kept.txt", "sub/dropped.log", "deep/a/b.log"):
        (context / name).parent.mkdir(exist_ok=True, parents=True)
        (context / name).write_text(name)
    (context / ".dockerignore").write_text("**/*.log\n!deep/a/b.log\n.dockerignore\n")

    done = cli.ok("build", "--no-cache", context)

    assert "/all/sub/kept.txt" in done.err
    assert "/all/deep/a/b.log" in done.err
    assert "dropped" not in done.err


def archive(context: Path) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as packed:
        packed.add(context, arcname=".")
    return sink.getvalue()


def test_row_129_an_archive_on_stdin_is_a_context(
    cli: Cli, engine: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    cli.ok("build", "-t", tag, "-", stdin=archive(scratch_context()))

    assert docker(engine, "inspect", "--format", "{{.Id}}", tag).startswith("sha256:")


def test_row_129_a_dockerfile_on_stdin_has_an_empty_context(
    cli: Cli, engine: Engine, tag: str
) -> None:
    cli.ok("build", "-t", tag, "-", stdin=b"FROM scratch\nLABEL from=stdin\n")

    assert docker(engine, "inspect", "--format", "{{.Config.Labels.from}}", tag).strip() == "stdin"


def test_row_129_a_dockerfile_on_stdin_may_use_a_directory(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    context = scratch_context(notes=b"from the context")
    (context / "Dockerfile").unlink()
    dockerfile = (
        b"FROM scratch\nCOPY busybox /bin/busybox\nCOPY notes /\n"
        b'RUN ["/bin/busybox", "cat", "/notes"]\n'
    )

    done = cli.ok("build", "--no-cache", "-f", "-", context, stdin=dockerfile)

    assert "from the context" in done.err


def test_a_dockerfile_of_another_name_and_place(
    cli: Cli, engine: Engine, scratch_context: ScratchContext, tag: str
) -> None:
    context = scratch_context()
    (cli.home / "Other").write_text("FROM scratch\nLABEL is=other\nCOPY busybox /\n")

    cli.ok("build", "-f", "Other", "-t", tag, context)

    assert docker(engine, "inspect", "--format", "{{.Config.Labels.is}}", tag).strip() == "other"


def test_row_130_an_archive_from_a_website_is_a_context(
    cli: Cli, engine: Engine, scratch_context: ScratchContext, website: tuple[Path, str], tag: str
) -> None:
    folder, url = website
    (folder / "context.tar.gz").write_bytes(archive(scratch_context("LABEL from=web")))

    cli.ok("build", "-t", tag, f"{url}/context.tar.gz")

    assert docker(engine, "inspect", "--format", "{{.Config.Labels.from}}", tag).strip() == "web"


def test_row_130_a_git_repository_is_a_context(
    cli: Cli, engine: Engine, scratch_context: ScratchContext, website: tuple[Path, str], tag: str
) -> None:
    folder, url = website
    work = scratch_context()
    (work / "sub").mkdir()
    (work / "sub" / "Dockerfile").write_text("FROM scratch\nLABEL from=git\n")

    git(work, "init", "-b", "main")
    git(work, "add", "sub")
    git(work, "commit", "-m", "one")
    publish(work, folder / "repo.git")

    if is_old(engine):  # it cannot build from a folder of the repository
        cli.ok("build", "-t", tag, "-f", "sub/Dockerfile", f"{url}/repo.git#main")
    else:
        cli.ok("build", "-t", tag, f"{url}/repo.git#main:sub")

    assert docker(engine, "inspect", "--format", "{{.Config.Labels.from}}", tag).strip() == "git"


def test_row_151_files_come_back(cli: Cli, scratch_context: ScratchContext) -> None:
    context = scratch_context(notes=b"text")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY notes /deep/notes\n")
    (context / "notes").chmod(0o640)

    cli.ok("build", "-o", "out", context)

    assert (cli.home / "out" / "deep" / "notes").read_bytes() == b"text"
    assert (cli.home / "out" / "deep" / "notes").stat().st_mode & 0o777 == 0o640


def test_row_151_an_archive_comes_back(cli: Cli, scratch_context: ScratchContext) -> None:
    context = scratch_context(notes=b"text")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY notes /deep/notes\n")

    cli.ok("build", "--output=type=tar,dest=made/out.tar", context)

    with tarfile.open(cli.home / "made" / "out.tar") as packed:
        member = packed.extractfile("deep/notes")
        assert member is not None
        assert member.read() == b"text"
    assert sorted(path.name for path in (cli.home / "made").iterdir()) == ["out.tar"]


def test_row_151_an_archive_goes_to_stdout(cli: Cli, scratch_context: ScratchContext) -> None:
    context = scratch_context(notes=b"text")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY notes /notes\n")
    process = cli.start("build", "-o", "-", context)
    out, err = process.communicate(timeout=120)

    assert process.returncode == 0, err
    with tarfile.open(fileobj=io.BytesIO(out)) as packed:
        assert packed.getnames() == ["notes"]


def test_an_oci_archive_needs_the_containerd_store(
    cli: Cli, engine: Engine, scratch_context: ScratchContext
) -> None:
    arguments = ("build", "-o", "type=oci,dest=image.tar", scratch_context())
    if is_containerd(engine):
        cli.ok(*arguments)
        with tarfile.open(cli.home / "image.tar") as packed:
            assert {"oci-layout", "index.json"} <= set(packed.getnames())
        return

    message = cli.refused(*arguments)

    assert message.startswith(
        "failed to build: OCI exporter is not supported for the docker driver.\n"
        "Switch to a different driver, or turn on the containerd image store, and try again.\n"
        "Learn more at https://docs.docker.com/go/build-exporters/\n"
        "Tarball output: installed drivers that can: docker-container"
    )
    assert not (cli.home / "image.tar").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--platform=linux/amd64,linux/arm64"], "Multi-platform build"),
        (["--cache-to=type=local,dest=cache"], "Cache export"),
    ],
)
def test_what_a_classic_store_cannot_do_is_refused(
    cli_for: CliFor,
    engine_26: Engine,
    scratch_context: ScratchContext,
    flags: list[str],
    words: str,
) -> None:
    message = cli_for(engine_26.host).refused("build", *flags, scratch_context())

    assert message.startswith(f"failed to build: {words} is not supported for the docker driver.\n")


def test_row_135_two_platforms_are_one_image_on_the_containerd_store(
    cli_for: CliFor, engine_26_containerd: Engine, scratch_context: ScratchContext
) -> None:
    context = scratch_context()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY busybox /\n")
    cli = cli_for(engine_26_containerd.host)

    cli.ok("build", "--platform=linux/amd64,linux/arm64", "--metadata-file", "m.json", context)

    metadata = json.loads((cli.home / "m.json").read_text())
    assert metadata["containerimage.descriptor"]["mediaType"].endswith(
        ("image.index.v1+json", "manifest.list.v2+json")
    )


def test_row_164_an_interrupt_ends_the_build_on_the_daemon(
    cli: Cli, engine: Engine, scratch_context: ScratchContext
) -> None:
    mark = uuid4().hex
    context = scratch_context(
        f'RUN ["/bin/busybox", "sh", "-c", "echo begun {mark}; exec /bin/busybox sleep 1000"]'
    )
    process = cli.start("build", context)
    try:
        # What it says, and not only its line of the Dockerfile: an engine whose build is canceled
        # just when it puts the step's place together may lose the layers that all tests share.
        wait_for(process, f" begun {mark}\n".encode())
        interrupted = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        seconds = time.monotonic() - interrupted
    finally:
        end(process)

    assert process.returncode == 130, err
    assert b"ERROR: failed to build" in err
    assert b"context canceled" in err
    assert seconds < SECONDS
    # The step is gone: the same build, started anew, runs it again instead of joining it.
    again = cli.start("build", context)
    try:
        wait_for(again, f" begun {mark}\n".encode())
    finally:
        again.send_signal(signal.SIGINT)
        again.communicate(timeout=60)
        end(again)


def test_an_engine_that_dies_is_noticed_within_seconds(
    start_engine: StartEngine, cli_for: CliFor, scratch_context: ScratchContext
) -> None:
    engine = start_engine("26.1")
    context = scratch_context('RUN ["/bin/busybox", "sh", "-c", "echo begun; sleep 1000"]')
    process = cli_for(engine.host).start("build", context)
    try:
        wait_for(process, b" begun\n")
        killed = time.monotonic()
        engine.kill()
        _, err = process.communicate(timeout=60)
        seconds = time.monotonic() - killed
    finally:
        end(process)

    assert process.returncode == 1
    last = err.decode().strip().splitlines()[-1]
    assert last.startswith("ERROR: failed to build: "), last
    assert "busybox" in last  # what was running
    assert seconds < SECONDS
