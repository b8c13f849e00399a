"""How hooks tell the person who waits what they are doing."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dockyard.events import StatusUpdate


class Step(Protocol):
    """A step that is being shown."""

    def status(self, text: str) -> AbstractContextManager[None]:
        """Show a line below the step for as long as the block runs, with its duration."""
        ...

    def report(self, text: str, current: int = 0, total: int = 0, *, done: bool = False) -> None:
        """Show or renew a line below the step with a number of bytes."""
        ...

    def log(self, data: bytes, *, stream: int = 2) -> None:
        """Show output of the step."""
        ...


class Progress(Protocol):
    """Where steps and BuildKit's own status go."""

    def step(self, name: str) -> AbstractContextManager[Step]:
        """Show a step for as long as the block runs; an exception marks it as failed."""
        ...

    def update(self, update: StatusUpdate, /) -> None:
        """Pass on what BuildKit reported."""
        ...

    def warn(self, text: str) -> None:
        """Tell a person something when all is over, a line."""
        ...
