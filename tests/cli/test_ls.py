"""Tests for ``ls``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from dockyard.cli.listing import shorten
from support.cli import Cli
from support.distribution import install
from support.scripted_buildkit import ScriptedBuildKit
from support.stand import PLUGINS, record, stand_cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return stand_cli(tmp_path / "home")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ScriptedBuildKit]:
    with ScriptedBuildKit(tmp_path / "d") as running:
        running.workers = lambda: [
            {
                "ID": "w1",
                "Labels": {"org.mobyproject.buildkit.worker.executor": "oci"},
                "platforms": [
                    {"Architecture": "amd64", "OS": "linux"},
                    {"Architecture": "amd64", "OS": "linux", "Variant": "v2"},
                    {"Architecture": "386", "OS": "linux"},
                ],
                "GCPolicy": [{"all": True, "keepDuration": 172_800_000_000_000}],
            }
        ]
        running.info = lambda: {"buildkitVersion": {"version": "v9.9"}}
        yield running


def rewrite_endpoint(cli: Cli, name: str, old: str, new: str) -> None:
    """Change an endpoint behind everybody's back, as a machine that dies does."""
    file = cli.home / "docker" / "buildx" / "instances" / name
    file.write_text(file.read_text().replace(old, new))


def test_the_table_is_buildxs_byte_for_byte(
    cli: Cli, daemon: ScriptedBuildKit, tmp_path: Path
) -> None:
    endpoint = f"stand://{tmp_path}/d"
    cli.ok("create", "--name", "Rem", "--platform", "linux/arm64", endpoint)
    cli.ok("use", "rem")

    done = cli.ok("ls")

    node = f" \\_ {endpoint}"
    width = len(node) + 3
    assert done.err == ""
    assert done.out.splitlines() == [
        f"NAME/NODE     {'DRIVER/ENDPOINT'.ljust(width)}STATUS    BUILDKIT   PLATFORMS",
        f"Rem*          {'stand'.ljust(width)}                     ",
        f" \\_ rem0      {node.ljust(width)}running   v9.9       "
        "linux/amd64 (+2), linux/arm64*, linux/386",
        f"default       {'kiosk'.ljust(width)}                     ",
        f" \\_ default   {' x_ default'.ljust(width)}stopped              ".replace("x", "\\"),
    ]


def test_no_trunc_shows_every_platform(cli: Cli, daemon: ScriptedBuildKit, tmp_path: Path) -> None:
    cli.ok("create", "--name", "rem", "--platform", "linux/arm64", f"stand://{tmp_path}/d")

    assert (
        "linux/arm64*, linux/amd64, linux/amd64/v2, linux/386\n" in cli.ok("ls", "--no-trunc").out
    )


def test_json_is_one_object_a_builder_with_sorted_keys(
    cli: Cli, daemon: ScriptedBuildKit, tmp_path: Path
) -> None:
    endpoint = f"stand://{tmp_path}/d"
    cli.ok("create", "--name", "Rem", "--driver-opt", "color=blue", "--use", endpoint)

    lines = cli.ok("ls", "--format", "json").out.splitlines()
    found = [json.loads(line) for line in lines]

    assert [list(builder) for builder in found] == [
        ["Current", "Driver", "Dynamic", "LastActivity", "Name", "Nodes"]
    ] * 2
    assert found[0]["Current"] is True
    assert found[0]["Name"] == "Rem"
    assert found[0]["LastActivity"].startswith("20")
    assert found[0]["Nodes"] == [
        {
            "DriverOpts": {"color": "blue"},
            "Endpoint": endpoint,
            "Flags": ["--allow-insecure-entitlement=network.host"],
            "GCPolicy": [
                {
                    "all": True,
                    "filter": None,
                    "keepDuration": 172_800_000_000_000,
                    "maxUsedSpace": 0,
                    "minFreeSpace": 0,
                    "reservedSpace": 0,
                }
            ],
            "IDs": ["w1"],
            "Labels": {"org.mobyproject.buildkit.worker.executor": "oci"},
            "Name": "rem0",
            "Platforms": ["linux/amd64", "linux/amd64/v2", "linux/386"],
            "Status": "running",
            "Version": "v9.9",
        }
    ]
    assert found[1] == {
        "Current": False,
        "Driver": "kiosk",
        "Dynamic": False,
        "LastActivity": "0001-01-01T00:00:00Z",
        "Name": "default",
        "Nodes": [{"Endpoint": "default", "Name": "default", "Status": "stopped"}],
    }


