"""What a node's workload is doing, as the API server tells it."""

from __future__ import annotations

from typing import NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.driver import Node, NodeStatus, State
from dockyard.errors import DriverError
from dockyard_kubernetes import declaration, manifest
from dockyard_kubernetes.cluster import (
    TIMEOUT,
    ApiError,
    Cluster,
    ClusterUnreachableError,
    KubeconfigError,
    open_cluster,
)
from dockyard_kubernetes.option import BUILDER, NODE
from dockyard_kubernetes.pod import CONTAINER, ROOT, ROOTLESS_ROOT
from dockyard_kubernetes.pods import WHOLE, Pod, list_pods, pod_nodes
from dockyard_kubernetes.value import Object, name_of, table, tables, text, uid_of

_STATUS_SECONDS = 10.0
_PASSING_VOLUMES = frozenset({"emptyDir", "ephemeral"})
_KINDS = ("Deployment", "StatefulSet")


class Workload(NamedTuple):
    """A deployment or stateful set, as far as it matters here."""

    kind: str
    name: str
    uid: str
    replicas: int
    """How many pods there shall be."""
    is_ending: bool
    """Whether it is being deleted."""
    object: Object
    """All of it."""

    def __str__(self) -> str:
        kind = "stateful set" if self.kind == "StatefulSet" else self.kind.lower()
        return f"{kind} {self.name}"


def workload_path(cluster: Cluster, kind: str, name: str = "") -> str:
    """Give where the API has a workload, or all of its kind."""
    return cluster.path(*manifest.resource(kind), name)


def parse_workload(kind: str, found: Object) -> Workload:
    """Read a workload."""
    replicas = table(found, "spec").get("replicas", 1)
    return Workload(
        kind=kind,
        name=name_of(found),
        uid=uid_of(found),
        replicas=replicas if isinstance(replicas, int) else 1,
        is_ending=bool(text(found, "metadata", "deletionTimestamp")),
        object=found,
    )


def find_workload(
    node: Node,
    cluster: Cluster,
    *,
    cancel: Cancellation | None = None,
    timeout: float = TIMEOUT,
) -> Workload | None:
    """Give the node's workload; None where there is none.

    One of the other kind counts, too: the options may have changed since it was made.

    Raises:
        DriverError: There is something of its name that is no builder's.
        ApiError: The server refuses.
        ClusterUnreachableError: It cannot be reached.
        CanceledError: ``cancel`` was turned.
    """
    name, first = manifest.workload_name(node), manifest.kind(node)
    for kind in sorted(_KINDS, key=lambda kind: kind != first):
        try:
            path = workload_path(cluster, kind, name)
            found = cluster.get(path, cancel=cancel, timeout=timeout)
        except ApiError as error:
            # Who may not even look for the other kind has made none of it.
            is_barred = kind != first and error.status == 403
            if (error.status == 404 and not _lacks_namespace(error)) or is_barred:
                continue
            raise
        check_ours(node, found, f"{kind} {name!r} in namespace {cluster.namespace!r}")
        return parse_workload(kind, found)
    return None


def check_ours(node: Node, found: Object, what: str) -> None:
    """Refuse a workload that no builder of this node's name can have made.

    One that the reference has made has no marks of ours; it is shared with it.

    Raises:
        DriverError: It is somebody else's.
    """
    containers = tables(found, "spec", "template", "spec", "containers")
    has_buildkit = any(each.get("name") == CONTAINER for each in containers)
    label = text(found, "spec", "selector", "matchLabels", "app")
    if has_buildkit and label == name_of(found):
        marks = table(found, "metadata", "annotations")
        owner = marks.get(NODE)
        if owner is None or owner == node.name:
            return
        why = f"it belongs to node {owner} of builder {marks.get(BUILDER)}"
    else:
        why = f"it has no container named {CONTAINER}" if label else "its pods are no builder's"
    raise DriverError(
        f"{what} is there already and not this builder's: {why}",
        hint="choose another name for the node, with create --node, or another namespace",
    )


def status(node: Node) -> NodeStatus:
    """Say how far the node is from answering.

    Raises:
        DriverError: Nothing can be made of the node's settings, or its name is taken.
        KubeconfigError: Nothing says where the cluster is.
    """
    if WHOLE in node.cache:
        return NodeStatus(state=State.RUNNING)
    declaration.check(node)
    try:
        return _status(node, open_cluster(node))
    except KubeconfigError:
        raise
    except ClusterUnreachableError as error:
        # A builder may be made for a cluster that is not there yet, as the reference has it.
        return NodeStatus(state=State.INACTIVE, reason=str(error), is_guess=True)


def _status(node: Node, cluster: Cluster) -> NodeStatus:
    found = find_workload(node, cluster, timeout=_STATUS_SECONDS)
    if found is None:
        manifest.check(node)
        return NodeStatus(state=State.INACTIVE)
    if not found.replicas:
        return NodeStatus(state=State.STOPPED)
    pods = list_pods(node, cluster, timeout=_STATUS_SECONDS)
    loss = "" if _keeps_cache(found) else "it is in its pods, and goes with them"
    nodes = pod_nodes(node, pods)
    if nodes:
        return NodeStatus(state=State.RUNNING, dynamic=nodes, cache_loss=loss)
    return NodeStatus(state=State.STARTING, reason=_reason(found, pods), cache_loss=loss)


def _reason(found: Workload, pods: list[Pod]) -> str:
    from dockyard_kubernetes.why import diagnose

    trouble = diagnose(found, pods, ())
    return trouble.words if trouble else ""


def _lacks_namespace(error: ApiError) -> bool:
    return error.details.get("kind") == "namespaces"


def _keeps_cache(found: Workload) -> bool:
    """Say whether the build cache outlives the pods."""
    if tables(found.object, "spec", "volumeClaimTemplates"):
        return True
    spec = table(found.object, "spec", "template", "spec")
    lasting = {
        each.get("name") for each in tables(spec, "volumes") if not _PASSING_VOLUMES & each.keys()
    }
    return any(
        mount.get("mountPath") in (ROOT, ROOTLESS_ROOT) and mount.get("name") in lasting
        for container in tables(spec, "containers")
        for mount in tables(container, "volumeMounts")
    )
