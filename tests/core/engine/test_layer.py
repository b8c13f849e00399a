"""What engines say about layers."""

from __future__ import annotations

from typing import Any

import pytest

from dockyard.engine.layer import Layers


class Line:
    """What was shown."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, int, int, bool]] = []

    def report(self, text: str, current: int = 0, total: int = 0, *, done: bool = False) -> None:
        self.reports.append((text, current, total, done))


@pytest.mark.parametrize(
    ("message", "report"),
    [
        (
            {"id": "a", "status": "Pushing", "progressDetail": {"current": 1, "total": 2}},
            ("pushing layer a", 1, 2, False),
        ),
        (
            {"id": "a", "status": "Preparing", "progressDetail": {}},
            ("pushing layer a", 0, 0, False),
        ),
        ({"id": "a", "status": "Pushed", "progressDetail": {}}, ("pushing layer a", 0, 0, True)),
        (
            {"id": "a", "status": "Layer already exists", "progressDetail": {}},
            ("pushing layer a", 0, 0, True),
        ),
        (
            {"id": "a", "status": "Mounted from b", "progressDetail": {}},
            ("pushing layer a", 0, 0, True),
        ),
        (
            {"id": "a", "status": "Loading", "progressDetail": {"current": 2, "total": 2}},
            ("pushing layer a", 2, 2, True),
        ),
        (
            {"id": "a", "progressDetail": {"current": "x", "total": None}},
            ("pushing layer a", 0, 0, False),
        ),
    ],
)
def test_a_layer_s_message_becomes_a_line(
    message: dict[str, Any], report: tuple[str, int, int, bool]
) -> None:
    line = Line()

    Layers(line, "pushing").take(message)

    assert line.reports == [report]


@pytest.mark.parametrize(
    "message", [{}, {"status": "The push refers to"}, {"id": 3, "progressDetail": {}}]
)
def test_other_messages_are_not_shown(message: dict[str, Any]) -> None:
    line = Line()

    Layers(line, "pushing").take(message)

    assert not line.reports
