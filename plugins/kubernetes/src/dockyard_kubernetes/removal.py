"""Stop a node's pods, and remove everything that was made for the node."""

from __future__ import annotations

from dockyard.driver import Node
from dockyard.errors import DriverError
from dockyard_kubernetes import manifest
from dockyard_kubernetes.change import (
    await_no_pods,
    claim_path,
    config_map_path,
    delete,
    find,
    find_claims,
    scale,
)
from dockyard_kubernetes.cluster import Cluster, open_cluster
from dockyard_kubernetes.creation import is_own_config_map
from dockyard_kubernetes.pods import whole
from dockyard_kubernetes.state import Workload, find_workload, workload_path
from dockyard_kubernetes.value import name_of, tables, text

_END_SECONDS = 60.0
"""How long pods may take to end: they are given 30 s before they are killed."""
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
    if found is not None:
        path = workload_path(cluster, found.kind, found.name)
        if delete(cluster, path, found.object):
            removed.append(str(found))
    left = await_no_pods(node, cluster, seconds=_END_SECONDS)
    again = find_workload(node, cluster)
    if again is not None and (found is None or again.uid != found.uid):
        return tuple(removed)  # a boot has made it anew meanwhile, and needs the rest
    removed += [f"config map {name}" for name in _delete_config_maps(node, cluster, found)]
    if not keep_state:
        removed += [f"claim {name}" for name in _delete_claims(node, cluster)]
    removed += [f"pod {name} (it is still ending)" for name in left]
    return tuple(removed)


def _delete_claims(node: Node, cluster: Cluster) -> list[str]:
    return [
        name_of(each)
        for each in find_claims(node, cluster)
        if delete(cluster, claim_path(cluster, name_of(each)), each)
    ]


def _delete_config_maps(node: Node, cluster: Cluster, workload: Workload | None) -> list[str]:
    """Delete the config maps by their names, also more than the node would have now."""
    try:
        wanted = {name_of(each): each for each in manifest.config_maps(node)}
    except DriverError:
        wanted = {}  # then they were never made
    first = f"{manifest.workload_name(node)}-config"
    mounted = _mounted(workload)
    deleted = []
    for number in range(_MOST_CONFIG_MAPS):
        name = f"{first}-{number}" if number else first
        path = config_map_path(cluster, name)
        found = find(cluster, path)
        if found is not None and is_own_config_map(
            node, found, wanted.get(name), is_mounted=name in mounted
        ):
            if delete(cluster, path, found, unchanged=True):
                deleted.append(name)
        elif number and name not in wanted:
            break
    return deleted


def _mounted(workload: Workload | None) -> set[str]:
    """Name the config maps that a workload's pods mount."""
    volumes = tables(workload.object if workload else None, "spec", "template", "spec", "volumes")
    return {text(each, "configMap", "name") for each in volumes}
