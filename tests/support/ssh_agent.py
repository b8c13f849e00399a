"""A real ssh-agent for the tests, with keys that are made for them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import attrs
import pytest

PROGRAMS = ("ssh-agent", "ssh-add", "ssh-keygen")


@attrs.frozen
class SshAgentProcess:
    """An agent that runs, and a folder for keys."""

    folder: Path
    socket: Path

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> Iterator[Self]:
        """Run an agent until the block ends; skips where OpenSSH is not installed."""
        require_openssh()
        with tempfile.TemporaryDirectory(prefix="dy") as short:  # a socket's path is limited
            path = Path(short) / "agent"
            process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
            try:
                await_socket(process, path)
                yield cls(folder, path)
            finally:
                process.terminate()
                process.wait()

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command that uses the agent."""
        return subprocess.run(
            command,
            env={**os.environ, "SSH_AUTH_SOCK": str(self.socket)},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )

    def add_key(self, comment: str) -> bytes:
        """Make a key, give it to the agent, and give its public half."""
        path = make_key(self.folder, comment)
        self.run("ssh-add", "-q", path)
        return public_half(path)


def require_openssh() -> None:
    """Skip the test where OpenSSH's programs are not installed."""
    for program in PROGRAMS:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


def make_key(folder: Path, comment: str, kind: str = "ed25519") -> Path:
    """Make a key pair, and give the path of its secret half."""
    require_openssh()
    path = folder / f"key-{comment}"
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


def public_half(path: Path) -> bytes:
    """Give the public key that belongs to a key's path."""
    return b64decode(path.with_name(f"{path.name}.pub").read_text().split()[1])


def copy_ssh_add(folder: Path) -> None:
    """Put the real ssh-add into a folder, with all that it needs where that is the root."""
    require_openssh()
    program = shutil.which("ssh-add")
    assert program is not None
    needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in [program, *re.findall(r"(/\S+) \(", needed)]:
        target = folder / path.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (folder / "etc").mkdir()
    (folder / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")


def await_socket(process: subprocess.Popen[bytes], path: Path) -> None:
    """Wait until the agent listens; its socket is there a moment before."""
    deadline = time.monotonic() + 30
    while not _listens(path):
        assert process.poll() is None, "ssh-agent ended"
        assert time.monotonic() < deadline, "ssh-agent does not listen"
        time.sleep(0.02)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as dialed:
        return dialed.connect_ex(str(path)) == 0
