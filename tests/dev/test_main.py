"""The command line of ``./dev``."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tools import engine, environment, gates, main
from tools.report import DevError


@pytest.fixture(autouse=True)
def sigterm_as_before() -> Iterator[None]:
    """Undo what a command does to the process that it has to itself otherwise."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_what_follows_test_goes_to_pytest_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def run(arguments: Sequence[str]) -> int:
        given.extend(arguments)
        return 7

    monkeypatch.setattr(gates, "run", run)

    code = main.main(["test", "-h", "-k", "a or b", "tests/dev"])

    assert code == 7
    assert given == ["-h", "-k", "a or b", "tests/dev"]


def test_a_problem_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise DevError("nothing works")

    monkeypatch.setattr(environment, "prepare", fail)

    code = main.main(["setup"])

    assert code == 1
    assert capsys.readouterr().err == "dev: ERROR: nothing works\n"


def test_an_engine_that_cannot_run_here_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(engine, "why_not", lambda: "starting an engine needs root")
    monkeypatch.setenv("DOCKYARD_CACHE", str(tmp_path))

    code = main.main(["engine", "up", "--which", "20.10"])

    assert code == 1
    assert "cannot start a private Docker Engine: starting an engine needs root" in (
        capsys.readouterr().err
    )


def test_a_changed_input_makes_the_environment_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done: list[str] = []
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("attrs==1\n")
    monkeypatch.setattr(environment, "CONSTRAINTS", constraints)
    monkeypatch.setattr(environment, "FOLDER", tmp_path / "venv")
    monkeypatch.setattr(environment, "_create", lambda: done.append("create"))
    monkeypatch.setattr(environment, "_install", lambda: done.append("install"))

    environment.prepare()
    environment.prepare()
    constraints.write_text("attrs==2\n")
    environment.prepare()

    assert done == ["create", "install"] * 2
