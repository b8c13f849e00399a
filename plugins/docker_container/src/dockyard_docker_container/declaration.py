"""What the driver declares: its options, and what a BuildKit of one's own can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.driver import (
    DriverType,
    EndpointForm,
    Feature,
    Node,
    NodeFeatures,
    Option,
    Support,
    boolean,
)
from dockyard.errors import DriverError, OptionError
from dockyard_docker_container import option

NAME = "docker-container"
DEFAULT_IMAGE = "moby/buildkit:buildx-stable-1"
DEFAULT_CGROUP_PARENT = "/docker/buildx"
DEFAULT_RESTART_POLICY = "unless-stopped"

_LONGEST_NAME = 255 - len("buildx_buildkit__state")
"""A volume is a directory of its name, and no file name is longer."""

_OPTIONS = (
    Option(
        name="image",
        default=DEFAULT_IMAGE,
        help="The BuildKit image that the container is made of",
        parse=option.image,
    ),
    Option(name="network", help="The network that the container joins, for example host"),
    Option(
        name="memory",
        type="size",
        help="How much memory the container may use, for example 1g",
        parse=option.memory,
    ),
    Option(
        name="memory-swap",
        type="size",
        help="How much memory and swap it may use together; -1 for no limit",
        parse=option.memory_swap,
    ),
    Option(
        name="cpu-quota",
        type="number",
        help="Microseconds of CPU time it may use in each period",
        parse=option.cpu_quota,
    ),
    Option(
        name="cpu-period",
        type="number",
        help="The length of that period in microseconds",
        parse=option.cpu_period,
    ),
    Option(
        name="cpu-shares",
        type="number",
        help="Its weight among containers that compete for CPU time",
        parse=option.cpu_shares,
    ),
    Option(
        name="cpuset-cpus",
        type="list",
        help="The CPUs it may use, for example 0-3,7",
        parse=option.numbers("cpuset cpus"),
    ),
    Option(
        name="cpuset-mems",
        type="list",
        help="The memory nodes it may use, for example 0,1",
        parse=option.numbers("cpuset mems"),
    ),
    Option(
        name="cgroup-parent",
        default=DEFAULT_CGROUP_PARENT,
        help="The cgroup it is put below, where the engine uses cgroupfs",
    ),
    Option(
        name="restart-policy",
        type="restart policy",
        default=DEFAULT_RESTART_POLICY,
        help="When the engine starts it again: no, always, unless-stopped, on-failure[:COUNT]",
        parse=option.restart_policy,
    ),
    Option(name="env.", help="An environment variable of the container"),
    Option(
        name="default-load",
        type="boolean",
        default="false",
        help="Load images into the engine when a build names no output",
        parse=boolean,
        recreates=False,
    ),
    Option(
        name="provenance-add-gha",
        type="boolean",
        default="true",
        help="Tell BuildKit about the GitHub Actions run that boots it, for provenance",
        parse=boolean,
    ),
    Option(
        name="allow-untrusted-image",
        type="boolean",
        default="false",
        help="Take the image without verifying it where a policy asks for that",
        parse=boolean,
        recreates=False,
    ),
)

_DEFAULT_LOAD = Support.conditional("with default-load")

DRIVER = DriverType(
    name=NAME,
    summary="a BuildKit of your own in a container",
    features={
        Feature.AUTO_LOAD: _DEFAULT_LOAD,
        Feature.CACHE_EXPORT: Support.yes(),
        Feature.TARBALL: Support.yes(),
        Feature.MULTI_PLATFORM: Support.yes(),
        Feature.DIRECT_PUSH: Support.yes(),
        Feature.BUILDKIT_CONFIG: Support.yes(),
    },
    options=_OPTIONS,
    endpoints=(
        EndpointForm(form="CONTEXT", help="a docker context, as docker context ls lists them"),
        EndpointForm(form="unix://PATH", scheme="unix", help="an engine's socket file"),
        EndpointForm(form="tcp://HOST:PORT", scheme="tcp", help="an engine on the network"),
        EndpointForm(
            form="ssh://[USER@]HOST[:PORT][/SOCKET]",
            scheme="ssh",
            help="an engine on a machine that ssh reaches",
        ),
    ),
    priority=30,
    fallback_priority=70,
    serves_docker_contexts=True,
    uses_engine=True,
)


def features(options: Mapping[str, Any]) -> NodeFeatures:
    """Say what a node with these options can do."""
    loads = Support.yes() if options.get("default-load") else Support.no("with default-load")
    return NodeFeatures(support={**DRIVER.features, Feature.AUTO_LOAD: loads})


def check(node: Node) -> None:
    """Refuse what no engine can make a container of, before one is asked to.

    Raises:
        OptionError: Limits contradict each other.
        DriverError: The node's name is too long.
    """
    if len(node.name) > _LONGEST_NAME:
        raise DriverError(
            f"node name is too long for a container's volume: {len(node.name)} characters, "
            f"at most {_LONGEST_NAME}"
        )
    memory, swap = node.options.get("memory", 0), node.options.get("memory-swap", 0)
    if swap > 0 and not memory:
        raise OptionError(
            "memory-swap is set without memory",
            hint="memory-swap limits memory and swap together: set memory as well",
        )
    if 0 < swap < memory:
        raise OptionError(
            "memory-swap is smaller than memory",
            hint="memory-swap limits memory and swap together: it has to be the larger one",
        )
