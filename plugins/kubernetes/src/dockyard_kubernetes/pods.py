"""A builder's pods: what they are doing, and which of them a build goes to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.errors import DriverError
from dockyard.platforms import Platform
from dockyard_kubernetes.cluster import TIMEOUT, Cluster
from dockyard_kubernetes.declaration import RANDOM
from dockyard_kubernetes.manifest import resource, workload_name
from dockyard_kubernetes.option import PLATFORM
from dockyard_kubernetes.pod import CONTAINER
from dockyard_kubernetes.ring import next_on_ring
from dockyard_kubernetes.value import Object, name_of, number, table, tables, text, uid_of

WHOLE = "whole"
"""Where the cache of a node that stands for one pod has the node that it belongs to."""
POD = "pod"
"""Where a node's cache has the pod that its connections go to."""
SEEN = "seen"
"""Where a node's cache has its pods as they were when it was booted: good for one choice."""
_FRESH_SECONDS = 2.0


class Pod(NamedTuple):
    """A pod, as far as it matters here."""

    name: str
    uid: str
    phase: str
    """``Pending``, ``Running``, ``Succeeded``, ``Failed``, ``Unknown``."""
    is_ready: bool
    is_ending: bool
    """Whether it is being deleted."""
    node: str
    """The machine that it was given; empty before."""
    restarts: int
    """How often BuildKit's container has been started again."""
    platforms: str
    """As its annotation says."""
    object: Object
    """All of it."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good; it may be listed for long, beside its successor."""
        return self.phase in ("Failed", "Succeeded")

    @property
    def is_usable(self) -> bool:
        """Whether builds may go there."""
        return self.phase == "Running" and self.is_ready and not self.is_ending


class Seen(NamedTuple):
    """The pods at a moment."""

    pods: Sequence[Pod]
    at: float
    """By the clock of :func:`time.monotonic`."""

    @property
    def is_fresh(self) -> bool:
        """Whether they may be trusted still; booting other nodes may have taken long."""
        return time.monotonic() - self.at < _FRESH_SECONDS


def pod_path(cluster: Cluster, name: str = "") -> str:
    """Give where the API has a pod, or all of them."""
    return cluster.path(*resource("Pod"), name)


def pod_selector(node: Node) -> str:
    """Give what finds a node's pods, also those made when it had other labels of its own."""
    return f"app={workload_name(node)}"


def list_pods(
    node: Node, cluster: Cluster, *, cancel: Cancellation | None = None, timeout: float = TIMEOUT
) -> list[Pod]:
    """Give a node's pods, sorted by name.

    Raises:
        ApiError: The server refuses.
        ClusterUnreachableError: It cannot be reached.
        CanceledError: ``cancel`` was turned.
    """
    found = cluster.list(
        pod_path(cluster), label_selector=pod_selector(node), cancel=cancel, timeout=timeout
    )
    return parse_pods(tables(found, "items"))


def parse_pods(objects: Sequence[Object]) -> list[Pod]:
    """Read those objects that are pods with a BuildKit in them, sorted by name."""
    pods = [parse_pod(each) for each in objects if _has_buildkit(each)]
    return sorted((pod for pod in pods if pod.name), key=lambda pod: pod.name)


def parse_pod(found: Object) -> Pod:
    """Read a pod."""
    return Pod(
        name=name_of(found),
        uid=uid_of(found),
        phase=text(found, "status", "phase"),
        is_ready=text(condition(found, "Ready"), "status") == "True",
        is_ending=bool(text(found, "metadata", "deletionTimestamp")),
        node=text(found, "spec", "nodeName"),
        restarts=number(container_status(found), "restartCount"),
        platforms=text(found, "metadata", "annotations", PLATFORM),
        object=found,
    )


def condition(found: Object, kind: str) -> Object:
    """Give one of the conditions in an object's status; an empty one where it has none such."""
    conditions = tables(found, "status", "conditions")
    return next((each for each in conditions if each.get("type") == kind), table(None))


def container_status(found: Object) -> Object:
    """Give what a pod's status has about BuildKit's container."""
    statuses = tables(found, "status", "containerStatuses")
    return next((each for each in statuses if each.get("name") == CONTAINER), table(None))


def is_running(status: Object) -> bool:
    """Say whether a container runs, by its status."""
    return "running" in table(status, "state")


def choose_pod(node: Node, pods: Sequence[Pod]) -> Pod:
    """Choose the pod that a build goes to.

    Raises:
        DriverError: None can take one.
    """
    usable = {pod.name: pod for pod in pods if pod.is_usable}
    if not usable:
        raise DriverError(
            "no running buildkit pods found",
            hint="the next build boots the builder; dockyard inspect says what its pods are doing",
        )
    if node.options.get("loadbalance") == RANDOM:
        import random

        return usable[random.choice(sorted(usable))]  # nobody gains by guessing it
    return usable[next_on_ring(node.sticky_key, usable)]


def pod_nodes(node: Node, pods: Sequence[Pod]) -> tuple[Node, ...]:
    """Give a node for each pod that builds may go to."""
    return tuple(_pod_node(node, pod) for pod in pods if pod.is_usable)


def whole(node: Node) -> Node:
    """Give the node that a pod's node belongs to, or the node itself."""
    found: Any = node.cache.get(WHOLE)
    return found if isinstance(found, Node) else node


def _pod_node(node: Node, pod: Pod) -> Node:
    return Node(
        name=pod.name,
        driver=node.driver,
        endpoint="",
        builder=node.builder,
        options=node.options,
        platforms=_platforms(pod.platforms) or node.platforms,
        flags=node.flags,
        files=node.files,
        variables=node.variables,
        credentials=node.credentials,
        sticky_key=node.sticky_key,
        cache={**node.cache, WHOLE: node, POD: pod},
    )


def _platforms(listed: str) -> tuple[Platform, ...]:
    from dockyard.errors import InputError
    from dockyard.platforms import parse_list

    try:
        return parse_list([listed]) if listed else ()
    except InputError:
        return ()  # somebody else's pod template


def _has_buildkit(found: Object) -> bool:
    return any(each.get("name") == CONTAINER for each in tables(found, "spec", "containers"))
