"""Colours that a person chose."""

from __future__ import annotations

import logging

import pytest

from dockyard.progress.palette import make_palette


def names(setting: str) -> dict[str, str]:
    palette = make_palette({"BUILDKIT_COLORS": setting})
    return {kind: style.color.name for kind, style in palette.items() if style.color}


def test_every_kind_of_line_has_a_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")

    assert names("") == {"run": "blue", "error": "red", "cancel": "yellow", "warning": "yellow"}


def test_done_is_cyan_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")

    assert names("")["run"] == "cyan"


def test_colours_are_set_by_name_or_by_numbers() -> None:
    chosen = names("run=green:error=255, 0,10:cancel=light-magenta:WARNING=White")

    assert chosen["run"] == "green"
    assert chosen["error"] == "#ff000a"
    assert chosen["cancel"] == "bright_magenta"


@pytest.mark.parametrize(
    "entry",
    ["run=mauve", "walk=red", "run", "run=1,2", "run=1,2,256", "run=1,2,-3", "run=\u00b2,1,1"],
)
def test_what_makes_no_sense_is_reported_and_changes_nothing(
    entry: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        chosen = names(f"{entry}:error=green")

    assert chosen == names("error=green")
    assert caplog.messages == [f"BUILDKIT_COLORS: cannot use {entry!r}"]
