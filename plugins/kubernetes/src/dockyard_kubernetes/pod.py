"""A pod of a node: BuildKit's container with its arguments, limits and volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.driver import Node
from dockyard_kubernetes.config_map import node_directories
from dockyard_kubernetes.declaration import (
    CLAIM,
    DEFAULT_IMAGE,
    DEFAULT_QEMU_IMAGE,
    DEFAULT_ROOTLESS_IMAGE,
    MEMORY,
)

CONTAINER = "buildkitd"
"""The container that BuildKit runs in."""
CLAIM_NAME = "buildkitd"
"""The claim's, and the volume's that it becomes."""
APPARMOR = {f"container.apparmor.security.beta.kubernetes.io/{CONTAINER}": "unconfined"}

ROOT = "/var/lib/buildkit"
ROOTLESS_ROOT = "/home/user/.local/share/buildkit"
_CONFIG = "/etc/buildkit/buildkitd.toml"
_MEMORY_VOLUME = "buildkit-memory"
_ROOTLESS_USER = "1000:1000"

_Object = dict[str, Any]


def pod_spec(node: Node, name: str) -> _Object:
    """Give the spec of a node's pods, before a template is merged in.

    Args:
        node: The node.
        name: Its workload's name.

    Raises:
        DriverError: No config map can hold the configuration.
    """
    options = node.options
    volumes, mounts = _volumes(node, name)
    spec: _Object = {"containers": [_container(node, mounts)]}
    if volumes:
        spec["volumes"] = volumes
    first = _init_containers(node)
    if first:
        spec["initContainers"] = first
    fields = {
        "nodeSelector": "nodeselector",
        "tolerations": "tolerations",
        "serviceAccountName": "serviceaccount",
        "schedulerName": "schedulername",
    }
    return spec | {field: options[each] for field, each in fields.items() if options.get(each)}


def root(options: Mapping[str, Any]) -> str:
    """Give the directory that BuildKit keeps its cache in."""
    return ROOTLESS_ROOT if options.get("rootless") else ROOT


def _image(options: Mapping[str, Any]) -> str:
    default = DEFAULT_ROOTLESS_IMAGE if options.get("rootless") else DEFAULT_IMAGE
    return options.get("image") or default


def _container(node: Node, mounts: list[_Object]) -> _Object:
    container: _Object = {
        "name": CONTAINER,
        "image": _image(node.options),
        "securityContext": _security(node.options),
        "readinessProbe": _probe(),
        "livenessProbe": _probe(),
        "resources": _resources(node.options),
    }
    args = _arguments(node)
    if args:
        container["args"] = args
    env = [
        {"name": name.removeprefix("env."), "value": value}
        for name, value in sorted(node.options.items())
        if name.startswith("env.")
    ]
    if env:
        container["env"] = env
    if mounts:
        container["volumeMounts"] = mounts
    return container


def _security(options: Mapping[str, Any]) -> _Object:
    if options.get("rootless"):
        return {"seccompProfile": {"type": "Unconfined"}}
    return {"privileged": True}


def _probe() -> _Object:
    return {
        "exec": {"command": ["buildctl", "debug", "workers"]},
        "initialDelaySeconds": 5,
        "timeoutSeconds": 60,
        "periodSeconds": 30,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def _arguments(node: Node) -> list[str]:
    if not node.options.get("rootless"):
        return list(node.flags)
    # A rootless daemon looks for its configuration below its home unless it is told.
    config = ["--config", _CONFIG] if "buildkitd.toml" in node.files else []
    return [*config, *node.flags, "--oci-worker-no-process-sandbox"]


def _resources(options: Mapping[str, Any]) -> _Object:
    found: _Object = {}
    for group in ("requests", "limits"):
        for what in ("cpu", "memory", "ephemeral-storage"):
            quantity = options.get(f"{group}.{what}")
            if quantity:
                found.setdefault(group, {})[what] = quantity.text
    return found


def _init_containers(node: Node) -> list[_Object]:
    options = node.options
    found: list[_Object] = []
    if options.get("qemu.install"):
        found.append(
            {
                "name": "qemu",
                "image": options.get("qemu.image") or DEFAULT_QEMU_IMAGE,
                "args": ["--install", "all"],
                "securityContext": {"privileged": True},
            }
        )
    if options.get("rootless") and options.get(CLAIM):
        # Most new volumes are root's. A group for the pod (fsGroup) would not do: directories
        # then hand it down, set-group-id bit and all, into the images that are built there.
        found.append(
            {
                "name": "buildkitd-owner",
                "image": _image(options),
                "command": ["sh", "-c", f"chown {_ROOTLESS_USER} {ROOTLESS_ROOT} || true"],
                "securityContext": {"runAsUser": 0, "runAsGroup": 0},
                "volumeMounts": [{"name": CLAIM_NAME, "mountPath": ROOTLESS_ROOT}],
            }
        )
    return found


def _volumes(node: Node, name: str) -> tuple[list[_Object], list[_Object]]:
    """Give the volumes and where they are mounted. A claim makes its volume itself."""
    volumes: list[_Object] = []
    mounts: list[_Object] = []
    for each in node_directories(node):
        volumes.append({"name": each.volume, "configMap": {"name": f"{name}-{each.volume}"}})
        mounts.append({"name": each.volume, "mountPath": each.mount_path})
    options = node.options
    memory = options.get(MEMORY)
    empty: _Object = {"medium": "Memory", "sizeLimit": memory.text} if memory else {}
    if options.get(CLAIM):
        mounts.append({"name": CLAIM_NAME, "mountPath": root(options)})
    elif options.get("rootless") or memory:
        volume = CLAIM_NAME if options.get("rootless") else _MEMORY_VOLUME
        volumes.append({"name": volume, "emptyDir": empty})
        mounts.append({"name": volume, "mountPath": root(options)})
    return volumes, mounts
