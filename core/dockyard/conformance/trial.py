"""Do something that may hang or raise anything, and say in one sentence what was wrong with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

import pytest

from dockyard.errors import DockyardError

Fault = pytest.fail.Exception
"""What :func:`fault` raises."""

_Value = TypeVar("_Value")


def fault(words: str) -> NoReturn:
    """Fail the test with nothing but these words."""
    pytest.fail(words, pytrace=False)


class Trial(Generic[_Value]):
    """A piece of work in a thread of its own, which is left behind when it hangs."""

    def __init__(self, what: str, work: Callable[[], _Value]) -> None:
        """Start the work.

        Args:
            what: The subject of the sentence that says what is wrong.
            work: The work.
        """
        self.what = what
        self._work = work
        self._values: list[_Value] = []
        self._error: BaseException | None = None
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="conformance", daemon=True)
        self._thread.start()

    def result(self, seconds: float) -> _Value:
        """Give what came of the work, within so many seconds since it was started.

        Raises:
            DockyardError: It ended with it.
            Fault: It does not end, or raised something else.
        """
        self._thread.join(max(0.0, self._began + seconds - time.monotonic()))
        if self._thread.is_alive():
            fault(f"{self.what} does not end within {seconds:g} seconds")
        if isinstance(self._error, DockyardError | Fault):
            raise self._error
        if self._error is not None:
            kind = type(self._error).__name__
            fault(
                f"{self.what} raises {kind}: {self._error}; "
                "hooks raise only the classes of dockyard.errors"
            )
        return self._values[0]

    def wait(self, seconds: float) -> bool:
        """Wait for the end, and say whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._values.append(self._work())
        except BaseException as error:  # noqa: BLE001  # told by result()
            self._error = error
