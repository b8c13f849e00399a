"""What the Dockerfile frontend is told: a request as BuildKit's attributes."""

from __future__ import annotations

from collections.abc import Mapping

from dockyard.building.grammar.resource import resource_attributes
from dockyard.driver import BuildRequest, NodeFeatures, boolean
from dockyard.errors import InputError
from dockyard.fsutil.name import display

_SYNTAX = "BUILDKIT_SYNTAX"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "FTP_PROXY")


def frontend_for(request: BuildRequest) -> tuple[str, dict[str, str]]:
    """Name the frontend and the attributes that choose its image, if it is one.

    Raises:
        InputError: The build argument that names the frontend is empty.
    """
    syntax = request.build_args.get(_SYNTAX)
    if syntax is None:
        return "dockerfile.v0", {}
    words = syntax.split(None, 1)
    if not words:
        raise InputError(
            f"empty {_SYNTAX} build-arg is invalid, use --build-arg {_SYNTAX} without '=' for "
            "optional behavior"
        )
    return "gateway.v0", {"source": words[0], "cmdline": syntax}


def frontend_attributes(
    request: BuildRequest,
    features: NodeFeatures,
    *,
    driver: str,
    proxies: Mapping[str, str],
    source_date_epoch: str,
) -> dict[str, str]:
    """Give all attributes of a request but those of its source.

    Args:
        request: What to build.
        features: What the node can do.
        driver: The node's driver.
        proxies: Proxy settings for the node, by the name of the build argument.
        source_date_epoch: The time stamp from the environment; empty when there is none.

    Raises:
        InputError: ``host-gateway`` is asked for and the node has none.
    """
    attributes = {
        **_prefixed("build-arg:", _build_args(request, proxies, source_date_epoch)),
        **_prefixed("label:", request.labels),
        **_steps(request),
        **_containers(request, features, driver),
    }
    mode = "pull" if request.pull else features.image_resolve_mode
    if mode:
        attributes["image-resolve-mode"] = mode
    return attributes


def check_text(attributes: Mapping[str, str]) -> None:
    """Make sure that the attributes can be sent.

    Raises:
        InputError: One is not UTF-8, as text from a command line may be; says which.
    """
    for name, value in attributes.items():
        try:
            name.encode()
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{display(name)} cannot be sent, it is not valid UTF-8: {display(value)}"
            ) from error


def _steps(request: BuildRequest) -> dict[str, str]:
    attributes = {}
    if request.target:
        attributes["target"] = request.target
    if request.platforms:
        attributes["platform"] = ",".join(str(platform) for platform in request.platforms)
    if request.multi_platform or _wants_index(request):
        attributes["multi-platform"] = "true"
    if request.no_cache:
        attributes["no-cache"] = ""
    elif request.no_cache_filter:
        attributes["no-cache"] = ",".join(request.no_cache_filter)
    return attributes


def _wants_index(request: BuildRequest) -> bool:
    """Say whether a build argument asks for an index even for one platform."""
    try:
        return boolean(request.build_args.get("BUILDKIT_MULTI_PLATFORM", ""))
    except ValueError:
        return False


def _containers(request: BuildRequest, features: NodeFeatures, driver: str) -> dict[str, str]:
    attributes = {}
    if request.network not in {"", "default"}:
        attributes["force-network-mode"] = request.network
    if request.add_hosts:
        attributes["add-hosts"] = ",".join(
            f"{host}={_address(address, features, driver)}" for host, address in request.add_hosts
        )
    if request.shm_size:
        attributes["shm-size"] = str(request.shm_size)
    if request.ulimits:
        attributes["ulimit"] = ",".join(request.ulimits)
    if request.cgroup_parent:
        attributes["cgroup-parent"] = request.cgroup_parent
    return attributes | resource_attributes(request.resources)


def _build_args(
    request: BuildRequest, proxies: Mapping[str, str], source_date_epoch: str
) -> dict[str, str]:
    args = dict(request.build_args)
    given = {name.upper() for name in args}
    for name in _PROXIES:
        if proxies.get(name) and name not in given:
            args[name] = proxies[name]
    if source_date_epoch:
        args.setdefault("SOURCE_DATE_EPOCH", source_date_epoch)
    return args


def _address(address: str, features: NodeFeatures, driver: str) -> str:
    if address != "host-gateway":
        return address
    if features.host_gateway is None:
        raise InputError(
            "unable to derive the IP value for host-gateway: host-gateway is not supported by the "
            f"{driver} driver",
            hint="give the address itself, as in --add-host NAME=IP",
        )
    return features.host_gateway


def _prefixed(prefix: str, values: Mapping[str, str]) -> dict[str, str]:
    return {prefix + key: value for key, value in values.items()}
