"""Tests for what a node's workload is doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dockyard.driver import Node, State
from dockyard.errors import ConnectError, DriverError
from dockyard_kubernetes.cluster import ApiError, ClusterUnreachableError
from dockyard_kubernetes.state import status
from support.cluster_objects import Json, deployment, pod, unready
from support.small_cluster import SmallCluster

MakeNode = Callable[..., Node]
CLAIM = {"persistent-volume-claim.requests.storage": "1Gi"}
DEPLOYMENT = "deployments/k0"
STATEFUL_SET = "statefulsets/k0"


@pytest.fixture
def cluster() -> SmallCluster:
    return SmallCluster()


@pytest.fixture
def node(make_node: MakeNode, cluster: SmallCluster) -> Node:
    return make_node(cache={"cluster": cluster})


def volumes(mount: str, **source: Any) -> Json:  # noqa: ANN401  # JSON
    container = {"name": "buildkitd", "volumeMounts": [{"name": "v", "mountPath": mount}]}
    spec = {"containers": [container], "volumes": [{"name": "v", **source}]}
    return {"template": {"spec": spec}}


def test_what_was_never_made_is_inactive(node: Node) -> None:
    assert status(node).state is State.INACTIVE


def test_what_has_no_pods_on_purpose_is_stopped(node: Node, cluster: SmallCluster) -> None:
    cluster.objects[DEPLOYMENT] = deployment(replicas=0)

    assert status(node).state is State.STOPPED


def test_what_has_a_ready_pod_runs_and_names_its_pods(node: Node, cluster: SmallCluster) -> None:
    cluster.objects[DEPLOYMENT] = deployment(replicas=3)
    cluster.objects |= {"pods/a": pod("a"), "pods/b": unready("b"), "pods/c": pod("c")}

    found = status(node)

    assert found.state is State.RUNNING
    assert [each.name for each in found.dynamic] == ["a", "c"]
    assert status(found.dynamic[0]).state is State.RUNNING


def test_what_has_no_ready_pod_is_starting_and_says_why(node: Node, cluster: SmallCluster) -> None:
    cluster.objects[DEPLOYMENT] = deployment()
    cluster.objects["pods/a"] = unready("a")

    found = status(node)

    assert found.state is State.STARTING
    assert found.reason == "pod a is still being set up on node-1"


def test_a_workload_of_the_other_kind_counts(node: Node, cluster: SmallCluster) -> None:
    cluster.objects[STATEFUL_SET] = deployment(replicas=0)

    assert status(node).state is State.STOPPED


def test_a_kind_that_one_must_not_look_for_is_not_there(
    make_node: MakeNode, cluster: SmallCluster
) -> None:
    cluster.errors["get statefulsets"] = cluster.error("get", "statefulsets", 403)

    assert status(make_node(cache={"cluster": cluster})).state is State.INACTIVE
    with pytest.raises(ApiError, match="refused to get statefulsets"):
        status(make_node(CLAIM, cache={"cluster": cluster}))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"metadata": {"annotations": {"dev.dockyard.node": "x"}}}, "belongs to node x"),
        ({"spec": {"template": {"spec": {"containers": [{"name": "web"}]}}}}, "no container named"),
        ({"spec": {"selector": {"matchLabels": {"app": "web"}}}}, "not this builder's"),
        ({"spec": {"selector": {"matchLabels": {}}}}, "its pods are no builder's"),
    ],
)
def test_what_somebody_else_has_made_is_refused(
    node: Node, cluster: SmallCluster, fields: dict[str, Any], words: str
) -> None:
    cluster.objects[DEPLOYMENT] = deployment(**fields)

    with pytest.raises(DriverError, match=words):
        status(node)


def test_what_the_reference_has_made_is_shared(node: Node, cluster: SmallCluster) -> None:
    cluster.objects[DEPLOYMENT] = deployment(replicas=0)
    assert "annotations" not in cluster.objects[DEPLOYMENT]["metadata"]

    assert status(node).state is State.STOPPED


def test_a_cluster_that_cannot_be_reached_may_be_there_later(
    node: Node, cluster: SmallCluster
) -> None:
    cluster.errors["get deployments"] = ClusterUnreachableError("nobody there", transient=True)

    found = status(node)

    assert (found.state, found.reason, found.is_guess) == (State.INACTIVE, "nobody there", True)


def test_a_kubeconfig_that_is_missing_is_an_error(make_node: MakeNode) -> None:
    with pytest.raises(ConnectError, match="no such file"):
        status(make_node(variables={"KUBECONFIG": "/no/such/file"}))


@pytest.mark.parametrize(
    ("spec", "keeps"),
    [
        ({}, False),
        ({"volumeClaimTemplates": [{}]}, True),
        (volumes("/var/lib/buildkit", hostPath={"path": "/x"}), True),
        (volumes("/var/lib/buildkit", emptyDir={}), False),
        (volumes("/home/user/.local/share/buildkit", emptyDir={"medium": "Memory"}), False),
        (volumes("/elsewhere", hostPath={"path": "/x"}), False),
    ],
    ids=["plain", "claims", "host path", "empty", "memory", "elsewhere"],
)
def test_where_the_cache_is_decides_whether_it_outlives_the_pods(
    node: Node, cluster: SmallCluster, spec: dict[str, Any], keeps: bool
) -> None:
    cluster.objects[DEPLOYMENT] = deployment(spec=spec)
    cluster.objects["pods/a"] = pod("a")

    assert bool(status(node).cache_loss) is not keeps
