"""Tests for what surrounds one run of a command."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from dockyard.cli.invocation import Invocation, Mode
from dockyard.cli.prompt import confirm
from dockyard.config import Environment


def make(tmp_path: Path, answer: str = "") -> tuple[Invocation, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    invocation = Invocation(
        mode=Mode.DOCKYARD,
        environment=Environment.from_process(variables={"HOME": str(tmp_path)}),
        builder="",
        debug=False,
        stdin=io.StringIO(answer),
        stdout=out,
        stderr=err,
    )
    return invocation, out, err


def test_output_and_notes_go_different_ways(tmp_path: Path) -> None:
    invocation, out, err = make(tmp_path)

    invocation.echo("a")
    invocation.note("b")
    invocation.warn("c")

    assert (out.getvalue(), err.getvalue()) == ("a\n", "b\nWARNING: c\n")


def test_notes_are_held_back_while_a_display_has_the_terminal(tmp_path: Path) -> None:
    invocation, _, err = make(tmp_path)

    with invocation.hold_notes():
        invocation.warn("a")
        with invocation.hold_notes():
            invocation.note("b")
        held = err.getvalue()

    assert held == ""
    assert err.getvalue() == "WARNING: a\nb\n"


def test_held_notes_can_be_written_before_the_end(tmp_path: Path) -> None:
    invocation, _, err = make(tmp_path)

    with invocation.hold_notes() as give_notes:
        invocation.note("a")
        give_notes()
        invocation.note("b")
        written = err.getvalue()

    assert written == err.getvalue() == "a\nb\n"


def test_held_notes_are_shown_when_the_work_fails(tmp_path: Path) -> None:
    invocation, _, err = make(tmp_path)

    def fail() -> None:
        with invocation.hold_notes():
            invocation.note("a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert err.getvalue() == "a\n"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("y\n", True), ("Y\n", True), (" y \n", True), ("yes\n", False), ("", False), ("n\n", False)],
)
def test_only_a_y_is_a_yes(tmp_path: Path, answer: str, expected: bool) -> None:
    invocation, out, _ = make(tmp_path, answer)

    assert confirm(invocation, "Sure?") is expected
    assert out.getvalue() == "Sure? [y/N] "
