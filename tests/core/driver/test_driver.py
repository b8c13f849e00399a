"""Tests of the package :mod:`dockyard.driver`, whose names are imported when they are asked for."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("name", ["dockyard.driver", "dockyard.events", "dockyard.progress"])
def test_every_public_name_is_there(name: str) -> None:
    package = importlib.import_module(name)

    for each in package.__all__:
        assert getattr(package, each) is getattr(package, each)


@pytest.mark.parametrize("name", ["dockyard.driver", "dockyard.events", "dockyard.progress"])
def test_another_name_is_not_there(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'Nothing'"):
        _ = importlib.import_module(name).Nothing
