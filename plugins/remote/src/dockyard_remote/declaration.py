"""What the driver declares: its endpoints, its options, and what a remote BuildKit can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dockyard.driver import (
    DriverType,
    EndpointForm,
    Feature,
    NodeFeatures,
    Option,
    Support,
    boolean,
)

NAME = "remote"
VARIABLE = "BUILDKIT_HOST"
ALLOW_PLAINTEXT = "allow-plaintext"


def _absolute_path(option: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not value.startswith("/"):
            raise ValueError(f"non-absolute path '{value}' provided for {option}")
        return value

    return parse


_OPTIONS = (
    Option(
        name="cacert",
        type="path",
        help="The CA that signed the daemon's certificate, a PEM file; turns TLS on",
        parse=_absolute_path("cacert"),
        recreates=False,
    ),
    Option(
        name="cert",
        type="path",
        help="The client certificate to show to the daemon, a PEM file",
        parse=_absolute_path("cert"),
        recreates=False,
    ),
    Option(
        name="key",
        type="path",
        help="The private key of that certificate, a PEM file without a password",
        parse=_absolute_path("key"),
        recreates=False,
    ),
    Option(
        name="servername",
        help="The name that the daemon's certificate has to be for; else the endpoint's host",
        recreates=False,
    ),
    Option(
        name="default-load",
        type="boolean",
        default="false",
        help="Load images into the engine when a build names no output",
        parse=boolean,
        recreates=False,
    ),
    Option(
        name=ALLOW_PLAINTEXT,
        type="boolean",
        default="false",
        help="Don't warn of a tcp:// endpoint without TLS on another machine",
        parse=boolean,
        recreates=False,
    ),
)

DRIVER = DriverType(
    name=NAME,
    summary="a BuildKit daemon that somebody else runs",
    features={
        Feature.AUTO_LOAD: Support.conditional("with default-load"),
        Feature.CACHE_EXPORT: Support.yes(),
        Feature.TARBALL: Support.yes(),
        Feature.MULTI_PLATFORM: Support.yes(),
        Feature.DIRECT_PUSH: Support.yes(),
        Feature.BUILDKIT_CONFIG: Support.no("managed externally"),
    },
    options=_OPTIONS,
    endpoints=(
        EndpointForm(form="unix://PATH", scheme="unix", help="a daemon's socket file"),
        EndpointForm(form="tcp://HOST:PORT", scheme="tcp", help="a daemon on the network"),
        EndpointForm(
            form="ssh://[USER@]HOST[:PORT][/SOCKET]",
            scheme="ssh",
            help="a daemon on a machine that ssh reaches and that has buildctl",
        ),
        EndpointForm(
            form="docker-container://NAME[?context=CONTEXT]",
            scheme="docker-container",
            help="a daemon in a container, through the docker command",
        ),
        EndpointForm(
            form="podman-container://NAME",
            scheme="podman-container",
            help="the same with podman",
        ),
        EndpointForm(
            form="nerdctl-container://NAME[?namespace=NAMESPACE]",
            scheme="nerdctl-container",
            help="the same with nerdctl",
        ),
        EndpointForm(
            form="kube-pod://POD[?context=CONTEXT&namespace=NAMESPACE&container=CONTAINER]",
            scheme="kube-pod",
            help="a daemon in a pod, through kubectl",
        ),
        EndpointForm(form="npipe://PATH", scheme="npipe", help="a named pipe; on Windows only"),
    ),
    priority=20,
    fallback_priority=90,
    endpoint_variable=VARIABLE,
    config_refusal="setting config file is not supported for remote driver",
    flags_refusal="setting buildkit flags is not supported for remote driver",
)


def features(options: Mapping[str, Any]) -> NodeFeatures:
    """Say what a node with these options can do."""
    loads = Support.yes() if options.get("default-load") else Support.no("with default-load")
    return NodeFeatures(support={**DRIVER.features, Feature.AUTO_LOAD: loads})
