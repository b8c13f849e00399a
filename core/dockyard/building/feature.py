"""Refuse a build that needs what its node does not have, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dockyard.building.grammar.annotation import check_annotations
from dockyard.driver import BuildRequest, DriverType, Feature, NodeFeatures
from dockyard.errors import InputError, UnsupportedFeatureError

_LEARN = "https://docs.docker.com/go"
_SEVERAL = "Multi-platform build"


class Need(NamedTuple):
    """Something that a request needs, in the words of the refusal."""

    feature: Feature
    words: str
    page: str


class Alternative(NamedTuple):
    """A builder of the user's that might do what the chosen one cannot."""

    name: str
    driver: DriverType


class Advice(NamedTuple):
    """Who might do what the chosen node cannot."""

    builders: Sequence[Alternative]
    """The user's other builders."""
    installed: Sequence[DriverType]
    """The declarations of all installed drivers."""
    install_hint: str
    """What to install when none of them has it."""


def needs(request: BuildRequest) -> Iterator[Need]:
    """Give what a request needs beyond what every driver has."""
    if any(entry.type != "inline" for entry in request.cache_to):
        yield Need(Feature.CACHE_EXPORT, "Cache export", "build-cache-backends")
    if any(request.attestations.values()):
        yield Need(Feature.MULTI_PLATFORM, "Attestation", "attestations")
    if len(request.platforms) > 1:
        yield Need(Feature.MULTI_PLATFORM, _SEVERAL, "build-multi-platform")
    for output in request.outputs:
        if output.type == "oci":
            yield Need(Feature.TARBALL, "OCI exporter", "build-exporters")
        elif output.type == "docker" and output.dest is not None:
            yield Need(Feature.TARBALL, "Docker exporter", "build-exporters")


def check_features(
    request: BuildRequest,
    features: NodeFeatures,
    *,
    driver: str,
    advice: Callable[[], Advice],
    one_platform: str = "",
) -> None:
    """Raise when the request needs a feature that the node lacks.

    Args:
        request: What to build.
        features: What the node can do.
        driver: The node's driver.
        advice: Says who else is there; asked only when the request is refused.
        one_platform: What to say of several platforms that the node cannot build for, where it
            is an output that stands in the way.

    Raises:
        UnsupportedFeatureError: A feature is missing; says who has it.
        InputError: The outputs contradict each other on this node.
    """
    for need in needs(request):
        if not features.has(need.feature):
            raise UnsupportedFeatureError(
                (need.words == _SEVERAL and one_platform) or _refusal(need, driver),
                feature=need.feature,
                driver=driver,
                hint=_who_has(need.feature, advice()),
            )
    check_annotations(request, features)
    for output in request.outputs:
        if output.pushes and not request.tags and not output.attributes.get("name"):
            raise InputError("tag is needed when pushing to registry")
        digest_only = output.attributes.get("push-by-digest", "false") == "true"
        if digest_only and output.pushes and features.loads_itself:
            raise InputError(
                f"push-by-digest is currently not implemented for {driver} driver, "
                "please create a new builder instance"
            )


def _refusal(need: Need, driver: str) -> str:
    return (
        f"{need.words} is not supported for the {driver} driver.\n"
        "Switch to a different driver, or turn on the containerd image store, "
        f"and try again.\nLearn more at {_LEARN}/{need.page}/"
    )


def _who_has(feature: Feature, advice: Advice) -> str:
    """Say in one line which builders or drivers have the feature."""
    able = [builder for builder in advice.builders if builder.driver.support(feature)]
    if able:
        names = ", ".join(f"{builder.name} ({_level(builder.driver, feature)})" for builder in able)
        return f"{feature.label}: your builders that can: {names}; use one with --builder"
    drivers = [kind for kind in advice.installed if kind.support(feature)]
    creatable = [kind.name for kind in drivers if kind.creatable]
    if creatable:
        return (
            f"{feature.label}: installed drivers that can: {', '.join(creatable)}; "
            f"make a builder with: create --driver {creatable[0]}"
        )
    depends = "; ".join(
        f"{kind.name}: {kind.support(feature).reason}"
        for kind in drivers
        if kind.support(feature).reason
    )
    return f"{feature.label}: {depends + '; or ' if depends else ''}{advice.install_hint}"


def _level(driver: DriverType, feature: Feature) -> str:
    support = driver.support(feature)
    return f"{driver.name}, {support.reason}" if support.reason else driver.name
