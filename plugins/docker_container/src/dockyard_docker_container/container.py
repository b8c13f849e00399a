"""How a node's container is made: its name, its volume, and its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.driver import Node
from dockyard_docker_container import option
from dockyard_docker_container.declaration import (
    DEFAULT_CGROUP_PARENT,
    DEFAULT_IMAGE,
    DEFAULT_RESTART_POLICY,
)
from dockyard_docker_container.state import container_name, engine_of

CONFIG_DIRECTORY = "/etc/buildkit"
CONFIG = "buildkitd.toml"

PROBE_LABEL = "dev.dockyard.probe"

_STATE_DIRECTORY = "/var/lib/buildkit"
_WSL = "/usr/lib/wsl"
_BUILDER_LABEL = "dev.dockyard.builder"
_NODE_LABEL = "dev.dockyard.node"

GPUS: tuple[Mapping[str, Any], ...] = (
    {"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}},
)
"""The request for all GPUs that an engine has."""

_LIMITS = {
    "memory": "Memory",
    "memory-swap": "MemorySwap",
    "cpu-quota": "CpuQuota",
    "cpu-period": "CpuPeriod",
    "cpu-shares": "CpuShares",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "network": "NetworkMode",
}


class Surroundings(NamedTuple):
    """What a container's configuration depends on beside its node."""

    cgroupfs: bool = False
    """Whether the engine manages cgroups by itself."""
    remapped_users: bool = False
    """Whether the engine gives containers users of their own."""
    gpus: bool = False
    wsl: bool = False
    """Whether engine and client are on one Windows machine."""


def surroundings(node: Node, info: Mapping[str, Any], *, gpus: bool) -> Surroundings:
    """Gather what a container's configuration depends on.

    Args:
        node: The node.
        info: What the engine says of itself; empty when it says nothing.
        gpus: Whether the engine has some.
    """
    security = info.get("SecurityOptions")
    local = engine_of(node).host.partition("://")[0] in ("unix", "npipe", "fd")
    windows = bool(node.variables.get("WSL_DISTRO_NAME"))
    return Surroundings(
        cgroupfs=info.get("CgroupDriver") == "cgroupfs",
        remapped_users=isinstance(security, list) and "name=userns" in security,
        gpus=gpus,
        wsl=windows and local and Path(_WSL).is_dir(),
    )


def image_of(node: Node) -> str:
    """Give the name of the image that the container is made of."""
    return node.options.get("image") or DEFAULT_IMAGE


def volume_name(node: Node) -> str:
    """Give the name of the volume that keeps the build cache."""
    return f"{container_name(node)}_state"


def labels(node: Node) -> dict[str, str]:
    """Give the labels by which everything is found that was made for the node."""
    return {_BUILDER_LABEL: node.builder, _NODE_LABEL: node.name}


def container_config(node: Node, image: str, around: Surroundings) -> dict[str, Any]:
    """Give the configuration to create the container from, as the engine's API takes it."""
    env = [
        f"{name.removeprefix('env.')}={value}"
        for name, value in sorted(node.options.items())
        if name.startswith("env.")
    ]
    config_flags = ["--config", f"{CONFIG_DIRECTORY}/{CONFIG}"] if CONFIG in node.files else []
    return {
        "Image": image,
        "Env": env or None,
        "Cmd": [*config_flags, *node.flags],
        "Labels": labels(node),
        "HostConfig": _host_config(node, around),
    }


def probe_config(node: Node, image: str, mark: str) -> dict[str, Any]:
    """Give the configuration of a container that only starts where there are GPUs."""
    return {
        "Image": image,
        "Entrypoint": ["/bin/true"],
        "Labels": {**labels(node), PROBE_LABEL: mark},
        "HostConfig": {
            "NetworkMode": "none",
            "AutoRemove": True,
            "DeviceRequests": [*GPUS],
        },
    }


def _host_config(node: Node, around: Surroundings) -> dict[str, Any]:
    options = node.options
    policy = options.get("restart-policy") or option.restart_policy(DEFAULT_RESTART_POLICY)
    volume = {"Type": "volume", "Source": volume_name(node), "Target": _STATE_DIRECTORY}
    wsl = {"Type": "bind", "Source": _WSL, "Target": _WSL, "ReadOnly": True}
    host: dict[str, Any] = {
        "Privileged": True,
        "Init": True,
        "RestartPolicy": {"Name": policy.name, "MaximumRetryCount": policy.most},
        "Mounts": [volume, wsl] if around.wsl else [volume],
    }
    for name, field in _LIMITS.items():
        if options.get(name):
            host[field] = options[name]
    if around.cgroupfs:
        host["CgroupParent"] = options.get("cgroup-parent") or DEFAULT_CGROUP_PARENT
    if around.remapped_users:
        host["UsernsMode"] = "host"
    if around.gpus:
        host["DeviceRequests"] = [*GPUS]
    return host
