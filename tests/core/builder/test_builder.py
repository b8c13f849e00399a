"""Tests for builders made from records, with the drivers ``stand`` and ``kiosk``."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import attrs
import pytest

from dockyard.builder.builder import Builder, BuilderLoader
from dockyard.builder.group import NodeEntry, NodeGroup, context_group
from dockyard.config import Environment
from dockyard.driver import Feature, Node, NodeStatus, State
from dockyard.engine.context import DockerContexts
from dockyard.errors import (
    ConnectError,
    DriverError,
    DriverNotFoundError,
    EngineUnreachableError,
    OptionError,
)
from dockyard.platforms import parse_list
from dockyard.plugin import hookimpl
from dockyard.plugin.discovery import DRIVERS, Offer
from dockyard.plugin.manager import PluginManager
from support.plugins import dockyard_stand
from support.scripted_buildkit import ScriptedBuildKit


def offer(name: str) -> Offer:
    module = f"support.plugins.dockyard_{name}"
    return Offer(
        name=name, group=DRIVERS, value=module, distribution="dockyard-stand", version="1.2"
    )


def make_loader(home: Path, *drivers: str, **variables: str) -> BuilderLoader:
    environment = Environment.from_process(variables={"HOME": str(home), **variables})
    manager = PluginManager([offer(name) for name in drivers])
    return BuilderLoader(manager, DockerContexts(environment))


def group(*entries: NodeEntry, driver: str = "stand") -> NodeGroup:
    return NodeGroup(name="b", driver=driver, nodes=entries)


def entry(name: str, endpoint: str, *platforms: str, **options: str) -> NodeEntry:
    typed = {key.replace("_", "-"): value for key, value in options.items()}
    return NodeEntry(name=name, endpoint=endpoint, platforms=parse_list(platforms), options=typed)


def load(loader: BuilderLoader, *groups: NodeGroup, timeout: float = 50) -> list[Builder]:
    return loader.load(groups, data=True, timeout=timeout)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ScriptedBuildKit]:
    with ScriptedBuildKit(tmp_path / "d") as running:
        running.workers = lambda: [
            {
                "ID": "w1",
                "Labels": {"a": "b"},
                "platforms": [
                    {"Architecture": "amd64", "OS": "linux"},
                    {"Architecture": "386", "OS": "linux"},
                ],
            }
        ]
        yield running


def test_a_node_is_what_its_entry_says_with_its_options_parsed(tmp_path: Path) -> None:
    record = group(
        NodeEntry(
            name="b0",
            endpoint="stand://down/x",
            platforms=parse_list(["arm64"]),
            options={"needs-boot": "true", "env.A": "1"},
            flags=("--debug",),
            files={"buildkitd.toml": b"x"},
        )
    )

    (builder,) = make_loader(tmp_path, "stand").load([record], sticky_key="/src")

    node = builder.nodes[0].node
    assert node is not None
    assert (builder.driver, builder.error) == ("stand", None)
    assert node.credentials is not None
    assert attrs.asdict(node, recurse=False) == {
        "name": "b0",
        "driver": "stand",
        "endpoint": "stand://down/x",
        "builder": "b",
        "options": {"needs-boot": True, "env.A": "1"},
        "platforms": parse_list(["arm64"]),
        "flags": ("--debug",),
        "files": {"buildkitd.toml": b"x"},
        "engine": None,
        "variables": {"HOME": str(tmp_path)},
        "credentials": node.credentials,
        "sticky_key": "/src",
        "cache": {},
    }
    assert builder.nodes[0].status is None


def test_a_running_node_tells_workers_version_and_features(
    tmp_path: Path, daemon: ScriptedBuildKit
) -> None:
    daemon.info = lambda: {"buildkitVersion": {"version": "v9.9"}}
    record = group(entry("b0", f"stand://{tmp_path}/d", "linux/arm64"))

    (builder,) = load(make_loader(tmp_path, "stand"), record)

    (info,) = builder.nodes
    assert info.error is None
    assert info.state is State.RUNNING
    assert info.version == "v9.9"
    assert [str(platform) for platform in info.platforms] == [
        "linux/arm64",
        "linux/amd64",
        "linux/386",
    ]
    assert [worker.id for worker in info.workers] == ["w1"]
    assert info.features is not None
    assert info.features.has(Feature.TARBALL)
    assert not info.features.has(Feature.AUTO_LOAD)


@pytest.mark.parametrize(("told", "version"), [("", "v7"), ("v9.9", "v9.9")])
def test_a_version_that_takes_time_is_asked_for_only_where_the_daemon_tells_none(
    tmp_path: Path,
    daemon: ScriptedBuildKit,
    monkeypatch: pytest.MonkeyPatch,
    told: str,
    version: str,
) -> None:
    if told:
        daemon.info = lambda: {"buildkitVersion": {"version": told}}
    asked: list[str] = []

    def ask() -> str:
        asked.append("v7")
        return "v7"

    @hookimpl
    def dockyard_status(node: Node) -> NodeStatus:
        return NodeStatus(state=State.RUNNING, ask_version=ask)

    monkeypatch.setattr(dockyard_stand, "dockyard_status", dockyard_status)

    (builder,) = load(make_loader(tmp_path, "stand"), group(entry("b0", f"stand://{tmp_path}/d")))

    assert builder.nodes[0].version == version
    assert asked == ([] if told else ["v7"])


def test_the_drivers_version_counts_where_the_daemon_tells_none(
    tmp_path: Path, daemon: ScriptedBuildKit
) -> None:
    (builder,) = load(make_loader(tmp_path, "stand"), group(entry("b0", f"stand://{tmp_path}/d")))

    assert builder.nodes[0].version == "v0.0.1-stand"


def test_a_daemon_that_refuses_is_its_nodes_error(tmp_path: Path, daemon: ScriptedBuildKit) -> None:
    daemon.workers = None

    (builder,) = load(make_loader(tmp_path, "stand"), group(entry("b0", f"stand://{tmp_path}/d")))

    assert builder.error is None
    assert builder.nodes[0].error is not None
    assert builder.nodes[0].state is State.RUNNING


def test_a_node_that_does_not_run_is_no_error(tmp_path: Path) -> None:
    (builder,) = load(make_loader(tmp_path, "stand"), group(entry("b0", "stand://down/x")))

    (info,) = builder.nodes
    assert (info.state, info.error, info.features) == (State.INACTIVE, None, None)


@pytest.mark.parametrize(
    ("endpoint", "kind", "words"),
    [
        ("stand://broken/oh no", DriverError, "oh no"),
        ("stand://crash/x", DriverError, "ZeroDivisionError: an accident"),
    ],
)
def test_a_node_that_fails_is_its_own_error_only(
    tmp_path: Path, endpoint: str, kind: type[Exception], words: str
) -> None:
    record = group(entry("b0", endpoint), entry("b1", "stand://down/x"))

    (builder,) = load(make_loader(tmp_path, "stand"), record)

    first, second = builder.nodes
    assert isinstance(first.error, kind)
    assert str(first.error) == words
    assert (second.state, second.error) == (State.INACTIVE, None)
    assert builder.first_error() is first.error


def test_a_wrong_option_is_its_nodes_error(tmp_path: Path) -> None:
    record = group(entry("b0", "stand://down/x", colr="red"), entry("b1", "stand://down/y"))

    (builder,) = load(make_loader(tmp_path, "stand"), record)

    first, second = builder.nodes
    assert isinstance(first.error, OptionError)
    assert str(first.error) == "invalid driver option colr for stand driver"
    assert first.node is None
    assert second.error is None


def test_an_unknown_driver_is_its_builders_error_only(tmp_path: Path) -> None:
    unknown = group(entry("b0", "x"), driver="bogus")
    known = group(entry("b0", "stand://down/x"))

    first, second = load(make_loader(tmp_path, "stand"), unknown, known)

    assert isinstance(first.error, DriverNotFoundError)
    assert str(first.error) == 'failed to find driver "bogus"'
    assert [info.entry.name for info in first.nodes] == ["b0"]
    assert second.error is None


def test_dead_endpoints_delay_nobody_beyond_the_deadline(
    tmp_path: Path, daemon: ScriptedBuildKit
) -> None:
    dead = [group(entry("b0", f"stand://hang/{number}")) for number in range(5)]
    alive = group(entry("b0", "stand://hang/x"), entry("b1", f"stand://{tmp_path}/d"))

    started = time.monotonic()
    builders = load(make_loader(tmp_path, "stand"), *dead, alive, timeout=5)
    took = time.monotonic() - started

    assert took < 40
    for builder in builders:
        assert isinstance(builder.nodes[0].error, ConnectError)
        assert str(builder.nodes[0].error) == "no answer within 5 seconds"
    assert builders[5].nodes[1].state is State.RUNNING
    assert builders[5].nodes[1].workers


# --- docker contexts -------------------------------------------------------------------------


def test_a_contexts_driver_is_the_first_that_supports_its_engine(tmp_path: Path) -> None:
    loader = make_loader(tmp_path, "stand", "kiosk", DOCKER_HOST="unix:///kiosk.sock")

    (builder,) = load(loader, context_group("default"))

    assert (builder.driver, builder.error) == ("kiosk", None)
    (info,) = builder.nodes
    assert info.node is not None
    assert info.node.driver == "kiosk"
    assert info.node.engine is not None
    assert info.node.engine.host == "unix:///kiosk.sock"
    assert info.state is State.STOPPED


def test_without_data_a_contexts_driver_is_decided_all_the_same(tmp_path: Path) -> None:
    loader = make_loader(tmp_path, "kiosk", DOCKER_HOST="unix:///kiosk.sock")

    (builder,) = loader.load([context_group("default")])

    assert builder.driver == "kiosk"
    assert builder.nodes[0].status is None


def test_a_context_that_nobody_supports_goes_to_the_fallback(tmp_path: Path) -> None:
    loader = make_loader(tmp_path, "kiosk", DOCKER_HOST="unix:///other.sock")

    (builder,) = loader.load([context_group("default")])

    assert builder.driver == "kiosk"


def test_an_engine_that_cannot_be_reached_is_its_builders_error(tmp_path: Path) -> None:
    loader = make_loader(tmp_path, "kiosk", DOCKER_HOST="unix:///gone.sock")

    (builder,) = load(loader, context_group("default"))

    assert isinstance(builder.error, EngineUnreachableError)
    assert builder.nodes[0].error is None
    assert builder.driver == ""


def test_an_engine_that_never_answers_is_its_builders_error(tmp_path: Path) -> None:
    loader = make_loader(tmp_path, "kiosk", DOCKER_HOST="unix:///hang.sock")

    (builder,) = loader.load([context_group("default")], timeout=0.3)

    assert str(builder.error) == "no answer within 0.3 seconds"


def test_a_context_without_a_driver_says_what_to_install(tmp_path: Path) -> None:
    (builder,) = load(make_loader(tmp_path, "stand"), context_group("default"))

    assert isinstance(builder.error, DriverError)
    assert str(builder.error) == "no installed driver can use a docker context"
    assert builder.error.hint is not None
    assert "pip install" in builder.error.hint


def test_a_damaged_docker_context_is_its_builders_error_only(tmp_path: Path) -> None:
    folder = tmp_path / ".docker/contexts/meta" / sha256(b"ctx2").hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": "ctx2", "Endpoints": 1}))
    loader = make_loader(tmp_path, "kiosk", DOCKER_HOST="unix:///kiosk.sock")

    damaged, fine = load(loader, context_group("ctx2"), context_group("default"))

    assert "is damaged" in str(damaged.error)
    assert fine.error is None


def test_a_stored_node_of_an_engine_driver_has_its_contexts_engine(tmp_path: Path) -> None:
    loader = make_loader(tmp_path, "kiosk")
    record = group(entry("b0", "tcp://h"), driver="kiosk")

    (builder,) = loader.load([record])

    node = builder.nodes[0].node
    assert node is not None
    assert node.engine is not None
    assert node.engine.host == "tcp://h:2375"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (
            NodeEntry(name="b0", endpoint="tcp://h:1", files={"buildkitd.toml": b""}),
            "setting config file is not supported for kiosk driver",
        ),
        (
            NodeEntry(name="b0", endpoint="tcp://h:1", flags=("-d",)),
            "setting buildkit flags is not supported for kiosk driver",
        ),
    ],
)
def test_files_and_flags_are_refused_in_the_drivers_words(
    tmp_path: Path, made: NodeEntry, words: str
) -> None:
    (builder,) = make_loader(tmp_path, "kiosk").load([group(made, driver="kiosk")])

    assert str(builder.nodes[0].error) == words
