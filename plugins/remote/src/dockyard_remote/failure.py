"""Why a daemon does not answer, in words."""

from __future__ import annotations

from typing import NamedTuple

from dockyard.errors import ConnectError


class Failure(NamedTuple):
    """What was seen of a daemon that did not answer."""

    words: str
    hint: str | None = None
    final: bool = False
    """Whether it stays so until somebody changes something, so that waiting is no use."""
    wrong_name: bool = False
    """Whether the daemon's certificate is a good one, but for another name."""


class FailureError(ConnectError):
    """No daemon answers; carries why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.words, hint=failure.hint)
        self.failure = failure

    def at(self, endpoint: str) -> ConnectError:
        """Make the error that a person reads."""
        words = self.failure.words
        return ConnectError(
            f"failed to connect to BuildKit at {endpoint}: {words}", hint=self.failure.hint
        )


def system_words(error: OSError) -> str:
    """Say in one line what the system said."""
    return error.strerror.lower() if error.strerror else str(error) or type(error).__name__
