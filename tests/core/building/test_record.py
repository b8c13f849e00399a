from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from dockyard.building.job import Job
from dockyard.building.record import record_name, save_record
from dockyard.building.workbench import Workbench
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.driver import BuildRequest, Node
from dockyard.plugin.manager import PluginManager
from dockyard.progress import ProgressWriter


def job(home: Path, request: BuildRequest) -> Job:
    environment = Environment.from_process(variables={"HOME": str(home)})
    workbench = Workbench.of(environment, PluginManager([]))
    node = Node(name="n0", driver="shed", endpoint="", builder="b")
    return Job(workbench, node, request, ProgressWriter(lambda _: None), Cancellation())


def saved(home: Path, request: BuildRequest) -> dict[str, str]:
    save_record(job(home, request), "ref")
    (path,) = home.rglob("refs/b/n0/ref")
    return cast("dict[str, str]", json.loads(path.read_text()))


def test_a_record_says_where_a_build_was_made_from(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()

    found = saved(tmp_path, BuildRequest(build_context="src", working_directory=str(tmp_path)))

    assert found["LocalPath"] == str(tmp_path / "src")
    assert found["DockerfilePath"] == str(tmp_path / "src/Dockerfile")


@pytest.mark.parametrize("url", ["https://me:hush@git.example/x.git", "https://hush@a.example/x"])
def test_a_record_holds_no_credentials(tmp_path: Path, url: str) -> None:
    request = BuildRequest(build_context=url, dockerfile=url, working_directory=str(tmp_path))

    found = saved(tmp_path, request)

    assert "hush" not in str(found)
    assert "git.example" in found["LocalPath"] or "a.example" in found["LocalPath"]


def test_a_call_leaves_no_record(tmp_path: Path) -> None:
    asked = job(tmp_path, BuildRequest(call="lint"))

    save_record(asked, "ref")

    assert record_name(asked, "ref") == ""
    assert not list(tmp_path.rglob("refs/*/*/*"))
