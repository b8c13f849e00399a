from __future__ import annotations

import pytest

from dockyard.cancellation import Cancellation
from dockyard.errors import CanceledError


def test_what_is_registered_is_called_once() -> None:
    cancel = Cancellation()
    calls: list[str] = []
    cancel.on_cancel(lambda: calls.append("a"))

    cancel.cancel()
    cancel.cancel()

    assert calls == ["a"]
    with pytest.raises(CanceledError, match="context canceled"):
        cancel.check()


def test_what_was_taken_back_is_not_called() -> None:
    cancel = Cancellation()
    calls: list[str] = []
    forget = cancel.on_cancel(lambda: calls.append("a"))

    forget()
    cancel.cancel()

    assert calls == []


def test_who_registers_too_late_is_called_at_once() -> None:
    cancel = Cancellation()
    cancel.cancel()
    calls: list[str] = []

    cancel.on_cancel(lambda: calls.append("late"))

    assert calls == ["late"]