def test_a_template_is_filled_in_for_builders_and_nodes(cli: Cli) -> None:
    cli.ok("create", "--name", "Rem", "stand://down/x")

    plain = cli.ok("ls", "--format", r"{{.Name}}\t{{.DriverEndpoint | upper}}|{{.Builder.Driver}}")
    as_table = cli.ok("ls", "--format", r"table {{.Name}}\t{{.Status}}")

    assert plain.out == (
        "Rem\tSTAND|stand\nrem0\tSTAND://DOWN/X|stand\ndefault\tKIOSK|kiosk\ndefault\tDEFAULT|kiosk\n"
    )
    assert as_table.out == (
        "NAME/NODE     STATUS\n"
        "Rem           \n"
        " \\_ rem0      inactive\n"
        "default*      \n"
        " \\_ default   stopped\n"
    )


def test_as_a_whole_every_row_is_its_builder(cli: Cli, tmp_path: Path) -> None:
    cli.ok("create", "--name", "Rem", "--driver-opt", "color=blue", f"stand://{tmp_path}/none")
    objects = cli.ok("ls", "--format", "json").out

    rows = cli.ok("ls", "--format", "{{json .}}").out.splitlines()
    (first, *_) = cli.ok("ls", "--format", "{{json .Builder}}").out.splitlines()

    assert rows == [line for line in objects.splitlines() for _ in range(2)]
    assert list(json.loads(first)) == ["Name", "Driver", "LastActivity", "Dynamic", "Nodes"]
    assert list(json.loads(first)["Nodes"][0])[:4] == ["Name", "Endpoint", "Flags", "DriverOpts"]


def test_a_wrong_template_is_refused_before_anybody_is_asked(cli: Cli) -> None:
    words = cli.refused("ls", "--format", "{{foo .}}")

    assert words == 'template parsing error: template: function "foo" not defined'
    assert "can't evaluate field Foo" in cli.refused("ls", "--format", "{{.Foo}}")


def test_what_fails_is_told_after_the_table_and_listed_last(cli: Cli) -> None:
    cli.ok("create", "--name", "a", "stand://down/a")
    cli.ok("create", "--name", "b", "stand://down/b")
    cli.ok("create", "--name", "b", "--append", "stand://down/c")
    rewrite_endpoint(cli, "a", '"stand"', '"bogus"')
    rewrite_endpoint(cli, "b", "stand://down/b", "stand://broken/oh no")

    done = cli.ok("ls")

    names = [line.split()[0].rstrip("*") for line in done.out.splitlines() if line[0] != " "]
    assert names == ["NAME/NODE", "b", "default", "a"]
    assert "stand://broken/oh no   error" in done.out
    lines = done.err.splitlines()
    assert lines[0] == ""
    assert lines[1].startswith('Cannot load builder a: failed to find driver "bogus"')
    assert lines[2] == "Failed to get status for b (b0): oh no"
    assert len(lines) == 3


def test_a_dead_endpoint_costs_no_more_than_the_deadline(
    cli: Cli, daemon: ScriptedBuildKit, tmp_path: Path
) -> None:
    for number in range(5):
        cli.ok("create", "--name", f"dead{number}", f"stand://down/{number}")
        rewrite_endpoint(cli, f"dead{number}", "down", "hang")
    cli.ok("create", "--name", "rem", f"stand://{tmp_path}/d")

    started = time.monotonic()
    done = cli.ok("ls", "--timeout", "6s")
    took = time.monotonic() - started

    assert took < 45
    assert "v9.9" in done.out
    assert done.err.count("no answer within 6 seconds") == 5


def test_a_damaged_record_is_told_and_the_rest_is_listed(cli: Cli) -> None:
    cli.ok("create", "--name", "good", "stand://down/x")
    bad = cli.home / "docker" / "buildx" / "instances" / "bad"
    bad.write_text('{"Name":')
    (bad.parent / ".tmp-left").write_text("")

    for form in ("table", "json"):
        done = cli.ok("ls", "--format", form)

        assert "good" in done.out
        assert "builder 'bad' has a damaged record" in done.err
        assert f"(repair or remove {bad})" in done.err
        assert ".tmp-left is not a builder's record" in done.err


def test_a_damaged_selection_is_told_and_everything_is_listed(cli: Cli) -> None:
    cli.ok("create", "--name", "good", "stand://down/x")
    (cli.home / "docker" / "buildx" / "current").write_text("{")

    done = cli.ok("ls")

    assert "good" in done.out
    assert "*" not in done.out
    assert "current is damaged" in done.err
    assert "dockyard use NAME" in done.err


