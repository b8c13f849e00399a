"""Buildx itself as the other user of the store: what one writes, the other reads."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dockyard.builder.group import NodeEntry, NodeGroup
from dockyard.builder.selection import choose
from dockyard.builder.store import BuildRecord, Store
from dockyard.config import Environment
from dockyard.engine.context import DockerContexts
from dockyard.platforms import parse_list

HOST = "unix:///nowhere/docker.sock"


class Buildx:
    """Buildx in a home of its own."""

    def __init__(self, program: str, home: Path) -> None:
        self._program = program
        self.variables = {"PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_HOST": HOST}
        self.environment = Environment.from_process(variables=self.variables)
        self.store = Store.of(self.environment)
        self.contexts = DockerContexts(self.environment)

    def run(self, *arguments: str, **variables: str) -> str:
        done = subprocess.run(
            [self._program, *arguments],
            env={**self.variables, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def listed(self, **variables: str) -> dict[str, Any]:
        lines = self.run("ls", "--format", "json", **variables).splitlines()
        builders = (json.loads(line) for line in lines)
        return {builder["Name"]: builder for builder in builders}

    def current(self, **variables: str) -> str:
        lines = self.run("ls", "--format", "table {{.Name}}", **variables).splitlines()
        return next(line.strip()[:-1] for line in lines if line.strip().endswith("*"))


@pytest.fixture
def buildx(reference_buildx: str, tmp_path: Path) -> Buildx:
    return Buildx(reference_buildx, tmp_path)


def rem(name: str = "Rem") -> NodeGroup:
    return NodeGroup(
        name=name,
        driver="remote",
        nodes=(
            NodeEntry(
                name=f"{name.lower()}0",
                endpoint="tcp://127.0.0.1:9",
                platforms=parse_list(["linux/arm64", "linux/arm/v7"]),
                options={"cacert": "/a&b/ca.pem", "servername": "x"},
            ),
            NodeEntry(name=f"{name.lower()}1", endpoint="tcp://127.0.0.1:2"),
        ),
    )


def test_buildx_lists_what_we_wrote(buildx: Buildx) -> None:
    with buildx.store.locked() as records:
        records.save(rem())

    found = buildx.listed()["Rem"]

    assert found["Driver"] == "remote"
    assert found["LastActivity"].startswith("20")
    assert [(node["Name"], node["Endpoint"]) for node in found["Nodes"]] == [
        ("rem0", "tcp://127.0.0.1:9"),
        ("rem1", "tcp://127.0.0.1:2"),
    ]
    assert found["Nodes"][0]["Platforms"] == ["linux/arm64", "linux/arm/v7"]
    assert found["Nodes"][0]["DriverOpts"] == {"cacert": "/a&b/ca.pem", "servername": "x"}


def test_buildx_rewrites_what_we_wrote_to_the_same_meaning(buildx: Buildx) -> None:
    with buildx.store.locked() as records:
        records.save(rem("rem"))

    buildx.run("create", "--name", "rem", "--append", "--driver", "remote", "tcp://127.0.0.1:3")
    buildx.run("create", "--name", "rem", "--leave", "--node", "rem2")

    with buildx.store.locked() as records:
        assert records.group("rem") == rem("rem")


def test_we_read_what_buildx_wrote_and_write_it_back_unchanged(buildx: Buildx) -> None:
    buildx.run(
        *("create", "--name", "A_B.c-D", "--driver", "remote", "--platform", "linux/arm64/v8"),
        *("--driver-opt", "cacert=/a&b/ca.pem", "tcp://127.0.0.1:9"),
    )
    file = buildx.store.path / "instances" / "a_b.c-d"
    theirs = file.read_bytes()

    with buildx.store.locked() as records:
        found = records.group("a_b.C-D")
        assert found is not None
        records.save(found)
        activity = records.last_activity("A_B.c-D")

    assert found == NodeGroup(
        name="A_B.c-D",
        driver="remote",
        nodes=(
            NodeEntry(
                name="a_b.c-d0",
                endpoint="tcp://127.0.0.1:9",
                platforms=parse_list(["linux/arm64"]),
                options={"cacert": "/a&b/ca.pem"},
            ),
        ),
    )
    assert file.read_bytes() == theirs
    assert activity is not None


@pytest.mark.parametrize("flags", [[], ["--default"], ["--global"], ["--global", "--default"]])
def test_each_finds_what_the_other_selected(buildx: Buildx, flags: list[str]) -> None:
    with buildx.store.locked() as records:
        records.save(rem())
        records.save(rem("other"))
    key = buildx.contexts.endpoint_key()

    buildx.run("use", *flags, "Rem")
    theirs = _selection_files(buildx.store.path)
    chosen = choose(buildx.store, buildx.contexts, "")
    with buildx.store.locked() as records:
        records.select(key, "")
        records.select(key, "Rem", everywhere="--global" in flags, default="--default" in flags)

    assert chosen.name == "Rem"
    assert _selection_files(buildx.store.path) == theirs
    assert buildx.current() == "Rem"


def test_each_forgets_a_selection_under_another_host_alike(buildx: Buildx) -> None:
    with buildx.store.locked() as records:
        records.save(rem())
    elsewhere = "unix:///elsewhere/docker.sock"
    other = DockerContexts(
        Environment.from_process(variables={**buildx.variables, "DOCKER_HOST": elsewhere})
    )

    buildx.run("use", "--default", "Rem")
    choose(buildx.store, other, "")
    ours = _selection_files(buildx.store.path)
    after_ours = buildx.current()
    buildx.current(DOCKER_HOST=elsewhere)
    theirs = _selection_files(buildx.store.path)

    assert ours == theirs
    assert after_ours == "Rem"
    assert choose(buildx.store, buildx.contexts, "").name == "Rem"


def test_buildx_removes_what_we_wrote_with_all_that_belongs_to_it(buildx: Buildx) -> None:
    with buildx.store.locked() as records:
        records.save(rem("rem"))
        build = BuildRecord(build_context="/src", dockerfile="/src/Dockerfile")
        records.save_build("rem", "rem0", "abc", build)

    buildx.run("rm", "rem")

    left = {path.name for path in buildx.store.path.rglob("*") if path.is_file()}
    assert left.isdisjoint({"rem", "abc"})


def test_a_driver_that_buildx_does_not_know_spoils_only_its_own_builder(buildx: Buildx) -> None:
    with buildx.store.locked() as records:
        records.save(rem())
        records.save(
            NodeGroup(name="ours", driver="stand", nodes=(NodeEntry(name="o0", endpoint="x"),))
        )

    found = buildx.listed()

    assert "failed to find driver" in found["ours"]["Err"]
    assert "Err" not in found["Rem"]


def _selection_files(path: Path) -> dict[str, str]:
    files = [path / "current", *(path / "defaults").iterdir()]
    return {file.name: file.read_text() for file in files}
