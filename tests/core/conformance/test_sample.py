"""Tests for ``conformance.sample``: the program that is made by hand."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from dockyard.conformance.sample import BEGUN, endless_program, make_endless, make_sample
from dockyard.platforms import Platform

HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")


def run(*command: str | Path) -> None:
    """Run the program until it has said that it began, and see that it does not end."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == BEGUN
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
        finally:
            process.kill()


def make_program(folder: Path, architecture: str) -> Path:
    program = endless_program(architecture)
    assert program is not None
    path = folder / "wait"
    path.write_bytes(program)
    path.chmod(0o755)
    return path


@pytest.mark.skipif(not HERE, reason="there is no program for this machine")
def test_the_program_begins_and_never_ends(tmp_path: Path) -> None:
    run(make_program(tmp_path, HERE))


def test_the_program_for_arm64_does_too(emulation: None, tmp_path: Path) -> None:
    run(make_program(tmp_path, "arm64"))


def test_there_is_no_context_for_unknown_platforms(tmp_path: Path) -> None:
    assert make_endless(tmp_path, Platform.parse("linux/s390x")) is None
    assert make_endless(tmp_path, Platform.parse("windows/amd64")) is None


def test_no_two_samples_are_the_same(tmp_path: Path) -> None:
    first, second = make_sample(tmp_path), make_sample(tmp_path)

    assert first.mark != second.mark
    assert (first.context / "note").read_bytes() == first.content
