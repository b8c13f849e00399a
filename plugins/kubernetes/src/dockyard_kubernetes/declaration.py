"""What the driver declares: its options, and what BuildKit in a cluster can do."""

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
from dockyard_kubernetes import naming, option

NAME = "kubernetes"
DEFAULT_IMAGE = "moby/buildkit:buildx-stable-1"
DEFAULT_ROOTLESS_IMAGE = "moby/buildkit:buildx-stable-1-rootless"
DEFAULT_QEMU_IMAGE = "tonistiigi/binfmt:latest"
DEFAULT_TIMEOUT = 120.0
"""Seconds."""

CLAIM = "persistent-volume-claim.requests.storage"
MEMORY = "buildkit-root-volume-memory"
STICKY, RANDOM = "sticky", "random"

_OPTIONS = (
    Option(
        name="image",
        default=DEFAULT_IMAGE,
        help="The BuildKit image that the pods run; with rootless, its rootless variant",
        parse=option.image,
    ),
    Option(
        name="context",
        help="The context of the kubeconfig file to use; else the file's current one",
        loses_cache=True,
    ),
    Option(
        name="namespace",
        type="name",
        help="The namespace; else the context's",
        parse=option.namespace,
        loses_cache=True,
    ),
    Option(
        name="replicas",
        type="number",
        default="1",
        help="How many pods there are",
        parse=option.replicas,
    ),
    Option(
        name="requests.cpu",
        type="quantity",
        help="The CPU time that a pod is sure to get, for example 500m or 2",
        parse=option.amount,
    ),
    Option(
        name="requests.memory",
        type="quantity",
        help="The memory that a pod is sure to get, for example 2Gi",
        parse=option.size,
    ),
    Option(
        name="requests.ephemeral-storage",
        type="quantity",
        help="The room on its node's disk that a pod is sure to get",
        parse=option.size,
    ),
    Option(
        name="limits.cpu",
        type="quantity",
        help="The CPU time that a pod may use",
        parse=option.amount,
    ),
    Option(
        name="limits.memory",
        type="quantity",
        help="The memory that a pod may use",
        parse=option.size,
    ),
    Option(
        name="limits.ephemeral-storage",
        type="quantity",
        help="The room on its node's disk that a pod may use",
        parse=option.size,
    ),
    Option(
        name=CLAIM,
        type="quantity",
        help="Keep each pod's build cache in a persistent volume of this size",
        parse=option.storage,
        loses_cache=True,
    ),
    Option(
        name=MEMORY,
        type="quantity",
        help="Keep the build cache in memory, at most so much of it",
        parse=option.size,
        loses_cache=True,
    ),
    Option(
        name="nodeselector",
        type="list",
        help="The labels that a pod's node has to have, for example kubernetes.io/arch=arm64",
        parse=option.node_selector,
    ),
    Option(
        name="tolerations",
        type="list",
        help="The taints that pods tolerate, for example key=ci,operator=Exists;key=arm,value=yes",
        parse=option.tolerations,
    ),
    Option(
        name="labels",
        type="list",
        help="More labels of workload and pods, for example team=a,tier=b",
        parse=option.labels,
    ),
    Option(
        name="annotations",
        type="list",
        help="More annotations of everything that is made",
        parse=option.custom_annotations,
    ),
    Option(
        name="rootless",
        type="boolean",
        default="false",
        help="Run BuildKit as an ordinary user, without privileges",
        parse=boolean,
        loses_cache=True,
    ),
    Option(
        name="loadbalance",
        type="choice",
        default=STICKY,
        help="How a build chooses its pod: sticky, by the build context's place, or random",
        parse=option.choice("loadbalance", STICKY, RANDOM),
        recreates=False,
    ),
    Option(
        name="qemu.install",
        type="boolean",
        default="false",
        help="Install emulators for other architectures on a pod's node before BuildKit starts",
        parse=boolean,
    ),
    Option(
        name="qemu.image",
        default=DEFAULT_QEMU_IMAGE,
        help="The image that installs them",
        parse=option.image,
    ),
    Option(
        name="serviceaccount",
        type="name",
        help="The service account of the pods; else the namespace's default",
        parse=option.service_account,
    ),
    Option(
        name="schedulername",
        help="The scheduler that finds nodes for the pods",
        parse=option.scheduler,
    ),
    Option(
        name="timeout",
        type="duration",
        default="120s",
        help="How long to wait for the pods to be ready",
        parse=option.timeout,
        recreates=False,
    ),
    Option(
        name="keep-failed",
        type="boolean",
        default="false",
        help="Leave in the cluster what a boot that failed has made, to look at it",
        parse=boolean,
        recreates=False,
    ),
    Option(
        name="template",
        type="path",
        help="A YAML file, by its absolute path, that is merged into the pods' template",
        parse=option.absolute_path("template"),
    ),
    Option(name="env.", help="An environment variable of BuildKit's container"),
    Option(
        name="provenance-add-gha",
        type="boolean",
        default="false",
        help="Tell BuildKit about the GitHub Actions run that makes its pods, for provenance",
        parse=boolean,
    ),
    Option(
        name="default-load",
        type="boolean",
        default="false",
        help="Load images into the engine when a build names no output",
        parse=boolean,
        recreates=False,
    ),
)

