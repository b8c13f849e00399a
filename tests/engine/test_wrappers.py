"""Plugins that come and go: a wrapper that sees everything, broken ones, and none at all."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from tools.engine import Engine

from support.borrowed import SOURCE, install_borrowed
from support.cli import Cli
from support.distribution import install
from support.engines import ScratchContext
from support.stand import PLUGINS

CliFor = Callable[[str], Cli]

WATCHER = """\
import os
from dockyard.plugin import hookimpl
def seen(word, node):
    with open(os.environ["SEEN"], "a") as file: file.write(f"{word} {node.driver} {node.name}\\n")
@hookimpl(wrapper=True)
def dockyard_bootstrap(node): seen("bootstrap", node); return (yield)
@hookimpl(wrapper=True)
def dockyard_build(node): seen("build", node); return (yield)
@hookimpl(wrapper=True)
def dockyard_load(node): seen("load", node); return (yield)
@hookimpl(wrapper=True)
def dockyard_stop(node): seen("stop", node); return (yield)
@hookimpl(wrapper=True)
def dockyard_rm(node): seen("rm", node); return (yield)
"""

FORBIDS = """\
from dockyard.errors import InputError
from dockyard.plugin import hookimpl
@hookimpl(wrapper=True)
def dockyard_build(request):
    if not all(tag.startswith("ours/") for tag in request.tags):
        raise InputError("only names that begin with ours/ are allowed here")
    return (yield)
"""


@pytest.fixture
def cli(engine_26: Engine, cli_for: CliFor) -> Cli:
    """A command line to whose import path distributions can be added."""
    cli = cli_for(engine_26.host)
    cli.variables["PYTHONPATH"] = str(cli.home / "site")
    return cli


def add(cli: Cli, name: str, group: str, entry: str, source: str) -> None:
    """Install a distribution of one module, whose name is made of the distribution's."""
    module = name.replace("-", "_")
    install(cli.home / "site", name, {group: {entry: module}}, **{module: source})


def watch(cli: Cli) -> None:
    add(cli, "test-watcher", "dockyard.wrapper", "watcher", WATCHER)
    cli.variables["SEEN"] = str(cli.home / "seen")


def seen(cli: Cli) -> list[str]:
    file = cli.home / "seen"
    return file.read_text().splitlines() if file.exists() else []


def test_a_wrapper_sees_bootstrap_build_and_load_on_the_docker_driver(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    watch(cli)

    cli.ok("build", "-t", f"dockyard-test-{uuid4().hex[:8]}", scratch_context())

    assert seen(cli) == ["bootstrap docker default", "build docker default", "load docker default"]


def test_a_wrapper_sees_what_inspect_boots(cli: Cli, tmp_path: Path) -> None:
    cli.variables["PYTHONPATH"] += f":{PLUGINS}"
    cli.ok("create", "--name", "s", "--driver-opt", "needs-boot=true", f"stand://{tmp_path}/sock")
    watch(cli)

    cli.ok("inspect", "--bootstrap", "s")

    assert seen(cli) == ["bootstrap stand s0"]


def test_a_wrapper_sees_load_stop_and_rm_on_any_driver(
    cli: Cli, engine_26_containerd: Engine, scratch_context: ScratchContext
) -> None:
    install_borrowed(cli, engine_26_containerd.host)
    watch(cli)

    tag = f"dockyard-test-{uuid4().hex[:8]}"
    cli.ok("build", "--load", "-t", tag, scratch_context())
    cli.ok("stop")
    cli.ok("rm")

    assert seen(cli) == [
        f"{word} borrowed borrowed0"
        for word in ("bootstrap", "build", "load", "stop", "stop", "rm")  # rm stops before
    ]
    log = (cli.home / "borrowed.log").read_text().splitlines()
    assert log[-1] == "rm borrowed0"


def test_a_wrapper_forbids_a_build_in_its_own_words(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    add(cli, "test-forbids", "dockyard.wrapper", "forbids", FORBIDS)

    message = cli.refused("build", "-t", "theirs/app", scratch_context())
    cli.ok("build", "-t", f"ours/dockyard-test-{uuid4().hex[:8]}", scratch_context())

    assert message == "failed to build: only names that begin with ours/ are allowed here"


# --- broken ones -------------------------------------------------------------------------------


def names_it(text: str, *words: str) -> bool:
    return any(all(word in line for word in words) for line in text.splitlines())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("raise SystemExit(3)", "SystemExit"),
        ("def broken(:", "SyntaxError"),
        ("", "no dockyard_driver hook"),
    ],
    ids=["raises", "import", "exits", "syntax", "empty"],
)
def test_a_package_that_does_not_import_is_named_and_the_rest_works(
    cli: Cli, scratch_context: ScratchContext, source: str, words: str
) -> None:
    add(cli, "test-broken", "dockyard", "broken", source)

    listed = cli.ok("ls")
    drivers = cli.ok("drivers")
    cli.ok("build", scratch_context())

    assert "default" in listed.out
    assert "docker" in drivers.out
    assert names_it(drivers.out + drivers.err, "broken", "test-broken 1.0", words)
    message = cli.refused("create", "--name", "b", "--driver", "broken")
    assert "test-broken 1.0" in message


