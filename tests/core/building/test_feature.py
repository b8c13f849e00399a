from __future__ import annotations

import attrs
import pytest

from dockyard.building.export import one_platform
from dockyard.building.feature import Advice, Alternative, check_features
from dockyard.building.grammar.output import parse_outputs
from dockyard.driver import BuildRequest, CacheEntry, DriverType, Feature, NodeFeatures, Support
from dockyard.errors import InputError, UnsupportedFeatureError
from dockyard.platforms import Platform

NOTHING = NodeFeatures(support={}, loads_itself=True)
EVERYTHING = NodeFeatures(support=dict.fromkeys(Feature, Support.yes()))
ABLE = DriverType(name="shed", summary="", features=dict.fromkeys(Feature, Support.yes()))
TWO = (Platform("linux", "amd64"), Platform("linux", "arm64"))

CASES = [
    (BuildRequest(cache_to=(CacheEntry(type="local"),)), "Cache export", "build-cache-backends"),
    (BuildRequest(attestations={"sbom": "type=sbom"}), "Attestation", "attestations"),
    (BuildRequest(platforms=TWO), "Multi-platform build", "build-multi-platform"),
    (
        BuildRequest(outputs=parse_outputs(["type=oci,dest=x"], push=False, load=False)),
        "OCI exporter",
        "build-exporters",
    ),
    (
        BuildRequest(outputs=parse_outputs(["type=docker,dest=x"], push=False, load=False)),
        "Docker exporter",
        "build-exporters",
    ),
]


def check(
    request: BuildRequest,
    features: NodeFeatures = NOTHING,
    builders: tuple[Alternative, ...] = (),
    installed: tuple[DriverType, ...] = (),
) -> None:
    check_features(
        request,
        features,
        driver="docker",
        advice=lambda: Advice(
            builders, installed, "install a driver, for example: pip install dockyard-x"
        ),
    )


@pytest.mark.parametrize(("request_", "words", "page"), CASES)
def test_a_missing_feature_is_refused_in_the_reference_s_words(
    request_: BuildRequest, words: str, page: str
) -> None:
    with pytest.raises(UnsupportedFeatureError) as caught:
        check(request_)

    assert str(caught.value) == (
        f"{words} is not supported for the docker driver.\n"
        "Switch to a different driver, or turn on the containerd image store, and try again.\n"
        f"Learn more at https://docs.docker.com/go/{page}/"
    )


@pytest.mark.parametrize("request_", [case[0] for case in CASES])
def test_what_a_node_has_is_not_refused(request_: BuildRequest) -> None:
    check(request_, EVERYTHING)


@pytest.mark.parametrize(
    "request_",
    [
        BuildRequest(),
        BuildRequest(cache_to=(CacheEntry(type="inline"),)),
        BuildRequest(platforms=TWO[:1]),
        BuildRequest(attestations={"provenance": ""}),
        BuildRequest(outputs=parse_outputs(["type=docker", "o"], push=False, load=False)),
    ],
)
def test_what_every_node_has_is_not_refused(request_: BuildRequest) -> None:
    check(request_)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("type=docker", "docker exporter does not currently support exporting manifest lists"),
        ("type=docker,dest=x", "docker exporter does not support exporting manifest lists, use"),
        ("type=image", "Multi-platform build is not supported for the"),
    ],
)
def test_several_platforms_are_refused_in_the_words_of_the_output_in_the_way(
    output: str, words: str
) -> None:
    request = BuildRequest(platforms=TWO, outputs=parse_outputs([output], push=False, load=False))

    with pytest.raises(UnsupportedFeatureError, match=f"^{words}") as caught:
        check_features(
            request,
            NOTHING,
            driver="hut",
            advice=lambda: Advice((), (ABLE,), ""),
            one_platform=one_platform(request.outputs),
        )
    assert caught.value.feature == Feature.MULTI_PLATFORM
    assert "shed" in str(caught.value.hint)


def hint(builders: tuple[Alternative, ...] = (), installed: tuple[DriverType, ...] = ()) -> str:
    with pytest.raises(UnsupportedFeatureError, match="Multi-platform") as caught:
        check(BuildRequest(platforms=TWO), builders=builders, installed=installed)
    assert "\n" not in str(caught.value.hint)
    return str(caught.value.hint)


def test_the_users_own_builders_are_named_first() -> None:
    assert hint((Alternative("mine", ABLE),), (ABLE,)) == (
        "Multi-arch images: your builders that can: mine (shed); use one with --builder"
    )


def test_without_a_builder_the_installed_drivers_are_named() -> None:
    assert hint((), (ABLE,)) == (
        "Multi-arch images: installed drivers that can: shed; make a builder with: "
        "create --driver shed"
    )


def test_without_either_it_is_said_what_to_install_and_on_what_it_depends() -> None:
    engine = attrs.evolve(
        ABLE,
        creatable=False,
        features={Feature.MULTI_PLATFORM: Support.conditional("with the containerd image store")},
    )

    assert hint((), (engine,)) == (
        "Multi-arch images: shed: with the containerd image store; or install a driver, for "
        "example: pip install dockyard-x"
    )


def test_pushing_needs_a_tag() -> None:
    outputs = parse_outputs([], push=True, load=False)

    with pytest.raises(InputError, match="^tag is needed when pushing to registry$"):
        check(BuildRequest(outputs=outputs))
    check(BuildRequest(outputs=outputs, tags=("a",)))


def test_an_engine_does_not_push_by_digest() -> None:
    outputs = parse_outputs(
        ["type=image,name=a,push=true,push-by-digest=true"], push=False, load=False
    )

    with pytest.raises(InputError, match="push-by-digest is currently not implemented"):
        check(BuildRequest(outputs=outputs))
