from __future__ import annotations

import os
import threading
from pathlib import Path
from time import monotonic

import pytest

from dockyard.building.inputs.spawn import Ended, find_program, run_program
from dockyard.cancellation import Cancellation


def run(script: str, stop: Cancellation | None = None, seconds: float = 45) -> Ended:
    command = ["/bin/sh", "-c", script]
    return run_program(command, {"A": "b"}, stop or Cancellation(), monotonic() + seconds)


def test_both_outputs_and_the_exit_code_are_given() -> None:
    assert run("echo one; echo two >&2; exit 3") == Ended(3, b"one\n", b"two\n")


def test_a_program_has_its_own_environment_and_nothing_to_read() -> None:
    assert run("cat; echo $A$HOME") == Ended(0, b"b\n", b"")


def test_much_on_both_outputs_is_read() -> None:
    count = 300_000

    ended = run(f"head -c {count} /dev/zero >&2; head -c {count} /dev/zero")

    assert (len(ended.out), len(ended.errors)) == (count, count)


def test_a_program_without_end_is_ended() -> None:
    ended = run("exec cat /dev/zero")

    assert ended.code == -9
    assert len(ended.out) > 1 << 20


def test_a_program_that_hangs_is_ended_at_its_deadline() -> None:
    for seconds in (1.5, 6, 24):
        ended = run("echo begun; exec sleep 60", seconds=seconds)
        if ended.out:
            break  # else the machine was too busy to start it in that time

    assert ended == Ended(-9, b"begun\n", b"")


def test_a_program_that_hangs_is_ended_when_it_is_not_wanted_any_more() -> None:
    stop = Cancellation()
    threading.Timer(0.1, stop.cancel).start()

    assert run("exec sleep 60", stop).code == -9


def test_a_program_that_is_not_there_leaves_nothing_open() -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208  # only the names count

    with pytest.raises(FileNotFoundError):
        run_program(["/nonexistent/program"], {}, Cancellation(), monotonic() + 20)
    run("true")

    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_programs_are_found_by_the_path() -> None:
    assert find_program("sh", {"PATH": "/nonexistent:/bin"}) == "/bin/sh"
    assert find_program("sh", {"PATH": "/nonexistent"}) == ""
    assert find_program(".", {"PATH": "/bin"}) == ""


def test_a_program_that_is_silent_and_stays_is_ended_at_its_deadline() -> None:
    assert run("exec sleep 60 >&- 2>&-", seconds=0.3) == Ended(-9, b"", b"")


def test_a_program_beside_what_is_built_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text("")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.chdir(tmp_path)

    assert find_program("git", {"PATH": f":.:{tmp_path}"}) == str(tmp_path / "git")
    assert find_program("git", {"PATH": ":."}) == ""
