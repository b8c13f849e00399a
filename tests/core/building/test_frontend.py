from __future__ import annotations

import pytest

from dockyard.building.frontend import frontend_attributes, frontend_for
from dockyard.driver import BuildRequest, NodeFeatures
from dockyard.errors import InputError
from dockyard.platforms import Platform

PLAIN = NodeFeatures(support={})


def attributes(
    request: BuildRequest,
    features: NodeFeatures = PLAIN,
    proxies: dict[str, str] | None = None,
    epoch: str = "",
) -> dict[str, str]:
    return frontend_attributes(
        request, features, driver="kiosk", proxies=proxies or {}, source_date_epoch=epoch
    )


def test_nothing_asked_is_nothing_told() -> None:
    assert attributes(BuildRequest()) == {}


def test_every_part_of_a_request_has_its_attribute() -> None:
    request = BuildRequest(
        target="t",
        build_args={"A": ""},
        labels={"l": "1"},
        platforms=(Platform("linux", "amd64"), Platform("linux", "arm", "v7")),
        no_cache_filter=("a", "b"),
        pull=True,
        add_hosts=(("h", "1.2.3.4"), ("h", "::1")),
        network="none",
        shm_size=1024,
        ulimits=("nofile=1:2", "core=0:0"),
        cgroup_parent="/x",
        resources={"memory": "7", "cpu-quota": "0"},
    )

    assert attributes(request) == {
        "target": "t",
        "build-arg:A": "",
        "label:l": "1",
        "platform": "linux/amd64,linux/arm/v7",
        "no-cache": "a,b",
        "image-resolve-mode": "pull",
        "add-hosts": "h=1.2.3.4,h=::1",
        "force-network-mode": "none",
        "shm-size": "1024",
        "ulimit": "nofile=1:2,core=0:0",
        "cgroup-parent": "/x",
        "memory": "7",
    }


def test_a_platform_that_is_named_twice_is_asked_for_twice() -> None:
    twice = (Platform("linux", "amd64"),) * 2

    assert attributes(BuildRequest(platforms=twice)) == {"platform": "linux/amd64,linux/amd64"}


@pytest.mark.parametrize(("value", "asked"), [("1", True), ("0", False), ("what", False)])
def test_an_argument_asks_for_an_index_of_one_platform(value: str, asked: bool) -> None:
    found = attributes(BuildRequest(build_args={"BUILDKIT_MULTI_PLATFORM": value}))

    assert ("multi-platform" in found) == asked


def test_no_cache_is_present_and_empty() -> None:
    assert attributes(BuildRequest(no_cache=True)) == {"no-cache": ""}


def test_the_default_network_is_not_told() -> None:
    assert attributes(BuildRequest(network="default")) == {}


def test_a_node_may_prefer_local_images_until_pull_is_asked() -> None:
    features = NodeFeatures(support={}, image_resolve_mode="local")

    assert attributes(BuildRequest(), features)["image-resolve-mode"] == "local"
    assert attributes(BuildRequest(pull=True), features)["image-resolve-mode"] == "pull"


def test_host_gateway_is_the_nodes_address() -> None:
    request = BuildRequest(add_hosts=(("gw", "host-gateway"),))

    told = attributes(request, NodeFeatures(support={}, host_gateway="172.17.0.1"))

    assert told == {"add-hosts": "gw=172.17.0.1"}
    with pytest.raises(InputError, match="host-gateway is not supported by the kiosk driver$"):
        attributes(request)


def test_proxies_are_build_arguments_unless_given_in_any_case() -> None:
    request = BuildRequest(build_args={"http_proxy": "mine"})

    told = attributes(request, proxies={"HTTP_PROXY": "a", "NO_PROXY": "b"})

    assert told == {"build-arg:http_proxy": "mine", "build-arg:NO_PROXY": "b"}


def test_the_environments_time_stamp_is_a_build_argument_unless_given() -> None:
    key = "build-arg:SOURCE_DATE_EPOCH"

    assert attributes(BuildRequest(), epoch="1")[key] == "1"
    given = BuildRequest(build_args={"SOURCE_DATE_EPOCH": "2"})
    assert attributes(given, epoch="1")[key] == "2"


def test_a_syntax_argument_chooses_a_frontend_image() -> None:
    request = BuildRequest(build_args={"BUILDKIT_SYNTAX": "me/front:1 --x"})

    assert frontend_for(request) == (
        "gateway.v0",
        {"source": "me/front:1", "cmdline": "me/front:1 --x"},
    )
    assert frontend_for(BuildRequest()) == ("dockerfile.v0", {})
    with pytest.raises(InputError, match="empty BUILDKIT_SYNTAX"):
        frontend_for(BuildRequest(build_args={"BUILDKIT_SYNTAX": " "}))
