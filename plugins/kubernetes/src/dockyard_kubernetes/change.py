"""Change and delete what a node has in the cluster, and nothing that has come in its place."""

from __future__ import annotations

import time

from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard_kubernetes import manifest
from dockyard_kubernetes.cluster import TIMEOUT, ApiError, Cluster
from dockyard_kubernetes.follow import Follower
from dockyard_kubernetes.pod import CLAIM_NAME
from dockyard_kubernetes.pods import parse_pods, pod_path, pod_selector
from dockyard_kubernetes.state import Workload, parse_workload, workload_path
from dockyard_kubernetes.value import Object, name_of, tables, text, uid_of

_OVER_SECONDS = 5.0


def find(cluster: Cluster, path: str, *, timeout: float = TIMEOUT) -> Object | None:
    """Give what is at a path; None where there is nothing.

    Raises:
        ApiError: The server refuses to tell.
        ClusterUnreachableError: It cannot be reached.
    """
    try:
        return cluster.get(path, timeout=timeout)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def scale(
    cluster: Cluster,
    found: Workload,
    replicas: int,
    *,
    notes: Object | None = None,
    cancel: Cancellation | None = None,
    timeout: float = TIMEOUT,
) -> Workload:
    """Set how many pods a workload shall have, and annotations if there are any to set.

    Raises:
        ApiError: The server refuses: it is not there any more, or not this very one.
    """
    path = workload_path(cluster, found.kind, found.name)
    metadata = {"uid": found.uid, **({"annotations": notes} if notes else {})}
    body = {"metadata": metadata, "spec": {"replicas": replicas}}
    changed = cluster.patch(path, body, cancel=cancel, timeout=timeout)
    return parse_workload(found.kind, changed)


def delete(
    cluster: Cluster,
    path: str,
    found: Object,
    *,
    unchanged: bool = False,
    timeout: float = TIMEOUT,
) -> bool:
    """Delete something; False when it, or this very one, is not there any more.

    Args:
        cluster: Where it is.
        path: Where the API has it.
        found: As it was seen.
        unchanged: Whether it stays if anybody has changed it since.
        timeout: Seconds.

    Raises:
        ApiError: The server refuses.
        ClusterUnreachableError: It cannot be reached.
    """
    conditions = {"uid": uid_of(found)}
    if unchanged:
        conditions["resourceVersion"] = text(found, "metadata", "resourceVersion")
    options = {"propagationPolicy": "Background", "preconditions": conditions}
    try:
        cluster.delete(path, options, timeout=timeout)
    except ApiError as error:
        if error.status in (404, 409):
            return False
        raise
    return True


def await_no_pods(node: Node, cluster: Cluster, *, seconds: float, over: bool = True) -> list[str]:
    """Wait until the node has no pods any more.

    One whose machine is gone is never reported as gone; it is not waited for without end.

    Args:
        node: The node.
        cluster: Where it is.
        seconds: How long to wait.
        over: Whether to wait a moment for those, too, that have ended for good and that nobody
            deletes. They are listed as long as their workload is there.

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
                if not any(over or pod.is_ending for pod in pods):
                    return []
                deadline = min(deadline, time.monotonic() + _OVER_SECONDS)
            if not left:
                return live


def find_claims(node: Node, cluster: Cluster, *, timeout: float = TIMEOUT) -> list[Object]:
    """Give the claims that stateful sets have made for the node.

    Raises:
        ApiError: The server refuses to tell.
        ClusterUnreachableError: It cannot be reached.
    """
    found = cluster.list(claim_path(cluster), label_selector=pod_selector(node), timeout=timeout)
    start = f"{CLAIM_NAME}-{manifest.workload_name(node)}-"
    return [
        each
        for each in tables(found, "items")
        if (name := name_of(each)).startswith(start) and name[len(start) :].isdecimal()
    ]


def claim_path(cluster: Cluster, name: str = "") -> str:
    """Give where the API has a claim, or all of them."""
    return cluster.path(*manifest.resource("PersistentVolumeClaim"), name)


def config_map_path(cluster: Cluster, name: str = "") -> str:
    """Give where the API has a config map, or all of them."""
    return cluster.path(*manifest.resource("ConfigMap"), name)