DRIVER = DriverType(
    name=NAME,
    summary="BuildKit in pods of a Kubernetes cluster",
    features={
        Feature.AUTO_LOAD: Support.conditional("with default-load"),
        Feature.CACHE_EXPORT: Support.yes(),
        Feature.TARBALL: Support.yes(),
        Feature.MULTI_PLATFORM: Support.yes(),
        Feature.DIRECT_PUSH: Support.yes(),
        Feature.BUILDKIT_CONFIG: Support.yes(),
    },
    options=_OPTIONS,
    endpoints=(
        EndpointForm(
            form="kubernetes:///NAME?deployment=NODE&kubeconfig=PATH",
            scheme="kubernetes",
            help="made by create: the builder, its node, and the kubeconfig file",
        ),
    ),
    priority=40,
    fallback_priority=80,
    option_refusal=f"invalid driver option {{}} for driver {NAME}",
)


def features(options: Mapping[str, Any]) -> NodeFeatures:
    """Say what a node with these options can do."""
    loads = Support.yes() if options.get("default-load") else Support.no("with default-load")
    return NodeFeatures(support={**DRIVER.features, Feature.AUTO_LOAD: loads})


def check(node: Node) -> None:
    """Refuse what no API server takes, before one is asked.

    Raises:
        OptionError: Options contradict each other, or a variable's name is none.
        DriverError: No workload can have the node's name.
    """
    try:
        naming.workload(node.name, stateful=bool(node.options.get(CLAIM)))
    except ValueError as error:
        raise DriverError(str(error), hint="choose a name with --node") from error
    _check_variables(node.options)
    _check_limits(node.options)
    if node.options.get(CLAIM) and node.options.get(MEMORY):
        raise OptionError(
            f"{CLAIM} and {MEMORY} exclude each other",
            hint="the build cache is either in a persistent volume or in memory",
        )


def _check_variables(options: Mapping[str, Any]) -> None:
    for name in options:
        if name.startswith("env."):
            try:
                naming.variable(name.removeprefix("env."))
            except ValueError as error:
                raise OptionError(str(error), hint=f"driver option {name}") from error


def _check_limits(options: Mapping[str, Any]) -> None:
    for what in ("cpu", "memory", "ephemeral-storage"):
        request, limit = options.get(f"requests.{what}"), options.get(f"limits.{what}")
        if request and limit and request.nano > limit.nano:
            raise OptionError(
                f"requests.{what} ({request.text}) is larger than limits.{what} ({limit.text})",
                hint="a pod cannot be sure of more than it may use",
            )
