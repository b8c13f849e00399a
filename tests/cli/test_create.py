"""Tests for ``create``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from support.cli import BIN, Cli
from support.scripted_buildkit import ScriptedBuildKit
from support.stand import record, records, stand_cli

HOST_NETWORK = "--allow-insecure-entitlement=network.host"
RESTART = "WARNING: new settings may not be used until builder is restarted\n"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return stand_cli(tmp_path / "home")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ScriptedBuildKit]:
    with ScriptedBuildKit(tmp_path / "d") as running:
        running.workers = lambda: [{"ID": "w1"}]
        yield running


def current(cli: Cli) -> str:
    content = json.loads((cli.home / "docker" / "buildx" / "current").read_text())
    name: str = content["Name"]
    return name


def kept(cli: Cli) -> list[Path]:
    """Give every file below docker's configuration directory but the lock."""
    files = (file for file in (cli.home / "docker").rglob("*") if file.is_file())
    return [file for file in files if file.name != ".lock"]


def test_a_builder_is_made_as_buildx_would_write_it(cli: Cli) -> None:
    done = cli.ok(
        *("create", "--name", "A_B.c-D", "--driver", "stand", "--platform", "linux/arm64/v8,armhf"),
        *("--driver-opt", "color=blue,env.A=1", "--driver-opt", '"env.B=2,3"'),
        *("--buildkitd-flags", "--debug 'a b'", "stand://down/x"),
    )

    assert (done.out, done.err) == ("A_B.c-D\n", "")
    assert records(cli) == ["a_b.c-d"]
    assert record(cli, "a_b.c-d") == {
        "Name": "A_B.c-D",
        "Driver": "stand",
        "Nodes": [
            {
                "Name": "a_b.c-d0",
                "Endpoint": "stand://down/x",
                "Platforms": [
                    {"architecture": "arm64", "os": "linux"},
                    {"architecture": "arm", "os": "linux", "variant": "v7"},
                ],
                "DriverOpts": {"color": "blue", "env.A": "1", "env.B": "2,3"},
                "Flags": ["--debug", "a b", HOST_NETWORK],
                "Files": None,
            }
        ],
        "Dynamic": False,
    }
    assert (cli.home / "docker/buildx/activity/A_B.c-D").exists()


def test_a_name_is_made_up_and_printed(cli: Cli) -> None:
    names = {cli.ok("create", f"stand://down/{number}").out.strip() for number in range(3)}

    assert len(names) == 3
    assert sorted(names) == records(cli)


def test_the_endpoint_variable_is_the_default_and_chooses_the_driver(tmp_path: Path) -> None:
    cli = stand_cli(tmp_path / "home", STAND_HOST="stand://down/env")

    cli.ok("create", "--name", "a")

    assert record(cli, "a")["Driver"] == "stand"
    assert record(cli, "a")["Nodes"][0]["Endpoint"] == "stand://down/env"


def test_a_configuration_is_stored_with_the_node(cli: Cli) -> None:
    (cli.home / "my.toml").write_text('insecure-entitlements = ["network.host"]\n')

    cli.ok("create", "--name", "a", "--buildkitd-config", "my.toml", "stand://down/x")

    node = record(cli, "a")["Nodes"][0]
    assert list(node["Files"]) == ["buildkitd.toml"]
    assert node["Flags"] is None


def test_the_default_configuration_is_taken_where_there_is_one(cli: Cli) -> None:
    (cli.home / "docker" / "buildx").mkdir(parents=True)
    (cli.home / "docker" / "buildx" / "buildkitd.default.toml").write_text("debug = true\n")

    cli.ok("create", "--name", "a", "stand://down/x")

    node = record(cli, "a")["Nodes"][0]
    assert node["Files"] == {"buildkitd.toml": "ZGVidWcgPSB0cnVlCg=="}
    assert node["Flags"] == [HOST_NETWORK]


# --- appending, changing, leaving ------------------------------------------------------------


