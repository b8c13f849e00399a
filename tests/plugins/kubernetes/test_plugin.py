"""Tests for the hooks, and for what they cost those who have no cluster."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.driver import Feature, Node, State
from dockyard_kubernetes import plugin
from support.cluster_objects import deployment, pod
from support.small_cluster import SmallCluster

MakeNode = Callable[..., Node]
HEAVY = {"kubernetes", "yaml", "websockets", "ssl", "socket", "urllib3", "requests", "asyncio"}


def imported(code: str) -> set[str]:
    """Give the modules that some code imports in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules, file=sys.stderr)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].split())


# --- what it costs -----------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["ls"], ["drivers"], ["drivers", "inspect", "kubernetes"]])
def test_commands_that_talk_to_no_cluster_load_nothing_for_it(
    tmp_path: Path, arguments: list[str]
) -> None:
    code = (
        "import os\n"
        f"os.environ.update(HOME={str(tmp_path)!r}, DOCKER_HOST='unix:///nowhere.sock')\n"
        "os.environ.pop('DOCKER_CONFIG', None)\n"
        "from dockyard.cli.main import dockyard\n"
        f"assert dockyard({arguments!r}) == 0"
    )
    for _ in range(2):  # the first run finds the plugins
        found = imported(code) - imported("pass")

    ours = {name for name in found if name.startswith("dockyard_kubernetes.")}
    declared = {"plugin", "declaration", "option", "quantity", "naming"}
    assert ours <= {f"dockyard_kubernetes.{name}" for name in declared}
    assert HEAVY.isdisjoint(found)


def test_version_does_not_even_load_the_plugin() -> None:
    found = imported("from dockyard.cli.main import dockyard; dockyard(['version'])")

    assert not [name for name in found if name.startswith("dockyard_kubernetes")]


# --- the hooks ---------------------------------------------------------------------------------


def test_the_endpoint_names_builder_node_and_kubeconfig() -> None:
    found = plugin.dockyard_endpoint(None, {"KUBECONFIG": "/a b"}, "k0", "k")

    assert found == "kubernetes:///k?deployment=k0&kubeconfig=%2Fa+b"


def test_loading_by_default_is_an_option(make_node: MakeNode) -> None:
    plain, loading = make_node(), make_node({"default-load": "true"})

    assert not plugin.dockyard_features(plain).has(Feature.AUTO_LOAD)
    assert plugin.dockyard_features(loading).has(Feature.AUTO_LOAD)
    assert plugin.dockyard_features(plain).has(Feature.CACHE_EXPORT)


def test_a_daemon_that_is_to_be_kept_is_not_touched(make_node: MakeNode) -> None:
    cluster = SmallCluster()
    cluster.objects["deployments/k0"] = deployment()
    node = make_node(cache={"cluster": cluster})

    assert plugin.dockyard_rm(node, keep_state=False, keep_daemon=True).what == ()
    assert cluster.asked == []


def test_a_life_without_pods_ends_as_it_began(make_node: MakeNode) -> None:
    cluster = SmallCluster()
    cluster.objects["deployments/k0"] = deployment(replicas=0)
    cluster.objects["pods/other"] = {**pod("other"), "spec": {"containers": [{"name": "web"}]}}
    node = make_node(cache={"cluster": cluster})

    plugin.dockyard_stop(node)
    removed = plugin.dockyard_rm(node, keep_state=False, keep_daemon=False)

    assert removed.what == ("deployment k0",)
    assert set(cluster.objects) == {"pods/other"}
    assert plugin.dockyard_status(node).state is State.INACTIVE