def test_a_stored_builder_hides_the_docker_context_of_its_name(cli: Cli) -> None:
    cli.ok("create", "--name", "ctx2", "stand://down/x")
    for name in ("ctx2", "ctx3"):
        folder = cli.home / "docker/contexts/meta" / sha256(name.encode()).hexdigest()
        folder.mkdir(parents=True)
        endpoints = {"docker": {"Host": "unix:///kiosk.sock"}}
        (folder / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": endpoints}))

    found = [json.loads(line) for line in cli.ok("ls", "--format", "json").out.splitlines()]

    assert [(builder["Name"], builder["Driver"]) for builder in found] == [
        ("ctx2", "stand"),
        ("ctx3", "kiosk"),
        ("default", "kiosk"),
    ]


def test_a_current_context_that_does_not_exist_fails(tmp_path: Path) -> None:
    cli = stand_cli(tmp_path / "home", docker_host="", DOCKER_CONTEXT="nope")

    assert cli.refused("ls") == 'no builder "nope" found'


def test_an_engine_that_is_gone_is_told_and_the_rest_is_listed(tmp_path: Path) -> None:
    cli = stand_cli(tmp_path / "home", docker_host="unix:///gone.sock")
    cli.ok("create", "--name", "good", "stand://down/x")

    done = cli.ok("ls")

    assert done.out.splitlines()[-1].split() == ["default*", "error"]
    assert done.err == (
        "\nCannot load builder default: failed to connect to the docker API at unix:///gone.sock\n"
    )


def test_without_any_driver_builders_are_listed_with_what_to_install(tmp_path: Path) -> None:
    cli = stand_cli(tmp_path / "home", PYTHONPATH="")
    with_driver = stand_cli(tmp_path / "home")
    with_driver.ok("create", "--name", "good", "stand://down/x")

    done = cli.ok("ls")

    assert "good" in done.out
    assert 'Cannot load builder good: failed to find driver "stand"' in done.err
    assert "Cannot load builder default: no installed driver can use a docker context" in done.err
    assert "pip install" in done.err


def test_broken_plugins_are_named_and_the_rest_is_listed(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "dockyard-bad", {"dockyard": {"bad": "bad_driver"}}, bad_driver="1 / 0")
    install(site, "other-stand", {"dockyard": {"kiosk": "other"}}, other="")
    cli = stand_cli(tmp_path / "home", PYTHONPATH=f"{site}:{PLUGINS}")
    cli.ok("create", "--driver", "stand", "--name", "good", "stand://down/x")

    done = cli.ok("ls")

    assert "inactive" in done.out
    assert "plugin 'bad' of dockyard-bad 1.0 cannot be loaded: ZeroDivisionError" in done.err
    assert "driver 'kiosk' is provided by both dockyard-stand 1.2 and other-stand 1.0" in done.err


def test_listing_changes_no_record(cli: Cli) -> None:
    cli.ok("create", "--name", "good", "stand://down/x")
    before = record(cli, "good")

    cli.ok("ls")

    assert record(cli, "good") == before


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [
        ("", ""),
        ("linux/amd64", "linux/amd64"),
        (
            "linux/arm64*,linux/amd64,linux/amd64/v2,linux/amd64/v3,linux/386",
            "linux/amd64 (+3), linux/arm64*, linux/386",
        ),
        ("linux/amd64*,linux/amd64/v2", "linux/amd64* (+2)"),
        (
            "linux/riscv64,linux/s390x,linux/ppc64le,linux/arm64,linux/amd64",
            "linux/amd64, linux/arm64, linux/ppc64le, linux/s390x, (1 more)",
        ),
        (
            "linux/amd64,linux/arm64,linux/arm/v7,linux/ppc64le,linux/s390x",
            "linux/amd64, linux/arm64, linux/arm/v7, linux/ppc64le, (1 more)",
        ),
        (
            "linux/amd64,linux/arm64,linux/ppc64le,linux/arm/v7,linux/arm/v6",
            "linux/amd64, linux/arm64, linux/arm (+2), linux/ppc64le",
        ),
        (
            "linux/amd64,linux/arm64,linux/arm/v7,linux/s390x,linux/s390x/v2",
            "linux/amd64, linux/arm64, linux/arm/v7, linux/s390x, (1 more)",
        ),
        (
            "windows/amd64,darwin/arm64,linux/386,plan9/arm,linux/wasm",
            "windows/amd64, darwin/arm64, linux/386, plan9/arm, (1 more)",
        ),
    ],
)
def test_platforms_are_shortened_to_four_groups(platforms: str, expected: str) -> None:
    assert shorten(platforms.split(",") if platforms else []) == expected
