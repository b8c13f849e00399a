"""The displays that show nothing: ``quiet`` and ``none``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockyard.events import StatusUpdate


class QuietDisplay:
    """Take every update and show none. What the two modes differ in, the command decides."""

    interval: float | None = None

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def update(self, update: StatusUpdate, /) -> None:
        """Show nothing."""

    def tick(self) -> None:
        """Show nothing."""

    def close(self, failed: bool = False) -> None:
        """Show nothing."""