def test_an_appended_node_takes_its_platforms_from_the_others(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "--platform", "arm64,amd64", "stand://down/0")

    done = cli.ok("create", "--name", "A", "--append", "--platform", "arm64", "stand://down/1")

    first, second = record(cli, "a")["Nodes"]
    assert (done.out, done.err) == ("a\n", "")
    assert first["Platforms"] == [{"architecture": "amd64", "os": "linux"}]
    assert second["Name"] == "a1"
    assert second["Platforms"] == [{"architecture": "arm64", "os": "linux"}]


def test_a_node_can_be_named(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "--node", "First", "stand://down/0")
    cli.ok("create", "--name", "a", "--append", "--node", "second", "stand://down/1")

    assert [node["Name"] for node in record(cli, "a")["Nodes"]] == ["first", "second"]


def test_a_changed_node_keeps_what_was_not_given(cli: Cli) -> None:
    cli.ok(
        *("create", "--name", "a", "--platform", "arm64", "--driver-opt", "color=blue,env.A=1"),
        *("--buildkitd-flags", "--debug", "stand://down/0"),
    )

    done = cli.ok("create", "--name", "a", "--node", "a0", "--driver-opt", "env.B=2")

    (node,) = record(cli, "a")["Nodes"]
    assert (done.out, done.err) == ("a\n", RESTART)
    assert node["Endpoint"] == "stand://down/0"
    assert node["Platforms"] == [{"architecture": "arm64", "os": "linux"}]
    assert node["DriverOpts"] == {"env.B": "2"}
    assert node["Flags"] == [HOST_NETWORK]


