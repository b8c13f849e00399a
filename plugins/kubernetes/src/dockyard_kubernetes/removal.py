"""Stop a node's pods, and remove everything that was made for the node."""

from __future__ import annotations

import time

from dockyard.driver import Node
from dockyard.errors import DriverError
from dockyard_kubernetes import manifest
from dockyard_kubernetes.cluster import TIMEOUT, ApiError, Cluster, open_cluster
from dockyard_kubernetes.creation import is_own_config_map, scale
from dockyard_kubernetes.follow import Follower
from dockyard_kubernetes.option import NODE
from dockyard_kubernetes.pod import CLAIM_NAME
from dockyard_kubernetes.pods import parse_pods, pod_path, pod_selector, whole
from dockyard_kubernetes.state import Workload, find_workload, workload_path
from dockyard_kubernetes.value import Object, name_of, table, tables, uid_of

_END_SECONDS = 60.0
"""How long pods may take to end: they are given 30 s before they are killed."""
_OVER_SECONDS = 5.0
_MOST_CONFIG_MAPS = 100


def stop(node: Node) -> None:
    """Have no pods, and keep everything else.

    Raises:
        ApiError: The server refuses.
        ClusterUnreachableError: It cannot be reached.
        DriverError: What has the node's name is somebody else's.
    """
    node = whole(node)
    cluster = open_cluster(node)
    found = find_workload(node, cluster)
    if found is None:
        return
    if found.replicas:
        scale(cluster, found, 0)
    await_no_pods(node, cluster, seconds=_END_SECONDS, over=False)


def remove(node: Node, *, keep_state: bool) -> tuple[str, ...]:
    """Remove what was made for the node, whether it is all there or not.

    Returns:
        What was removed, in words.

    Raises:
        ApiError: The server refuses; what is left is there for the next time.
        ClusterUnreachableError: It cannot be reached.
        DriverError: What has the node's name is somebody else's, and was left alone.
    """
    node = whole(node)
    cluster = open_cluster(node)
    removed = []
    found = find_workload(node, cluster)
    if found is not None and _delete_workload(cluster, found):
        removed.append(str(found))
    left = await_no_pods(node, cluster, seconds=_END_SECONDS)
    removed += [f"config map {name}" for name in _delete_config_maps(node, cluster)]
    if not keep_state:
        removed += [f"claim {name}" for name in _delete_claims(node, cluster)]
    removed += [f"pod {name} (it is still ending)" for name in left]
    return tuple(removed)


def await_no_pods(node: Node, cluster: Cluster, *, seconds: float, over: bool = True) -> list[str]:
    """Wait until the node has no pods any more.

    One whose machine is gone is never reported as gone; it is not waited for without end.

    Args:
        node: The node.
        cluster: Where it is.
        seconds: How long to wait.
        over: Whether to wait a moment for those, too, that have ended for good. They are listed
            as long as their workload is there.

    Returns:
        The names of those that are still there, and may run.

    Raises:
        ApiError: The server refuses to tell.
        ClusterUnreachableError: It cannot be reached.
    """
    deadline = time.monotonic() + seconds
    with Follower(cluster) as follower:
        follower.follow("pods", pod_path(cluster), labels=pod_selector(node))
        while True:
            left = max(0.0, deadline - time.monotonic())
            follower.wait(left)
            pods = parse_pods(follower.get("pods"))
            live = [pod.name for pod in pods if not pod.is_over]
            if follower.is_complete and not live:
                if not (pods and over):
                    return []
                deadline = min(deadline, time.monotonic() + _OVER_SECONDS)
            if not left:
                return live


def claim_names(node: Node, cluster: Cluster, *, timeout: float = TIMEOUT) -> list[str]:
    """Name the claims that stateful sets have made for the node.

    Raises:
        ApiError: The server refuses to tell.
        ClusterUnreachableError: It cannot be reached.
    """
    path = cluster.path(*manifest.resource("PersistentVolumeClaim"))
    found = cluster.list(path, label_selector=pod_selector(node), timeout=timeout)
    start = f"{CLAIM_NAME}-{manifest.workload_name(node)}-"
    names = [name_of(each) for each in tables(found, "items")]
    return [name for name in names if name.startswith(start) and name[len(start) :].isdecimal()]


def delete(cluster: Cluster, path: str, uid: str = "", *, timeout: float = TIMEOUT) -> bool:
    """Delete something; False when it, or this very one, is not there any more.

    Raises:
        ApiError: The server refuses.
        ClusterUnreachableError: It cannot be reached.
    """
    options: dict[str, object] = {"propagationPolicy": "Background"}
    if uid:
        options["preconditions"] = {"uid": uid}
    try:
        cluster.delete(path, options, timeout=timeout)
    except ApiError as error:
        if error.status == 404 or (error.status == 409 and uid):
            return False
        raise
    return True


def _delete_workload(cluster: Cluster, found: Workload) -> bool:
    return delete(cluster, workload_path(cluster, found.kind, found.name), found.uid)


def _delete_claims(node: Node, cluster: Cluster) -> list[str]:
    path = cluster.path(*manifest.resource("PersistentVolumeClaim"))
    return [name for name in claim_names(node, cluster) if delete(cluster, f"{path}/{name}")]


def _delete_config_maps(node: Node, cluster: Cluster) -> list[str]:
    """Delete the config maps by their names, also more than the node would have now."""
    try:
        wanted = {name_of(each): each for each in manifest.config_maps(node)}
    except DriverError:
        wanted = {}  # then they were never made
    first = f"{manifest.workload_name(node)}-config"
    deleted = []
    for number in range(_MOST_CONFIG_MAPS):
        name = f"{first}-{number}" if number else first
        found = _config_map(cluster, name)
        if found is not None and _is_own(node, found, wanted.get(name)):
            path = cluster.path(*manifest.resource("ConfigMap"), name)
            if delete(cluster, path, uid_of(found)):
                deleted.append(name)
        elif number and name not in wanted:
            break
    return deleted


def _is_own(node: Node, found: Object, wanted: Object | None) -> bool:
    if wanted is not None:
        return is_own_config_map(node, found, wanted)
    return table(found, "metadata", "annotations").get(NODE) == node.name


def _config_map(cluster: Cluster, name: str) -> Object | None:
    try:
        return cluster.get(cluster.path(*manifest.resource("ConfigMap"), name))
    except ApiError as error:
        if error.status == 404:
            return None
        raise
