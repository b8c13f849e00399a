from __future__ import annotations

import pytest

from dockyard.building.need import Need, require
from dockyard.errors import UnsupportedFeatureError

NEED = Need("stairs are", "house.stairs", "v0.9", "build a house")


def nobody() -> frozenset[str]:
    raise AssertionError("the daemon was asked")


def test_a_daemon_is_not_asked_for_nothing() -> None:
    require([], nobody, "shed")


def test_what_is_there_is_used() -> None:
    require([NEED], lambda: frozenset({"house.stairs"}), "shed")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(UnsupportedFeatureError) as caught:
        require([NEED], frozenset, "shed")

    error = caught.value
    assert error.message == (
        "stairs are not supported by the current BuildKit daemon, please upgrade to version v0.9+"
    )
    assert (error.feature, error.driver, error.hint) == ("house.stairs", "shed", "build a house")
