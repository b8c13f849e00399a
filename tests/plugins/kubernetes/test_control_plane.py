"""The client and an API server that behaves as a real one: contents, rights, watches, restarts.

The server is the cluster double without a node.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from dockyard_kubernetes.cluster import ApiError, Cluster, ClusterUnreachableError, open_cluster
from dockyard_kubernetes.failure import GoneError
from dockyard_kubernetes.watch import Event
from support.api_peer import node_of
from support.kubernetes.cluster import Cluster as Double
from support.kubernetes.fixture import control_plane

__all__ = ["control_plane"]


@pytest.fixture
def cluster(control_plane: Double) -> Iterator[Cluster]:
    with closing(open_cluster(node_of(control_plane.kubeconfig))) as found:
        yield found


def config_map(name: str = "a", **data: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": name}},
        "data": data,
    }


def test_what_is_made_can_be_read_changed_and_removed(cluster: Cluster) -> None:
    maps = cluster.path("v1", "configmaps")

    made = cluster.create(maps, config_map(x="1", y="2"))
    cluster.create(maps, config_map("b"))

    one = cluster.path("v1", "configmaps", "a")
    assert cluster.get(one)["metadata"]["uid"] == made["metadata"]["uid"]
    names = {item["metadata"]["name"] for item in cluster.list(maps)["items"]}
    assert names >= {"a", "b"}
    found = cluster.list(maps, label_selector="app=b", field_selector="metadata.name=b")
    assert [item["metadata"]["name"] for item in found["items"]] == ["b"]
    assert cluster.patch(one, {"data": {"x": None}})["data"] == {"y": "2"}
    change = {"data": {"z": "3"}}
    assert cluster.patch(one, change, "strategic-merge")["data"] == {"y": "2", "z": "3"}
    removal = [{"op": "remove", "path": "/data/z"}]
    assert cluster.patch(one, removal, "json")["data"] == {"y": "2"}
    assert cluster.replace(one, config_map(x="9"))["data"] == {"x": "9"}
    cluster.delete(one, {"propagationPolicy": "Background"})
    with pytest.raises(ApiError, match='configmaps "a" not found'):
        cluster.get(one)


def test_refusals_have_the_servers_reasons(cluster: Cluster) -> None:
    maps = cluster.path("v1", "configmaps")
    cluster.create(maps, config_map())

    with pytest.raises(ApiError, match='configmaps "a" already exists') as twice:
        cluster.create(maps, config_map())
    stale = config_map() | {"metadata": {"name": "a", "resourceVersion": "1"}}
    with pytest.raises(ApiError, match="has been modified") as old:
        cluster.replace(cluster.path("v1", "configmaps", "a"), stale)
    with pytest.raises(ApiError, match="Invalid value") as invalid:
        cluster.create(maps, config_map("No Name"))

    assert (twice.value.status, twice.value.reason) == (409, "AlreadyExists")
    assert (old.value.status, old.value.reason) == (409, "Conflict")
    assert (invalid.value.status, invalid.value.reason) == (422, "Invalid")
    assert invalid.value.details["causes"]


def test_rights_are_asked_for_by_verb_and_resource(control_plane: Double) -> None:
    rules = [{"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]}]
    user = control_plane.add_user("reader", rules)
    path = control_plane.write_kubeconfig("reader", user=user)
    with closing(open_cluster(node_of(path))) as cluster:
        maps = cluster.path("v1", "configmaps")

        with pytest.raises(ApiError, match='configmaps "a" not found'):
            cluster.get(f"{maps}/a")
        with pytest.raises(ApiError, match='cannot create resource "configmaps"') as caught:
            cluster.create(maps, config_map())

        assert caught.value.status == 403
        assert "allow the verb create on configmaps" in (caught.value.hint or "")
        user.expired = True
        with pytest.raises(ApiError, match="Unauthorized$") as over:
            cluster.get(f"{maps}/a")
        assert over.value.status == 401


def test_a_client_certificate_says_who_we_are(control_plane: Double) -> None:
    path = control_plane.write_kubeconfig("certificate", certificate=True)

    with closing(open_cluster(node_of(path))) as cluster:
        assert cluster.create(cluster.path("v1", "configmaps"), config_map(x="1"))["data"]


def test_a_watch_tells_what_happens_to_one_thing(cluster: Cluster) -> None:
    maps = cluster.path("v1", "configmaps")
    version = cluster.list(maps)["metadata"]["resourceVersion"]
    found: list[tuple[str, str]] = []

    def act() -> None:
        cluster.create(maps, config_map("other"))
        cluster.create(maps, config_map())
        cluster.patch(f"{maps}/a", {"data": {"x": "1"}})
        cluster.delete(f"{maps}/a")

    thread = threading.Thread(target=act)
    thread.start()
    events = cluster.watch(maps, resource_version=version, label_selector="app=a", timeout=50)
    for event in events:
        found += [(event.type, event.name)] if event.type != "BOOKMARK" else []
        if event.type == "DELETED":
            break
    thread.join()

    assert found == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_a_watch_misses_nothing_when_the_server_is_restarted(
    control_plane: Double, cluster: Cluster
) -> None:
    maps = cluster.path("v1", "configmaps")
    version = cluster.list(maps)["metadata"]["resourceVersion"]
    cluster.create(maps, config_map("before"))
    found: list[Event] = []
    events = cluster.watch(maps, resource_version=version, timeout=50)
    found.append(next(events))

    control_plane.stop()
    control_plane.create("configmaps", config_map("meanwhile"))
    timer = threading.Timer(0.5, control_plane.start)
    timer.start()
    found.append(next(event for event in events if event.type != "BOOKMARK"))
    timer.join()

    assert [event.name for event in found] == ["before", "meanwhile"]


def test_a_forgotten_version_has_to_be_listed_again(
    control_plane: Double, cluster: Cluster
) -> None:
    maps = cluster.path("v1", "configmaps")
    version = cluster.list(maps)["metadata"]["resourceVersion"]
    cluster.create(maps, config_map())
    control_plane.forget_history()

    with pytest.raises(GoneError, match="too old resource version"):
        next(cluster.watch(maps, resource_version=version, timeout=50))


def test_a_restarted_server_is_waited_for(control_plane: Double, cluster: Cluster) -> None:
    cluster.get("/version")
    control_plane.stop()
    with pytest.raises(ClusterUnreachableError, match="connection refused"):
        cluster.get("/version", timeout=1.0)
    timer = threading.Timer(0.3, control_plane.start)
    timer.start()

    assert cluster.get("/version")["major"] == "1"

    timer.join()


@pytest.mark.parametrize("fault", ["drop", "lose", "truncate"])
def test_broken_answers_are_asked_for_again(
    control_plane: Double, cluster: Cluster, fault: str
) -> None:
    getattr(control_plane.faults, fault)("get", "configmaps", times=2)
    maps = cluster.path("v1", "configmaps")
    cluster.create(maps, config_map(x="1"))

    assert cluster.get(f"{maps}/a")["data"] == {"x": "1"}

    assert len(control_plane.asked("get", "configmaps")) >= 1


def test_a_busy_server_is_asked_again(control_plane: Double, cluster: Cluster) -> None:
    control_plane.faults.status(429, "create", "configmaps", times=1)
    maps = cluster.path("v1", "configmaps")

    assert cluster.create(maps, config_map())["metadata"]["name"] == "a"


def test_a_pod_that_does_not_exist_has_no_command_and_no_log(cluster: Cluster) -> None:
    with pytest.raises(ApiError, match='pods "nope" not found') as caught:
        cluster.exec("nope", "buildkitd", ["true"])
    with pytest.raises(ApiError, match='pods "nope" not found'):
        cluster.logs("nope", "buildkitd")

    assert caught.value.status == 404
