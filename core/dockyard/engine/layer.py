"""What an engine says about layers while it loads or pushes, as lines below a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

_OVER = frozenset({"Pushed", "Layer already exists"})


class Line(Protocol):
    """What shows a line with a number of bytes, as a step of a driver's progress does."""

    def report(self, text: str, current: int = 0, total: int = 0, *, done: bool = False) -> None:
        """Show or renew a line."""
        ...


class Layers:
    """The layers of one transfer."""

    def __init__(self, step: Line, verb: str) -> None:
        """Show lines such as ``pushing layer 1f0a...`` below ``step``."""
        self._step = step
        self._verb = verb

    def take(self, message: Mapping[str, Any]) -> None:
        """Show one of the engine's messages, if it is about a layer."""
        layer, detail = message.get("id"), message.get("progressDetail")
        if not isinstance(layer, str) or not isinstance(detail, dict):
            return
        current, total = _number(detail.get("current")), _number(detail.get("total"))
        status = str(message.get("status"))
        over = status in _OVER or status.startswith("Mounted from") or 0 < total <= current
        self._step.report(f"{self._verb} layer {layer}", current, total, done=over)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
