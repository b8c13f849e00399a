"""Tests for stopping and removing, on a cluster in memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from dockyard.driver import Node
from dockyard.errors import DriverError
from dockyard_kubernetes import change, removal
from dockyard_kubernetes.cluster import ApiError
from dockyard_kubernetes.removal import remove, stop
from dockyard_kubernetes.watch import Event
from support.cluster_objects import Json, deployment, pod
from support.small_cluster import SmallCluster

MakeNode = Callable[..., Node]
FILES = {"buildkitd.toml": b"debug = true\n", "certs/a/ca.pem": b"x"}
MARK = {"dev.dockyard.node": "k0"}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> SmallCluster:
    monkeypatch.setattr(removal, "_END_SECONDS", 0.2)
    monkeypatch.setattr(change, "_OVER_SECONDS", 0.05)
    return SmallCluster()


@pytest.fixture
def node(make_node: MakeNode, cluster: SmallCluster) -> Node:
    return make_node(cache={"cluster": cluster}, files=FILES)


def config_map(name: str, data: dict[str, str], **notes: str) -> Json:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "annotations": notes}, "data": data}


def claim(name: str) -> Json:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "labels": {"app": "k0"}}}


def test_everything_that_belongs_to_the_node_goes(node: Node, cluster: SmallCluster) -> None:
    cluster.objects = {
        "statefulsets/k0": deployment(),
        "configmaps/k0-config": config_map("k0-config", {"buildkitd.toml": "old"}, **MARK),
        "configmaps/k0-config-1": config_map("k0-config-1", {"ca.pem": "x"}),  # the reference's
        "configmaps/k0-config-2": config_map("k0-config-2", {"a": "b"}, **MARK),  # from before
        "persistentvolumeclaims/buildkitd-k0-0": claim("buildkitd-k0-0"),
        "persistentvolumeclaims/buildkitd-k0-11": claim("buildkitd-k0-11"),
    }

    removed = remove(node, keep_state=False)

    assert cluster.objects == {}
    assert removed == (
        "stateful set k0",
        "config map k0-config",
        "config map k0-config-1",
        "config map k0-config-2",
        "claim buildkitd-k0-0",
        "claim buildkitd-k0-11",
    )
    assert remove(node, keep_state=False) == ()


def test_what_belongs_to_others_stays(node: Node, cluster: SmallCluster) -> None:
    theirs: dict[str, Any] = {
        "configmaps/k0-config": config_map("k0-config", {"buildkitd.toml": "theirs"}),
        "configmaps/k0-config-1": config_map("c", {"ca.pem": "x"}, **{"dev.dockyard.node": "z"}),
        "persistentvolumeclaims/data-k0-0": claim("data-k0-0"),
        "persistentvolumeclaims/buildkitd-k0-x": claim("buildkitd-k0-x"),
        "persistentvolumeclaims/1": claim("1"),
    }
    cluster.objects = dict(theirs)

    assert remove(node, keep_state=False) == ()
    assert cluster.objects == theirs


@pytest.mark.parametrize("act", [stop, lambda node: remove(node, keep_state=False)])
def test_somebody_else_s_workload_is_left_alone(
    node: Node, cluster: SmallCluster, act: Callable[[Node], object]
) -> None:
    foreign = deployment(spec={"template": {"spec": {"containers": [{"name": "web"}]}}})
    cluster.objects["deployments/k0"] = foreign

    with pytest.raises(DriverError, match="not this builder's"):
        act(node)

    assert cluster.objects == {"deployments/k0": foreign}
    assert foreign["spec"]["replicas"] == 1


def test_a_kept_state_is_the_claims(node: Node, cluster: SmallCluster) -> None:
    cluster.objects = {
        "statefulsets/k0": deployment(),
        "persistentvolumeclaims/buildkitd-k0-0": claim("buildkitd-k0-0"),
    }

    remove(node, keep_state=True)

    assert set(cluster.objects) == {"persistentvolumeclaims/buildkitd-k0-0"}


def test_a_pod_that_never_goes_is_not_waited_for_without_end(
    node: Node, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_END_SECONDS", 1.0)
    cluster.objects = {"deployments/k0": deployment(), "pods/a": pod("a")}
    cluster.objects["pods/b"] = pod("b", status={"phase": "Failed"})

    stop(node)
    removed = remove(node, keep_state=False)

    assert removed == ("deployment k0", "pod a (it is still ending)")


def test_pods_that_have_ended_are_waited_for_a_moment_when_all_is_removed(
    node: Node, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_END_SECONDS", 30.0)
    monkeypatch.setattr(change, "_OVER_SECONDS", 30.0)
    over = pod("b", status={"phase": "Failed"})
    cluster.objects = {"deployments/k0": deployment(), "pods/b": over}
    cluster.events["pods"] = queue.SimpleQueue()

    stop(node)
    cluster.events["pods"].put(Event("DELETED", over))
    removed = remove(node, keep_state=False)

    assert removed == ("deployment k0",)
    assert cluster.events["pods"].empty()


def test_a_stop_waits_until_pods_that_are_deleted_are_off_the_list(
    node: Node, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_END_SECONDS", 30.0)
    monkeypatch.setattr(change, "_OVER_SECONDS", 30.0)
    metadata = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    over = pod("b", metadata=metadata, status={"phase": "Failed"})
    cluster.objects = {"deployments/k0": deployment(), "pods/b": over}
    told: queue.SimpleQueue[Event | Exception] = queue.SimpleQueue()
    cluster.events["pods"] = told
    gone = threading.Event()

    def end() -> None:
        gone.set()
        told.put(Event("DELETED", over))

    timer = threading.Timer(0.1, end)
    timer.start()

    stop(node)

    assert gone.is_set()
    timer.join()


def test_one_that_was_made_meanwhile_is_not_removed(
    node: Node, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.objects["deployments/k0"] = deployment(metadata={"uid": "new"})
    found = deployment(metadata={"uid": "old"})
    monkeypatch.setattr(cluster, "get", lambda _path, **_: found)

    assert remove(node, keep_state=True) == ()
    assert "deployments/k0" in cluster.objects


def test_a_refusal_is_told(node: Node, cluster: SmallCluster) -> None:
    cluster.objects["deployments/k0"] = deployment()
    cluster.errors["delete deployments"] = cluster.error("delete", "deployments", 403)

    with pytest.raises(ApiError, match="refused to delete deployments"):
        remove(node, keep_state=False)


def test_what_the_reference_has_made_is_known_by_the_workload_that_mounts_it(
    node: Node, cluster: SmallCluster
) -> None:
    volume = {"name": "config", "configMap": {"name": "k0-config"}}
    made = deployment()
    made["spec"]["template"]["spec"]["volumes"] = [volume]
    cluster.objects = {
        "deployments/k0": made,
        "configmaps/k0-config": config_map("k0-config", {"buildkitd.toml": "as it once was"}),
    }

    assert remove(node, keep_state=True) == ("deployment k0", "config map k0-config")


def test_what_a_boot_makes_anew_meanwhile_keeps_its_parts(
    node: Node, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: dict[str, Any] = {
        "configmaps/k0-config": config_map("k0-config", {"buildkitd.toml": "x"}, **MARK),
        "persistentvolumeclaims/buildkitd-k0-0": claim("buildkitd-k0-0"),
    }
    anew = deployment(metadata={"uid": "anew"})
    cluster.objects = {"deployments/k0": deployment(), **parts}

    def beaten(*_: object, **__: object) -> list[str]:
        cluster.objects["deployments/k0"] = anew
        return []

    monkeypatch.setattr(removal, "await_no_pods", beaten)

    assert remove(node, keep_state=False) == ("deployment k0",)
    assert cluster.objects == {"deployments/k0": anew, **parts}


def test_a_claim_that_was_made_anew_stays(
    node: Node, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    anew = claim("buildkitd-k0-0")
    anew["metadata"]["uid"] = "anew"
    cluster.objects["persistentvolumeclaims/buildkitd-k0-0"] = anew
    monkeypatch.setattr(removal, "find_claims", lambda *_: [claim("buildkitd-k0-0")])

    assert remove(node, keep_state=False) == ()
    assert list(cluster.objects.values()) == [anew]
