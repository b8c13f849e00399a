"""Tests for making a node's things and taking them away again, on the double's API server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.errors import BootstrapError
from dockyard_kubernetes.change import scale
from dockyard_kubernetes.cluster import ApiError, Cluster, open_cluster
from dockyard_kubernetes.creation import BOOT, Creation, adopt
from dockyard_kubernetes.state import Workload, find_workload
from support.kubernetes.cluster import Cluster as Double
from support.kubernetes.fixture import control_plane

__all__ = ["control_plane"]

MakeNode = Callable[..., Node]
CLAIM = {"persistent-volume-claim.requests.storage": "1Gi"}


@pytest.fixture
def open_node(make_node: MakeNode, control_plane: Double) -> Iterator[Callable[..., Node]]:
    """Make a node in the cluster; its connections are closed in the end."""
    made: list[Node] = []

    def run(typed: dict[str, str] | None = None) -> Node:
        node = make_node(
            typed,
            files={"buildkitd.toml": b"debug = true\n"},
            variables={"KUBECONFIG": str(control_plane.kubeconfig)},
        )
        made.append(node)
        return node

    yield run
    for each in made:
        open_cluster(each).close()


def creation(node: Node) -> Creation:
    return Creation(node, open_cluster(node), Cancellation())


def workload(node: Node) -> Workload:
    found = find_workload(node, open_cluster(node))
    assert found is not None
    return found


def failed(node: Node, double: Double) -> Creation:
    """A creation that has only come as far as the config maps."""
    made = creation(node)
    resource = "statefulsets" if node.options.get(next(iter(CLAIM))) else "deployments"
    double.faults.status(500, "create", resource, times=1)
    with pytest.raises(ApiError):
        made.make()
    return made


def test_what_was_made_is_taken_away_again(
    control_plane: Double, open_node: Callable[..., Node]
) -> None:
    made = creation(open_node(CLAIM))
    made.make()
    control_plane.wait(lambda: bool(control_plane.items("persistentvolumeclaims")))

    assert made.undo()

    control_plane.wait_empty()


def test_config_maps_that_somebody_else_s_workload_mounts_stay(
    control_plane: Double, open_node: Callable[..., Node]
) -> None:
    first = failed(open_node(), control_plane)
    assert creation(open_node()).make() is not None

    assert first.undo()

    (owner,) = (control_plane.item("configmaps", "k0-config") or {})["metadata"]["ownerReferences"]
    assert owner["kind"] == "Deployment"


def test_claims_of_somebody_else_s_workload_stay(
    control_plane: Double, open_node: Callable[..., Node]
) -> None:
    first = failed(open_node(CLAIM), control_plane)
    assert creation(open_node(CLAIM)).make() is not None
    control_plane.wait(lambda: bool(control_plane.items("persistentvolumeclaims")))

    assert first.undo()

    (claim,) = control_plane.items("persistentvolumeclaims")
    assert "deletionTimestamp" not in claim["metadata"]


def test_a_config_map_that_goes_meanwhile_is_made_again(
    control_plane: Double, open_node: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = open_node()
    cluster = open_cluster(node)
    create = cluster.create

    def beaten(path: str, body: Any, **given: Any) -> dict[str, Any]:  # noqa: ANN401
        made = create(path, body, **given)
        if "deployments" in path:
            control_plane.delete("configmaps", "k0-config")
        return made

    monkeypatch.setattr(cluster, "create", beaten)

    made = creation(node).make()

    assert made is not None
    (owner,) = (control_plane.item("configmaps", "k0-config") or {})["metadata"]["ownerReferences"]
    assert owner["uid"] == made.uid


def test_somebody_else_s_config_map_is_refused_and_left_alone(
    control_plane: Double, open_node: Callable[..., Node]
) -> None:
    theirs = {"metadata": {"name": "k0-config"}, "data": {"buildkitd.toml": "theirs"}}
    control_plane.create("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", **theirs})
    made = creation(open_node())

    with pytest.raises(BootstrapError, match="not this builder's"):
        made.make()

    assert made.undo()
    found = control_plane.item("configmaps", "k0-config") or {}
    assert found["data"] == theirs["data"]
    assert BOOT not in found["metadata"].get("annotations", {})


def test_what_somebody_else_has_scaled_up_too_runs_on(
    control_plane: Double, open_node: Callable[..., Node]
) -> None:
    node = open_node()
    creation(node).make()
    stopped = scale(open_cluster(node), workload(node), 0)
    first, second = creation(node), creation(open_node())
    first.scale_up(stopped, 1)
    second.scale_up(stopped, 1)

    assert first.undo()
    assert workload(node).replicas == 1
    assert second.undo()
    assert workload(node).replicas == 0


def test_one_that_was_made_anew_is_not_scaled(
    control_plane: Double, open_node: Callable[..., Node]
) -> None:
    node = open_node()
    creation(node).make()
    gone = workload(node)._replace(uid="another")
    made = creation(node)

    assert made.scale_up(gone, 5) is None
    assert made.undo()
    assert workload(node).replicas == 1


def test_what_somebody_else_needs_by_now_stays(
    control_plane: Double, open_node: Callable[..., Node]
) -> None:
    made = creation(open_node())
    made.make()

    adopt(node := open_node(), open_cluster(node), Cancellation())

    assert made.undo()
    assert workload(node).replicas == 1


def test_who_must_not_change_it_can_build_all_the_same(
    control_plane: Double, make_node: MakeNode, open_node: Callable[..., Node]
) -> None:
    creation(open_node()).make()
    rules = [{"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"]}]
    user = control_plane.add_user("reader", rules)
    path = control_plane.write_kubeconfig("reader", user=user)
    node = make_node(variables={"KUBECONFIG": str(path)})

    with closing(open_cluster(node)) as cluster:
        assert isinstance(cluster, Cluster)
        adopt(node, cluster, Cancellation())

    assert len(control_plane.asked("patch", "deployments")) == 1