def test_unknown_keys_survive_a_change(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://down/0")
    file = cli.home / "docker/buildx/instances/a"
    content = json.loads(file.read_text())
    content["Later"] = {"x": 1}
    content["Nodes"][0]["Proxy"] = "p"
    file.write_text(json.dumps(content))

    cli.ok("create", "--name", "a", "--node", "a0", "--platform", "arm64")

    assert record(cli, "a")["Later"] == {"x": 1}
    assert record(cli, "a")["Nodes"][0]["Proxy"] == "p"


def test_a_node_leaves_in_silence(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://down/0")
    cli.ok("create", "--name", "a", "--append", "stand://down/1")

    done = cli.ok("create", "--name", "a", "--leave", "--node", "a0")

    assert (done.out, done.err) == ("", "")
    assert [node["Name"] for node in record(cli, "a")["Nodes"]] == ["a1"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "--name a stand://down/9",
            'existing instance for "a" but no append mode, specify the node name to make changes '
            "for existing instances",
        ),
        ("--name a --node zzz stand://down/9", "node zzz not found, did you mean to append?"),
        ("--append stand://down/9", "append requires a builder name"),
        ("--append --name nope stand://down/9", 'failed to find instance "nope" for append'),
        ("--driver kiosk", 'additional instances of driver "kiosk" cannot be created'),
        ("--name a --append stand://down/0", "invalid duplicate endpoint stand://down/0"),
        (
            "--name default stand://down/9",
            "default is a reserved name and cannot be used to identify builder instance",
        ),
        ("--name ctx2 stand://down/9", 'instance name "ctx2" already exists as context builder'),
        (
            "--name 1abc stand://down/9",
            "invalid name 1abc, name needs to start with a letter and may not contain symbols, "
            "except ._-",
        ),
        (
            "--name b --node 1x stand://down/9",
            "invalid name 1x, name needs to start with a letter and may not contain symbols, "
            "except ._-",
        ),
        ("--name b --driver-opt foo stand://down/9", 'invalid value "foo", expecting k=v'),
        ("--name b --driver-opt =1 stand://down/9", 'invalid value "=1", expecting k=v'),
        (
            "--name b --platform bogus stand://down/9",
            '"bogus": unknown operating system or architecture: invalid argument',
        ),
        (
            "--name b --platform bogus/x/y/z stand://down/9",
            '"bogus/x/y/z": cannot parse platform specifier: invalid argument',
        ),
        (
            "--name b --buildkitd-flags 'a stand://down/9",
            "failed to parse buildkit flags: EOF found when expecting closing quote",
        ),
        ("--name b", "no stand endpoint provided"),
        ("--name b foo://x", "unrecognized url scheme foo"),
        ("--leave --node a0", "leave requires instance name"),
        ("--leave --name a", "leave requires node name"),
        ("--leave --name nope --node a0", 'failed to find instance "nope" for leave'),
        ("--leave --name a --node nope", 'node "nope" not found for a'),
        (
            "--leave --name a --node a0",
            "can not leave last node, do you want to rm instance instead?",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_buildxs_words(cli: Cli, line: str, words: str) -> None:
    folder = cli.home / "docker/contexts/meta" / sha256(b"ctx2").hexdigest()
    folder.mkdir(parents=True)
    endpoints = {"docker": {"Host": "unix:///kiosk.sock"}}
    (folder / "meta.json").write_text(json.dumps({"Name": "ctx2", "Endpoints": endpoints}))
    cli.ok("create", "--name", "a", "stand://down/0")
    before = record(cli, "a")

    refused = cli.refused("create", *line.split(" "))

    assert refused.splitlines()[0] == words
    assert records(cli) == ["a"]
    assert record(cli, "a") == before


@pytest.mark.parametrize("kind", ["--name", "--node"])
@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "..",
        ".hidden",
        "/etc/x",
        "a/b",
        "a\\b",
        "-x",
        "_x",
        "a b",
        "a\nb",
        "a\tb",
        "é",
        "a;b",
    ],
)
def test_hostile_names_are_refused_and_leave_nothing(cli: Cli, kind: str, name: str) -> None:
    names = {"--name": "a", "--node": "n", kind: name}

    refused = cli.refused(
        "create", *(f"{flag}={value}" for flag, value in names.items()), "stand://down/0"
    )

    shown = name if name.isprintable() else repr(name)
    assert refused == (
        f"invalid name {shown}, name needs to start with a letter and may not contain symbols, "
        "except ._-"
    )
    assert kept(cli) == []


@pytest.mark.parametrize("kind", ["--name", "--node"])
def test_names_that_are_too_long_are_refused_and_leave_nothing(cli: Cli, kind: str) -> None:
    names = {"--name": "a", "--node": "n", kind: "x" * 256}

    assert cli.refused("create", *(f"{k}={v}" for k, v in names.items()), "stand://down/0") == (
        "name xxxxxxxxxxxxxxxxxxxx... is too long: it has 256 characters, and may have 255"
    )
    assert kept(cli) == []


def test_the_longest_name_can_be_used(cli: Cli) -> None:
    name = "x" * 255

    cli.ok("create", "--name", name, "--node", "n", "stand://down/0")

    assert cli.ok("inspect", name).out.startswith(f"Name:          {name}\n")
    cli.ok("rm", name)
    assert records(cli) == []


def test_an_unknown_driver_is_refused_with_what_to_do(cli: Cli) -> None:
    words = cli.refused("create", "--driver", "bogus", "x").splitlines()

    assert words[0] == 'failed to find driver "bogus"'
    assert "installed drivers: kiosk, stand" in words[1]


def test_another_driver_than_the_builders_is_refused(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://down/0")
    file = cli.home / "docker/buildx/instances/a"
    file.write_text(file.read_text().replace('"stand"', '"remote"'))

    assert cli.refused("create", "--name", "a", "--append", "--driver", "stand", "stand://x") == (
        'existing instance for "a" but has mismatched driver "remote"'
    )


def test_without_a_driver_that_makes_builders_the_remedy_is_told(tmp_path: Path) -> None:
    disabled = "stand,docker,docker-container,kubernetes,remote"
    cli = stand_cli(tmp_path / "home", DOCKYARD_DISABLE_PLUGINS=disabled)

    words = cli.refused("create", "--name", "a")

    assert words.splitlines()[0] == "no installed driver can make builders"
    assert "pip install" in words


# --- what happens after the record is written ------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "--driver-opt colr=1 stand://down/9",
            "failed to initialize builder b (b0): invalid driver option colr for stand driver",
        ),
        ("stand://broken/oh", "failed to initialize builder b (b0): oh"),
        (
            "--timeout 300ms stand://hang/x",
            "failed to initialize builder b (b0): no answer within 0.3 seconds",
        ),
    ],
)
def test_a_builder_that_cannot_be_used_is_not_kept(cli: Cli, line: str, words: str) -> None:
    refused = cli.refused("create", "--name", "b", "--use", *line.split())

    assert refused.splitlines()[0] == words
    assert records(cli) == []
    assert not (cli.home / "docker/buildx/current").exists()