def test_a_wrapper_that_does_not_import_is_named_and_the_rest_works(
    cli: Cli, scratch_context: ScratchContext
) -> None:
    add(cli, "test-broken", "dockyard.wrapper", "broken", "raise RuntimeError('boom')")

    cli.ok("ls")
    drivers = cli.ok("drivers")
    done = cli.ok("build", scratch_context())

    assert names_it(drivers.err + drivers.out, "test-broken 1.0", "RuntimeError: boom")
    assert names_it(done.err, "test-broken 1.0", "RuntimeError: boom")


def test_two_packages_for_one_driver_are_both_named_and_the_rest_works(
    cli: Cli, engine_26_containerd: Engine, scratch_context: ScratchContext
) -> None:
    install_borrowed(cli, engine_26_containerd.host)
    again = SOURCE.read_text().replace('name="borrowed"', 'name="docker"')
    add(cli, "test-again", "dockyard", "docker", again)
    cli.variables["DOCKYARD_DISABLE_PLUGINS"] = "docker-container"  # it would serve the context

    listed = cli.ok("ls")
    drivers = cli.ok("drivers")
    cli.ok("build", "-o", "type=cacheonly", scratch_context())  # by the other driver
    message = cli.refused("--builder", "default", "build", scratch_context())

    clash = "driver 'docker' is provided by both dockyard-docker 0.1.0 and test-again 1.0"
    assert clash in drivers.out + drivers.err
    assert "borrowed" in drivers.out
    assert "borrowed" in listed.out
    assert clash in message
    assert "uninstall one of them" in message


def test_one_of_two_packages_is_switched_off(cli: Cli, scratch_context: ScratchContext) -> None:
    add(cli, "test-again", "dockyard", "docker", SOURCE.read_text())
    cli.variables["DOCKYARD_DISABLE_PLUGINS"] = "test-again"

    cli.ok("build", scratch_context())


# --- none --------------------------------------------------------------------------------------


@pytest.fixture(params=["switched off", "not installed"])
def absent(request: pytest.FixtureRequest, cli: Cli) -> Callable[..., tuple[int, str, str]]:
    """Run without the drivers, either way that they can be absent."""
    if request.param == "switched off":
        cli.variables["DOCKYARD_DISABLE_PLUGINS"] = "docker,docker-container,kubernetes,remote"

        def run_off(*arguments: str | Path) -> tuple[int, str, str]:
            done = cli.run(*arguments)
            return done.code, done.out, done.err

        return run_off
    site = cli.home / "site"
    site.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "dockyard_" not in entry.name:  # only the core is not called so
            (site / entry.name).symlink_to(entry)
    root = Path(__file__).resolve().parents[2]
    cli.variables["PYTHONPATH"] = f"{site}:{root / 'core'}"

    def run_bare(*arguments: str | Path) -> tuple[int, str, str]:
        start = "import sys; from dockyard.cli.main import dockyard; sys.exit(dockyard())"
        # -S: not the environment's own packages, among which the driver is.
        done = cli.run("-S", "-c", start, *arguments, program=sys.executable)
        return done.code, done.out, done.err

    return run_bare


def test_ls_works_without_drivers(
    absent: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, err = absent("ls")

    assert code == 0, err
    assert "Traceback" not in err
    assert "NAME/NODE" in out


def test_build_says_what_to_install_without_drivers(
    absent: Callable[..., tuple[int, str, str]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")

    code, _, err = absent("build", tmp_path)

    assert code == 1
    assert "Traceback" not in err
    assert err.startswith("ERROR: ")
    assert "pip install dockyard-docker" in err
    assert ("installed but switched off: docker" in err) == ("switched off" in request.node.name)
