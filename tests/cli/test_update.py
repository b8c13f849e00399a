"""Tests for ``update``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cli import Cli, end, wait_for
from support.distribution import install
from support.scripted_buildkit import ScriptedBuildKit
from support.stand import PLUGINS, record, stand_cli, stand_log

HOST_NETWORK = "--allow-insecure-entitlement=network.host"
RUNNING = "the node is recreated, its build cache is kept; builds that run on it are cut off"
ABSENT = "the node is not booted, there is nothing to recreate"

CELLAR = """
import dockyard_stand
from attrs import evolve
from dockyard.driver import NodeStatus, Option, State
from dockyard.plugin import hookimpl
from dockyard_stand import *

@hookimpl
def dockyard_driver():
    more = (
        Option(name="disk", help="where the cache lies", default="one", loses_cache=True),
        Option(name="load", help="load what is built", default="no", recreates=False),
        Option(name="damp", help="whether nothing keeps", default="no"),
        Option(name="wing", help="where the node is", default="old"),
    )
    stand = dockyard_stand.dockyard_driver()
    return evolve(stand, name="cellar", priority=25, options=(*stand.options, *more))

@hookimpl
def dockyard_status(node):
    if node.options.get("wing") == "new":
        return NodeStatus(state=State.INACTIVE)
    loss = "the cellar is damp" if node.options.get("damp") == "yes" else ""
    return evolve(dockyard_stand.dockyard_status(node), cache_loss=loss)
"""
"""The driver ``stand`` with two more options."""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    site = tmp_path / "site"
    install(
        site, "dockyard-cellar", {"dockyard": {"cellar": "cellar_driver"}}, cellar_driver=CELLAR
    )
    return stand_cli(tmp_path / "home", PYTHONPATH=f"{site}:{PLUGINS}")


@pytest.fixture
def running(cli: Cli, tmp_path: Path) -> Iterator[Path]:
    """The builder ``a``, whose one node runs; gives the node's place."""
    with ScriptedBuildKit(tmp_path / "d") as daemon:
        daemon.workers = lambda: [{"ID": "w1"}]
        cli.ok(
            *("create", "--name", "a", "--bootstrap", "--driver-opt", "needs-boot=true,color=blue"),
            *("--driver-opt", "env.A=1", "--buildkitd-flags", "--debug", f"stand://{tmp_path}/d"),
        )
        (cli.home / "stand.log").unlink()
        yield tmp_path / "d"


@pytest.fixture
def cellar(cli: Cli, running: Path) -> str:
    """A builder of the other driver, with the same daemon."""
    flags = ("--driver", "cellar", "--driver-opt", "needs-boot=true")
    cli.ok("create", "--name", "c", "--bootstrap", *flags, f"stand://{running}")
    (cli.home / "stand.log").unlink(missing_ok=True)  # it was running already
    return "c"


