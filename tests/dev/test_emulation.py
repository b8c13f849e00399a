"""The emulator is there while it is used, and only then."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tools import emulation as emulator

HANDLER = """\
{state}
interpreter {interpreter}
flags: {flags}
offset 0
magic 7f454c46
"""


def test_a_program_of_another_architecture_runs(emulation: None, busybox_arm64: Path) -> None:
    done = subprocess.run([busybox_arm64, "uname", "-m"], capture_output=True, check=True)

    assert done.stdout == b"aarch64\n"


def test_one_users_end_leaves_the_emulator_to_the_other(
    emulation: None, busybox_arm64: Path
) -> None:
    with emulator.registered():
        pass

    subprocess.run([busybox_arm64, "true"], capture_output=True, check=True)


@pytest.mark.parametrize(
    ("state", "interpreter", "flags", "served"),
    [
        ("enabled", "/usr/bin/qemu-aarch64-static", "POCF", True),
        ("enabled", "/usr/bin/qemu-aarch64", "F", True),
        ("enabled", "/usr/libexec/qemu-binfmt/aarch64-binfmt-P", "POF", True),
        ("disabled", "/usr/bin/qemu-aarch64-static", "F", False),
        ("enabled", "/usr/bin/qemu-aarch64-static", "PO", False),  # not in containers
        ("enabled", "/usr/bin/qemu-aarch64_be-static", "F", False),
        ("enabled", "/usr/bin/python3", "F", False),
    ],
)
def test_an_emulator_that_is_there_is_used_if_it_works_in_containers(
    state: str,
    interpreter: str,
    flags: str,
    served: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emulator, "HANDLERS", tmp_path)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    text = HANDLER.format(state=state, interpreter=interpreter, flags=flags)
    (tmp_path / "some-handler").write_text(text)
    for name in ("register", "status"):
        (tmp_path / name).write_text("enabled\n")

    assert emulator.served() is served


@pytest.mark.parametrize(
    ("machine", "user", "reason"),
    [("riscv64", 0, "this machine is riscv64"), ("x86_64", 1000, "needs root")],
)
def test_a_machine_that_cannot_emulate_says_why(
    machine: str, user: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "HANDLERS", tmp_path)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("os.geteuid", lambda: user)

    assert reason in (emulator.why_not() or "")
