"""What the driver declares, and what it refuses before an engine is asked."""

from __future__ import annotations

import pytest

from dockyard.driver import Feature, Level, parse_options
from dockyard.errors import DriverError, OptionError
from dockyard_docker_container.declaration import DRIVER, check, features

from .conftest import MakeNode

DEFAULTS = {
    "image": "moby/buildkit:buildx-stable-1",
    "network": "",
    "memory": "",
    "memory-swap": "",
    "cpu-quota": "",
    "cpu-period": "",
    "cpu-shares": "",
    "cpuset-cpus": "",
    "cpuset-mems": "",
    "cgroup-parent": "/docker/buildx",
    "restart-policy": "unless-stopped",
    "env.": "",
    "default-load": "false",
    "provenance-add-gha": "true",
    "allow-untrusted-image": "false",
}


def test_the_options_and_their_defaults() -> None:
    assert {option.name: option.default for option in DRIVER.options} == DEFAULTS


def test_every_default_is_a_value_that_the_option_takes() -> None:
    for option in DRIVER.options:
        if option.default:
            option.parse(option.default)


def test_no_option_loses_the_build_cache() -> None:
    assert not [option.name for option in DRIVER.options if option.loses_cache]


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("memory", "abc", "invalid size: 'abc'"),
        ("cpu-quota", "x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("default-load", "maybe", 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("provenance-add-gha", "2", 'strconv.ParseBool: parsing "2": invalid syntax'),
        ("allow-untrusted-image", "", 'strconv.ParseBool: parsing "": invalid syntax'),
        ("env.", "x", 'invalid env option "env.", expecting env.FOO=bar'),
        ("imag", "x", "invalid driver option imag for docker-container driver"),
        ("", "x", "invalid driver option  for docker-container driver"),
    ],
)
def test_a_wrong_option_is_refused_in_buildx_s_words(name: str, typed: str, words: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_options(DRIVER.name, DRIVER.options, {name: typed})

    assert str(caught.value) == words


def test_every_feature_is_there_and_loading_by_default_is_a_matter_of_the_option() -> None:
    assert {feature: DRIVER.support(feature).level for feature in Feature} == {
        Feature.AUTO_LOAD: Level.CONDITIONAL,
        Feature.CACHE_EXPORT: Level.YES,
        Feature.TARBALL: Level.YES,
        Feature.MULTI_PLATFORM: Level.YES,
        Feature.DIRECT_PUSH: Level.YES,
        Feature.BUILDKIT_CONFIG: Level.YES,
    }
    assert DRIVER.support(Feature.AUTO_LOAD).reason == "with default-load"


@pytest.mark.parametrize("default_load", [True, False])
def test_a_node_loads_by_default_with_the_option(default_load: bool) -> None:
    found = features({"default-load": default_load})

    assert {feature for feature in Feature if not found.has(feature)} == (
        set() if default_load else {Feature.AUTO_LOAD}
    )
    assert (found.image_exporter, found.loads_itself) == ("image", False)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"memory-swap": "1g"}, "memory-swap is set without memory"),
        ({"memory-swap": "1g", "memory": "2g"}, "memory-swap is smaller than memory"),
    ],
)
def test_limits_that_no_engine_takes_together_are_refused(
    make_node: MakeNode, typed: dict[str, str], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        check(make_node(typed))


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"memory": "1g"},
        {"memory": "1g", "memory-swap": "1g"},
        {"memory": "1g", "memory-swap": "-1"},
        {"memory-swap": "-1"},
    ],
)
def test_limits_that_go_together_are_taken(make_node: MakeNode, typed: dict[str, str]) -> None:
    check(make_node(typed))


def test_a_name_that_makes_no_volume_is_refused(make_node: MakeNode) -> None:
    check(make_node(name="x" * 233))

    with pytest.raises(DriverError, match="234 characters, at most 233"):
        check(make_node(name="x" * 234))
