"""The example image's programs are what their source says, and run."""

from __future__ import annotations

import platform
import subprocess

import pytest
from tools import cat
from tools.example import FOLDER

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@pytest.mark.parametrize("architecture", list(cat.PROGRAMS))
def test_the_committed_program_is_the_one_that_the_source_makes(architecture: str) -> None:
    path = FOLDER / f"cat-{architecture}"

    assert path.read_bytes() == cat.program(architecture)
    assert path.stat().st_mode & 0o111 == 0o111


def test_the_program_for_this_machine_prints_a_file() -> None:
    architecture = MACHINES.get(platform.machine())
    if architecture is None:
        pytest.skip(f"no example program for {platform.machine()}")

    greeting = FOLDER / "greeting.txt"
    done = subprocess.run(
        [FOLDER / f"cat-{architecture}", greeting], capture_output=True, check=True
    )

    assert done.stdout == greeting.read_bytes()