def node(cli: Cli, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = record(cli, "a")["Nodes"][place]
    return found


def is_booted(place: Path) -> bool:
    return place.with_suffix(".booted").exists()


def file_of(cli: Cli) -> Path:
    return cli.home / "docker/buildx/instances/a"


def written(cli: Cli) -> tuple[int, int]:
    """Tell when the record was written; each writing makes a new file."""
    found = file_of(cli).stat()
    return found.st_ino, found.st_mtime_ns


# --- what changes ----------------------------------------------------------------------------


def test_a_running_node_is_made_anew_with_its_cache(cli: Cli, running: Path) -> None:
    done = cli.ok("update", "a", "--driver-opt", "color=green")

    assert done.out == f"a0: color blue -> green; {RUNNING}\n"
    assert "[internal] removing a0" in done.err
    assert "[internal] booting buildkit" in done.err
    assert done.err.endswith("a updated\n")
    assert stand_log(cli) == ["stop a0", "rm a0 force keep-state", "boot a0 green"]
    assert node(cli)["DriverOpts"] == {"needs-boot": "true", "color": "green", "env.A": "1"}
    assert "running" in cli.ok("inspect", "a").out


def test_a_node_that_nobody_can_ask_is_left_alone(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "--driver-opt", "color=blue", "stand://lost/0")

    refused = cli.refused("update", "a", "--driver-opt", "color=green")

    assert refused == "failed to initialize builder a (a0): nobody can be asked"
    assert node(cli)["DriverOpts"] == {"color": "blue"}


def test_a_node_that_keeps_no_cache_is_made_anew_only_if_that_may_be(cli: Cli, cellar: str) -> None:
    flags = ("update", cellar, "--driver-opt", "damp=yes,color=green")
    refused = cli.refused(*flags)

    done = cli.ok(*flags, "--allow-cache-loss")

    assert refused == (
        "making node c0 anew would lose its build cache, because the cellar is damp\n"
        "--allow-cache-loss changes it all the same"
    )
    assert "the node is recreated, its build cache is lost" in done.out
    assert stand_log(cli) == ["stop c0", "rm c0 force", "boot c0 green"]


def test_a_node_is_found_where_it_is_when_its_new_settings_lead_elsewhere(
    cli: Cli, cellar: str
) -> None:
    done = cli.ok("update", cellar, "--driver-opt", "wing=new")

    assert done.out == f"c0: wing old -> new; {RUNNING}\n"
    assert stand_log(cli) == ["stop c0", "rm c0 force keep-state", "boot c0 red"]


def test_options_are_added_to_those_there_are_and_removed_by_name(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "--driver-opt", "color=blue,env.A=1", "stand://down/0")

    done = cli.ok(
        *("update", "a", "--driver-opt", "needs-boot=1,env.B=secret"),
        *("--driver-opt-rm", "color", "--driver-opt-rm", "env.A"),
    )

    assert done.out == (
        f"a0: color blue -> red, env.A: removed, env.B: added, needs-boot false -> 1; {ABSENT}\n"
    )
    assert node(cli)["DriverOpts"] == {"needs-boot": "1", "env.B": "secret"}
    assert stand_log(cli) == []


def test_values_of_environment_variables_are_not_shown(cli: Cli, running: Path) -> None:
    done = cli.ok("update", "a", "--driver-opt", "env.A=hunter2")

    assert done.out == f"a0: env.A: changed; {RUNNING}\n"
    assert "hunter2" not in done.out + done.err


def test_flags_and_configuration_take_the_place_of_the_old_ones(cli: Cli) -> None:
    (cli.home / "ca.pem").write_text("x")
    (cli.home / "old.toml").write_text('[registry."r"]\nca = ["ca.pem"]\n')
    (cli.home / "new.toml").write_text('[registry."docker.io"]\nmirrors = ["m:5000"]\n')
    cli.ok("create", "--name", "a", "--buildkitd-config", "old.toml", "stand://down/0")

    done = cli.ok("update", "a", "--buildkitd-config", "new.toml", "--buildkitd-flags", "--debug")

    assert done.out == (
        f"a0: buildkitd flags {HOST_NETWORK} -> --debug {HOST_NETWORK}, buildkitd.toml: changed, "
        f"certs/r/ca.pem: removed; {ABSENT}\n"
    )
    assert list(node(cli)["Files"]) == ["buildkitd.toml"]
    assert node(cli)["Flags"] == ["--debug", HOST_NETWORK]


def test_empty_values_take_configuration_flags_and_platforms_away(cli: Cli) -> None:
    (cli.home / "my.toml").write_text("debug = true\n")
    cli.ok(
        *("create", "--name", "a", "--buildkitd-config", "my.toml", "--buildkitd-flags", "--debug"),
        *("--platform", "arm64", "stand://down/0"),
    )

    cli.ok("update", "a", "--buildkitd-config", "", "--buildkitd-flags=", "--platform", "")

    assert (node(cli)["Files"], node(cli)["Flags"]) == (None, [HOST_NETWORK])
    assert not node(cli)["Platforms"]


def test_what_needs_no_new_node_leaves_it_running(cli: Cli, running: Path) -> None:
    done = cli.ok("update", "a", "--platform", "linux/arm64/v8,armhf")

    assert done.out == (
        "a0: platforms unset -> linux/arm64,linux/arm/v7; the node is not recreated\n"
    )
    assert len(node(cli)["Platforms"]) == 2
    assert stand_log(cli) == []


def test_a_driver_may_declare_an_option_that_needs_no_new_node(cli: Cli, running: Path) -> None:
    file_of(cli).write_text(file_of(cli).read_text().replace('"stand"', '"cellar"'))

    done = cli.ok("update", "a", "--driver-opt", "load=yes")

    assert done.out == "a0: load no -> yes; the node is not recreated\n"
    assert stand_log(cli) == []


def test_writing_a_default_down_needs_no_new_node(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://stopped/0")

    assert cli.ok("update", "a", "--driver-opt", "color=red").out == (
        "a0: color red, as by default; the node is not recreated\n"
    )
    assert node(cli)["DriverOpts"] == {"color": "red"}


def test_a_stopped_node_is_removed_and_stays_down(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://stopped/0")

    done = cli.ok("update", "a", "--driver-opt", "color=green")

    assert done.out == (
        "a0: color red -> green; the stopped node is removed, its build cache is kept; "
        "the next build boots it anew\n"
    )
    assert stand_log(cli) == ["stop a0", "rm a0 force keep-state"]


def test_a_node_can_be_made_anew_without_new_settings(cli: Cli, running: Path) -> None:
    before = file_of(cli).read_bytes()

    done = cli.ok("update", "a", "--recreate")

    assert done.out == f"a0: no new settings; {RUNNING}\n"
    assert stand_log(cli) == ["stop a0", "rm a0 force keep-state", "boot a0 blue"]
    assert file_of(cli).read_bytes() == before


def test_nothing_to_change_touches_nothing(cli: Cli, running: Path) -> None:
    before = written(cli)

    for line in ([], ["--driver-opt", "color=blue"], ["--driver-opt-rm", "env.B"]):
        done = cli.ok("update", "a", *line)
        assert (done.out, done.err) == ("a: nothing to change\n", "")

    assert written(cli) == before
    assert stand_log(cli) == []


def test_a_dry_run_shows_and_touches_nothing(cli: Cli, running: Path) -> None:
    before = written(cli)

    done = cli.ok("update", "a", "--dry-run", "--driver-opt", "color=green")

    assert (done.out, done.err) == (f"a0: color blue -> green; {RUNNING}\n", "")
    assert written(cli) == before
    assert stand_log(cli) == []


def test_without_a_name_the_selected_builder_is_changed(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "--use", "stand://down/0")
    cli.ok("create", "--name", "b", "stand://down/1")

    cli.ok("update", "--driver-opt", "color=green")
    cli.ok("--builder", "B", "update", "--driver-opt", "color=white")

    assert node(cli)["DriverOpts"] == {"color": "green"}
    assert record(cli, "b")["Nodes"][0]["DriverOpts"] == {"color": "white"}


def test_what_nobody_understands_in_a_record_survives(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://down/0")
    content = record(cli, "a")
    content["Later"] = {"x": 1}
    content["Nodes"][0]["Proxy"] = "p"
    file_of(cli).write_text(json.dumps(content))

    cli.ok("update", "a", "--driver-opt", "color=green")

    assert record(cli, "a")["Later"] == {"x": 1}
    assert node(cli)["Proxy"] == "p"


def test_an_unusable_old_option_can_be_removed(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "--driver-opt", "color=blue", "stand://down/0")
    file_of(cli).write_text(file_of(cli).read_text().replace("color", "colour"))

    done = cli.ok("update", "a", "--driver-opt-rm", "colour")

    assert done.out == f"a0: colour: removed; {ABSENT}\n"
    assert not node(cli)["DriverOpts"]


# --- several nodes ---------------------------------------------------------------------------


@pytest.fixture
def two(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "--platform", "arm64", "stand://stopped/0")
    cli.ok("create", "--name", "a", "--append", "stand://stopped/1")


@pytest.mark.usefixtures("two")
def test_every_node_is_changed_unless_one_is_named(cli: Cli) -> None:
    one = cli.ok("update", "a", "--node", "A1", "--driver-opt", "color=green")
    both = cli.ok("update", "a", "--driver-opt", "color=green")

    assert [line.partition(";")[0] for line in one.out.splitlines()] == ["a1: color red -> green"]
    assert [line.partition(";")[0] for line in both.out.splitlines()] == ["a0: color red -> green"]
    assert [node(cli, place)["DriverOpts"] for place in (0, 1)] == [{"color": "green"}] * 2


@pytest.mark.usefixtures("two")
def test_platforms_move_from_node_to_node(cli: Cli) -> None:
    done = cli.ok("update", "a", "--node", "a1", "--platform", "arm64")

    assert done.out.splitlines() == [
        "a0: platforms linux/arm64 -> unset; the node is not recreated",
        "a1: platforms unset -> linux/arm64; the node is not recreated",
    ]


@pytest.mark.usefixtures("two")
def test_only_the_named_node_is_made_anew(cli: Cli) -> None:
    cli.ok("update", "a", "--node", "a0", "--recreate")

    assert stand_log(cli) == ["stop a0", "rm a0 force keep-state"]


# --- the cache -------------------------------------------------------------------------------


def test_what_would_lose_the_cache_is_refused_unless_allowed(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "--driver", "cellar", "stand://stopped/0")
    change = ("update", "a", "--driver-opt", "disk=two,color=green")

    assert cli.refused(*change).splitlines() == [
        "changing disk would lose the build cache of node a0",
        "--allow-cache-loss changes it all the same",
    ]
    assert (node(cli)["DriverOpts"], stand_log(cli)) == (None, [])

    done = cli.ok(*change, "--allow-cache-loss")

    assert "disk one -> two; the stopped node is removed, its build cache is lost" in done.out
    assert stand_log(cli) == ["stop a0", "rm a0 force"]


def test_the_drivers_options_that_lose_the_cache_are_shown(cli: Cli) -> None:
    lines = cli.ok("drivers", "inspect", "cellar").out.splitlines()
    content = json.loads(cli.ok("drivers", "inspect", "cellar", "--format", "json").out)
    matrix = json.loads(cli.ok("drivers", "--format", "json").out)["drivers"]

    shown = [
        line.split()[0] for line in lines if line.endswith("changing it loses the build cache")
    ]
    assert shown == ["disk"]
    assert [each["name"] for each in content["options"] if each["losesCache"]] == ["disk"]
    assert content in matrix


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nope --recreate", 'no builder "nope" found'),
        ("default --recreate", "context builder cannot be updated"),
        ("a --node zzz --recreate", 'node "zzz" not found for a'),
        ("a --driver-opt color", 'invalid value "color", expecting k=v'),
        (
            "a --driver-opt colr=1",
            "failed to initialize builder a (a0): invalid driver option colr for stand driver",
        ),
        (
            "a --driver-opt needs-boot=maybe",
            'failed to initialize builder a (a0): strconv.ParseBool: parsing "maybe": '
            "invalid syntax",
        ),
        ("a --driver-opt-rm colr", "invalid driver option colr for stand driver"),
        (
            "a --driver-opt color=x --driver-opt-rm color",
            "driver option color is to be both set and removed",
        ),
        (
            "a --buildkitd-config nope.toml",
            "buildkit configuration file not found: {home}/nope.toml: "
            "stat {home}/nope.toml: no such file or directory",
        ),
        (
            "a --buildkitd-flags 'x",
            "failed to parse buildkit flags: EOF found when expecting closing quote",
        ),
        (
            "a --platform bogus",
            '"bogus": unknown operating system or architecture: invalid argument',
        ),
        ("a --platform arm64", "a platform belongs to one node, and a has 2"),
        ("b --driver-opt color=x", "failed to initialize builder b (b0): oh"),
        (
            "c --timeout 300ms --driver-opt color=x",
            "failed to initialize builder c (c0): no answer within 0.3 seconds",
        ),
        ("kiosk --driver-opt color=x", 'failed to find driver "gone"'),
    ],
)
def test_what_cannot_be_done_is_refused_and_touches_nothing(
    cli: Cli, line: str, words: str
) -> None:
    folder = file_of(cli).parent
    cli.ok("create", "--name", "a", "stand://down/0")
    cli.ok("create", "--name", "a", "--append", "stand://down/1")
    text = file_of(cli).read_text()
    for name, place in (("b", "broken/oh"), ("c", "hang/x")):
        one = record(cli, "a")
        one["Nodes"] = [{**one["Nodes"][0], "Name": f"{name}0", "Endpoint": f"stand://{place}"}]
        (folder / name).write_text(json.dumps({**one, "Name": name}))
    (folder / "kiosk").write_text(text.replace('"stand"', '"gone"'))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    refused = cli.refused("update", *line.split(" "))

    assert refused.splitlines()[0] == words.format(home=cli.home)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert stand_log(cli) == []


def test_an_argument_too_many_is_refused(cli: Cli) -> None:
    assert "requires at most 1 argument" in cli.refused("update", "a", "stand://down/1", code=2)


# --- what goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("color", "words"),
    [("ugly", "too ugly to stand\npaint it"), ("divided", "ZeroDivisionError: an accident")],
)
def test_a_node_that_does_not_come_up_is_booted_as_it_was(
    cli: Cli, running: Path, color: str, words: str
) -> None:
    before = file_of(cli).read_bytes()

    refused = cli.refused("update", "a", "--driver-opt", f"color={color}")

    assert refused == f"node a0 could not be made anew, the old settings are back: {words}"
    assert file_of(cli).read_bytes() == before
    assert stand_log(cli) == [
        *("stop a0", "rm a0 force keep-state", f"boot a0 {color}"),
        *("stop a0", "rm a0 force keep-state", "boot a0 blue"),
    ]
    assert is_booted(running)


def test_a_node_that_comes_up_neither_way_is_told_with_both_reasons(
    cli: Cli, running: Path
) -> None:
    file_of(cli).write_text(file_of(cli).read_text().replace("blue", "ugly-blue"))
    before = file_of(cli).read_bytes()

    refused = cli.refused("update", "a", "--driver-opt", "color=ugly")

    assert refused.splitlines() == [
        "node a0 could not be made anew: too ugly to stand; and not as it was, either: "
        "too ugly-blue to stand",
        "once that is repaired, boot it with the old settings: dockyard inspect --bootstrap a",
    ]
    assert file_of(cli).read_bytes() == before


def test_a_node_that_cannot_be_removed_runs_on_as_it_was(cli: Cli, running: Path) -> None:
    text = file_of(cli).read_text().replace("stand:///", "stand://stuck/")
    file_of(cli).write_text(text)

    refused = cli.refused("update", "a", "--driver-opt", "color=green")

    assert refused == (
        "node a0 could not be made anew, the old settings are back: it is nailed down"
    )
    assert file_of(cli).read_text() == text
    assert stand_log(cli) == ["stop a0", "boot a0 blue"]


def test_nodes_that_came_up_go_back_with_the_one_that_did_not(
    cli: Cli, running: Path, tmp_path: Path
) -> None:
    (tmp_path / "e").touch()
    (tmp_path / "e.booted").touch()
    content = record(cli, "a")
    other = {**content["Nodes"][0], "Name": "a1", "Endpoint": f"stand://stuck{tmp_path}/e"}
    content["Nodes"].append(other)
    file_of(cli).write_text(json.dumps(content))

    refused = cli.refused("update", "a", "--driver-opt", "color=green")

    assert refused.startswith("node a1 could not be made anew, the old settings are back: ")
    assert record(cli, "a") == content
    assert stand_log(cli) == [
        *("stop a0", "rm a0 force keep-state", "boot a0 green", "stop a1"),
        *("stop a0", "rm a0 force keep-state", "boot a0 blue", "boot a1 blue"),
    ]


def test_one_node_that_does_not_come_back_keeps_no_other_from_it(
    cli: Cli, running: Path, tmp_path: Path
) -> None:
    content = record(cli, "a")
    first = content["Nodes"][0]
    for number, options in enumerate(({"color": "ugly-blue"}, {"color": "blue"}), start=1):
        place = tmp_path / f"e{number}"
        place.touch()
        place.with_suffix(".booted").touch()
        more = {"Name": f"a{number}", "Endpoint": f"stand://{place}"}
        content["Nodes"].append({**first, **more, "DriverOpts": {"needs-boot": "true", **options}})
    content["Nodes"][2]["Endpoint"] = f"stand://stuck{tmp_path}/e2"
    file_of(cli).write_text(json.dumps(content))

    refused = cli.refused("update", "a", "--driver-opt", "color=green")

    assert refused.startswith(
        "node a2 could not be made anew: it is nailed down; and not as it was, either: "
        "too ugly-blue to stand"
    )
    assert stand_log(cli)[-2:] == ["boot a1 ugly-blue", "boot a2 blue"]


@pytest.fixture
def booting(cli: Cli, running: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An update that has removed the old node and waits for the new one."""
    process = cli.start("update", "a", "--driver-opt", "color=dim")
    wait_for(process, b"setting up a0")
    yield process
    end(process)


def test_an_interrupt_puts_everything_back(
    cli: Cli, running: Path, booting: subprocess.Popen[bytes]
) -> None:
    os.killpg(booting.pid, signal.SIGINT)
    _, err = booting.communicate(timeout=50)

    assert booting.returncode == 130
    assert b"ERROR: context canceled, the old settings are back" in err
    assert node(cli)["DriverOpts"]["color"] == "blue"
    assert stand_log(cli)[-3:] == ["stop a0", "rm a0 force keep-state", "boot a0 blue"]
    assert is_booted(running)


def test_what_somebody_else_changed_meanwhile_stays(
    cli: Cli, running: Path, booting: subprocess.Popen[bytes]
) -> None:
    cli.ok("create", "--name", "a", "--node", "a0", "--driver-opt", "color=white")

    os.killpg(booting.pid, signal.SIGINT)
    _, err = booting.communicate(timeout=50)

    assert b"the settings stay as somebody else changed them meanwhile" in err
    assert node(cli)["DriverOpts"] == {"color": "white"}
    assert stand_log(cli)[-1] == "boot a0 dim"


def test_what_was_killed_half_way_is_made_anew_when_asked(
    cli: Cli, running: Path, booting: subprocess.Popen[bytes]
) -> None:
    end(booting)

    done = cli.ok("update", "a", "--recreate", "--driver-opt", "color=green")

    assert done.out == f"a0: color dim -> green; {ABSENT}\n"
    assert "running" in cli.ok("inspect", "--bootstrap", "a").out
    assert node(cli)["DriverOpts"]["color"] == "green"
