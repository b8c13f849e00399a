"""A real ssh daemon on loopback, and an ssh that knows its key."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from tools import debian
from tools.debian import Package

from support.engines import or_skip
from support.port import free_port

PACKAGES = (
    Package(name="openssh-server", suite="bookworm", version="1:9.2"),
    Package(name="libwrap0", suite="bookworm", version="7.6."),
)

_SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
SetEnv PATH={programs}:/usr/bin:/bin
"""

_CLIENT = """\
Host *
    IdentityFile {folder}/user
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known
    StrictHostKeyChecking accept-new
"""

_START = """\
set -e
mount --bind {folder}/passwd /etc/passwd
mount -t tmpfs none /run
mkdir /run/sshd
exec {program} -D -e -f {folder}/sshd_config
"""
"""The daemon insists on a user and a folder, which it gets in a mount namespace of its own."""


@attrs.frozen(kw_only=True)
class SSHHost:
    """A machine that ssh reaches, which is this one."""

    address: str
    """``ssh://USER@HOST:PORT``."""
    path: Path
    """A folder with an ``ssh`` that is let in."""


@contextmanager
def run_sshd(folder: Path, programs: Path) -> Iterator[SSHHost]:
    """Run an ssh daemon whose users find these programs; skips where none can run."""
    if os.geteuid() or not shutil.which("ssh") or not shutil.which("unshare"):
        pytest.skip("needs root, ssh and unshare")
    server, wrap = or_skip(lambda: debian.unpacked(PACKAGES))
    port = free_port()
    _write_files(folder, port, server / "usr/sbin/sshd", programs)
    library = next(wrap.rglob("libwrap.so.0")).parent
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", str(folder / "start")],
            env={**os.environ, "LD_LIBRARY_PATH": str(library)},
            stderr=log,
        )
    try:
        _await_port(daemon, port, folder / "log")
        yield SSHHost(address=f"ssh://root@127.0.0.1:{port}", path=folder / "bin")
    finally:
        daemon.terminate()
        daemon.wait()


def _write_files(folder: Path, port: int, program: Path, programs: Path) -> None:
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    users = Path("/etc/passwd").read_text()
    (folder / "passwd").write_text(users + "sshd:x:74:74::/run/sshd:/usr/sbin/nologin\n")
    settings = _SERVER.format(port=port, folder=folder, programs=programs)
    (folder / "sshd_config").write_text(settings)
    (folder / "ssh_config").write_text(_CLIENT.format(folder=folder))
    (folder / "start").write_text(_START.format(folder=folder, program=program))
    ssh = folder / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    ssh.chmod(0o755)


def _await_port(daemon: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as attempt:
            if not attempt.connect_ex(("127.0.0.1", port)):
                return
        if daemon.poll() is not None:
            pytest.skip(f"no ssh daemon can run here: {log.read_text().strip()}")
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)  # a poll with a deadline
