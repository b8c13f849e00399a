"""What the driver declares, and what an engine with this or that image store can really do."""

from __future__ import annotations

from collections.abc import Sequence

from dockyard.driver import (
    DriverType,
    EndpointForm,
    Feature,
    NodeFeatures,
    Support,
    Worker,
)

_LABEL = "org.mobyproject.buildkit.worker."
SNAPSHOTTER = f"{_LABEL}snapshotter"
"""A worker has this label only when the engine uses containerd's image store."""
HOST_GATEWAY = f"{_LABEL}moby.host-gateway-ip"

_CONTAINERD = Support.conditional("containerd store")

DRIVER = DriverType(
    name="docker",
    summary="the BuildKit inside a Docker Engine",
    features={
        Feature.AUTO_LOAD: Support.yes(),
        Feature.CACHE_EXPORT: Support.conditional(
            "inline only on the classic image store, all with the containerd store"
        ),
        Feature.TARBALL: _CONTAINERD,
        Feature.MULTI_PLATFORM: _CONTAINERD,
        Feature.DIRECT_PUSH: _CONTAINERD,
        Feature.BUILDKIT_CONFIG: Support.no(),
    },
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
    priority=10,
    fallback_priority=99,
    creatable=False,
    serves_docker_contexts=True,
    uses_engine=True,
    config_refusal=(
        "setting config file is not supported for docker driver, use dockerd configuration file"
    ),
)


def features(workers: Sequence[Worker]) -> NodeFeatures:
    """Say what an engine with these workers can do."""
    containerd = any(SNAPSHOTTER in worker.labels for worker in workers)
    level = Support.yes() if containerd else Support.no()
    return NodeFeatures(
        support={
            Feature.AUTO_LOAD: Support.yes(),
            Feature.CACHE_EXPORT: level,
            Feature.TARBALL: level,
            Feature.MULTI_PLATFORM: level,
            Feature.DIRECT_PUSH: level,
            Feature.BUILDKIT_CONFIG: Support.no(),
        },
        image_exporter="moby",
        loads_itself=True,
        image_resolve_mode="local",
        prefer_image_digest=containerd,
        host_gateway=_host_gateway(workers),
    )


def _host_gateway(workers: Sequence[Worker]) -> str | None:
    """Give the address that containers reach the engine's machine at; the label may list two."""
    listed = ",".join(worker.labels.get(HOST_GATEWAY, "") for worker in workers)
    return next((address for address in listed.split(",") if _is_address(address)), None)


def _is_address(text: str) -> bool:
    import _socket  # what module socket is made of, and adds 3 ms to

    family = _socket.AF_INET6 if ":" in text else _socket.AF_INET
    try:
        _socket.inet_pton(family, text)
    except (OSError, ValueError):
        return False
    return True
