"""What the driver says of itself."""

from __future__ import annotations

import pytest

from dockyard.driver import Feature, Level, parse_options
from dockyard.errors import OptionError
from dockyard_remote.declaration import DRIVER, features


def test_it_can_do_everything_but_be_configured_from_here() -> None:
    levels = {feature: DRIVER.support(feature).level for feature in Feature}

    assert levels == {
        Feature.AUTO_LOAD: Level.CONDITIONAL,
        Feature.CACHE_EXPORT: Level.YES,
        Feature.TARBALL: Level.YES,
        Feature.MULTI_PLATFORM: Level.YES,
        Feature.DIRECT_PUSH: Level.YES,
        Feature.BUILDKIT_CONFIG: Level.NO,
    }
    assert DRIVER.support(Feature.AUTO_LOAD).reason == "with default-load"
    assert DRIVER.support(Feature.BUILDKIT_CONFIG).reason == "managed externally"


@pytest.mark.parametrize("load", [True, False])
def test_images_are_loaded_by_themselves_with_the_option(load: bool) -> None:
    found = features({"default-load": load})

    assert found.has(Feature.AUTO_LOAD) is load
    assert found.has(Feature.MULTI_PLATFORM)
    assert not found.loads_itself


@pytest.mark.parametrize("name", ["cacert", "cert", "key"])
def test_files_are_named_by_absolute_paths(name: str) -> None:
    with pytest.raises(OptionError, match=f"^non-absolute path 'a' provided for {name}$"):
        parse_options("remote", DRIVER.options, {name: "a"})

    assert parse_options("remote", DRIVER.options, {name: "/a"}) == {name: "/a"}


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(OptionError, match="^invalid driver option foo for remote driver$"):
        parse_options("remote", DRIVER.options, {"foo": "1"})


@pytest.mark.parametrize("name", ["default-load", "allow-plaintext"])
def test_truth_values_are_go_s(name: str) -> None:
    assert parse_options("remote", DRIVER.options, {name: "1"}) == {name: True}
    with pytest.raises(OptionError, match='strconv.ParseBool: parsing "maybe": invalid syntax'):
        parse_options("remote", DRIVER.options, {name: "maybe"})


def test_no_option_needs_a_node_to_be_made_anew() -> None:
    assert not [option.name for option in DRIVER.options if option.recreates or option.loses_cache]
