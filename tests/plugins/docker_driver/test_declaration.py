"""What the driver declares, and what workers say about an engine."""

from __future__ import annotations

import pytest

from dockyard.driver import Feature, Level, Worker
from dockyard_docker.declaration import DRIVER, HOST_GATEWAY, SNAPSHOTTER, features

CLASSIC = Worker(id="one", labels={HOST_GATEWAY: "172.17.0.1"})
CONTAINERD = Worker(id="two", labels={SNAPSHOTTER: "overlayfs"})
DEPENDENT = {
    Feature.CACHE_EXPORT,
    Feature.TARBALL,
    Feature.MULTI_PLATFORM,
    Feature.DIRECT_PUSH,
}


def test_every_feature_is_declared() -> None:
    assert set(DRIVER.features) == set(Feature)


def test_what_the_image_store_decides_is_declared_as_conditional() -> None:
    conditional = {
        feature
        for feature, support in DRIVER.features.items()
        if support.level is Level.CONDITIONAL
    }

    assert conditional == DEPENDENT
    assert DRIVER.support(Feature.CACHE_EXPORT).reason == (
        "inline only on the classic image store, all with the containerd store"
    )


def test_the_containerd_store_can_do_everything_that_is_conditional() -> None:
    found = features([CLASSIC, CONTAINERD])

    assert {feature for feature in Feature if found.has(feature)} == {
        Feature.AUTO_LOAD,
        *DEPENDENT,
    }
    assert found.prefer_image_digest


def test_the_classic_store_only_loads() -> None:
    found = features([CLASSIC])

    assert {feature for feature in Feature if found.has(feature)} == {Feature.AUTO_LOAD}
    assert not found.prefer_image_digest


def test_builds_end_in_the_engine_s_own_store() -> None:
    found = features([CLASSIC])

    assert (found.image_exporter, found.loads_itself) == ("moby", True)
    assert found.image_resolve_mode == "local"


@pytest.mark.parametrize(
    ("label", "address"),
    [
        ("172.17.0.1", "172.17.0.1"),
        ("fd00::1,172.17.0.1", "fd00::1"),
        ("", None),
        ("<nil>", None),
        ("nonsense,172.17.0.1", "172.17.0.1"),
    ],
)
def test_the_host_gateway_is_the_worker_s(label: str, address: str | None) -> None:
    assert features([Worker(id="one", labels={HOST_GATEWAY: label})]).host_gateway == address


def test_without_a_label_there_is_no_host_gateway() -> None:
    assert features([CONTAINERD]).host_gateway is None
