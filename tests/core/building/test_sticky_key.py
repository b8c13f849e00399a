"""Tests for what a driver with several daemons chooses one by."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.building.run import sticky_key
from dockyard.driver import BuildRequest


@pytest.mark.parametrize(
    ("place", "key"),
    [
        (".", "/cwd"),
        ("app", "/cwd/app"),
        ("../x/", "/x"),
        ("/src/app", "/src/app"),
        ("-", "/cwd/-"),
        ("https://github.com/x/y.git#main", "/cwd/https:/github.com/x/y.git#main"),
    ],
)
def test_a_build_context_s_place_is_the_key(place: str, key: str) -> None:
    assert sticky_key(BuildRequest(build_context=place, working_directory="/cwd")) == key


def test_without_a_working_directory_it_is_the_process_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert sticky_key(BuildRequest(build_context="app")) == str(tmp_path / "app")
