"""What is made in the cluster for a node: a workload, and config maps for its configuration."""

from __future__ import annotations

from typing import Any

from dockyard.driver import Node
from dockyard.errors import DriverError
from dockyard_kubernetes import naming
from dockyard_kubernetes.config_map import config_map, node_directories
from dockyard_kubernetes.declaration import CLAIM
from dockyard_kubernetes.option import BUILDER, NODE, PLATFORM
from dockyard_kubernetes.pod import APPARMOR, CLAIM_NAME, pod_spec
from dockyard_kubernetes.template import merged

_RESOURCES = {
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "ConfigMap": ("v1", "configmaps"),
    "Pod": ("v1", "pods"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
    "Event": ("v1", "events"),
}


def resource(kind: str) -> tuple[str, str]:
    """Give the API version and the plural under which the server has a kind of object."""
    return _RESOURCES[kind]


def kind(node: Node) -> str:
    """Say what the node's pods are made by; one with claims keeps them apart."""
    return "StatefulSet" if node.options.get(CLAIM) else "Deployment"


def workload_name(node: Node) -> str:
    """Give the name of the node's workload.

    Raises:
        DriverError: No workload can be called so.
    """
    try:
        return naming.workload(node.name, stateful=kind(node) == "StatefulSet")
    except ValueError as error:
        raise DriverError(str(error), hint="choose a name with --node") from error


def selector(node: Node) -> dict[str, str]:
    """Give the labels that the node's pods have and no others."""
    return {"app": workload_name(node), **node.options.get("labels", {})}


def owner(node: Node) -> dict[str, str]:
    """Give the annotations that say whose something is."""
    return {BUILDER: node.builder, NODE: node.name}


def config_maps(node: Node) -> list[dict[str, Any]]:
    """Give the config maps that the node's pods mount.

    Raises:
        DriverError: No config map can hold the configuration.
    """
    name, notes = workload_name(node), {**_annotations(node), **owner(node)}
    return [
        config_map(f"{name}-{each.volume}", notes, each.files) for each in node_directories(node)
    ]


def workload(node: Node) -> dict[str, Any]:
    """Give what makes the node's pods. Everything in it may be changed.

    Raises:
        DriverError: The node's name or configuration fits into no cluster.
        OptionError: The pod template cannot be read, or would break the builder.
    """
    name, notes = workload_name(node), _annotations(node)
    template: dict[str, Any] = {"metadata": {"labels": selector(node)}}
    if notes:
        template["metadata"]["annotations"] = notes
    template["spec"] = pod_spec(node, name)
    spec: dict[str, Any] = {
        "replicas": node.options.get("replicas", 1),
        "selector": {"matchLabels": selector(node)},
        "template": merged(template, node),
    }
    if kind(node) == "StatefulSet":
        spec["serviceName"] = "buildkitd"
        spec["podManagementPolicy"] = "Parallel"
        spec["volumeClaimTemplates"] = [_claim(node)]
    return {
        "apiVersion": resource(kind(node))[0],
        "kind": kind(node),
        "metadata": {
            "name": name,
            "labels": selector(node),
            "annotations": {**notes, **owner(node)},
        },
        "spec": spec,
    }


def check(node: Node) -> None:
    """Make sure that everything of the node can be made.

    Raises:
        DriverError: The node's name or configuration fits into no cluster.
        OptionError: The pod template cannot be read, or would break the builder.
    """
    workload(node)
    config_maps(node)


def _annotations(node: Node) -> dict[str, str]:
    found = {}
    if node.platforms:
        found[PLATFORM] = ",".join(map(str, node.platforms))
    found |= node.options.get("annotations", {})
    if node.options.get("rootless"):
        found |= APPARMOR
    return found


def _claim(node: Node) -> dict[str, Any]:
    return {
        "metadata": {"name": CLAIM_NAME},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": node.options[CLAIM].text}},
        },
    }