def test_a_change_that_cannot_be_used_leaves_the_whole_old_record(cli: Cli) -> None:
    (cli.home / "my.toml").write_text("debug = true\n")
    cli.ok(
        *("create", "--name", "a", "--platform", "arm64", "--driver-opt", "color=blue"),
        *("--buildkitd-flags", "--debug", "--buildkitd-config", "my.toml", "stand://down/0"),
    )
    file = cli.home / "docker/buildx/instances/a"
    before = file.read_bytes()

    cli.refused("create", "--name", "a", "--node", "a0", "stand://broken/oh")

    assert file.read_bytes() == before


def test_use_selects_only_what_could_be_made(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "--use", "stand://down/0")
    assert current(cli) == "a"

    cli.refused("create", "--name", "b", "--use", "stand://broken/x")

    assert current(cli) == "a"


def test_bootstrap_boots_every_node_and_says_so(
    cli: Cli, daemon: ScriptedBuildKit, tmp_path: Path
) -> None:
    done = cli.ok(
        *("create", "--name", "a", "--bootstrap", "--driver-opt", "needs-boot=true"),
        f"stand://{tmp_path}/d",
    )

    assert done.out == "a\n"
    assert "[internal] booting buildkit" in done.err
    assert "setting up a0" in done.err
    assert (tmp_path / "d.booted").exists()
    assert "running" in cli.ok("inspect", "a").out


def test_bootstrap_of_several_nodes_names_each(cli: Cli, tmp_path: Path) -> None:
    cli.ok("create", "--name", "a", f"stand://{tmp_path}/x")

    done = cli.ok("create", "--name", "a", "--append", "--bootstrap", f"stand://{tmp_path}/y")

    assert "[a0 internal] booting buildkit" in done.err
    assert "[a1 internal] booting buildkit" in done.err


# --- several at once -------------------------------------------------------------------------


def start(cli: Cli, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [BIN / "dockyard", "create", *arguments],
        env=cli.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_builders_made_at_once_are_all_there(cli: Cli) -> None:
    running = [start(cli, "--name", f"b{number}", f"stand://down/{number}") for number in range(4)]

    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors

    assert records(cli) == ["b0", "b1", "b2", "b3"]


def test_nodes_appended_at_once_are_all_there(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://down/first")

    running = [start(cli, "--name", "a", "--append", f"stand://down/{n}") for n in range(4)]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors

    nodes = record(cli, "a")["Nodes"]
    assert [node["Name"] for node in nodes] == ["a0", "a1", "a2", "a3", "a4"]
    assert {node["Endpoint"] for node in nodes} == {
        "stand://down/first",
        *(f"stand://down/{number}" for number in range(4)),
    }


def test_of_two_makers_of_one_name_one_wins(cli: Cli) -> None:
    running = [start(cli, "--name", "a", f"stand://down/{number}") for number in range(2)]

    codes = []
    for process in running:
        process.communicate(timeout=60)
        codes.append(process.returncode)

    assert sorted(codes) == [0, 1]
    assert len(record(cli, "a")["Nodes"]) == 1
