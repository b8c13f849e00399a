"""An engine behind a real ssh daemon, reached by the machine's own ssh."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tools import debian
from tools.debian import Package
from tools.engine import Engine

from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import request, upgrade
from dockyard.engine.image import find_image
from dockyard.errors import EngineError, EngineUnreachableError
from support.engines import or_skip

SSHD = (
    Package(name="openssh-server", suite="bookworm", version="1:9.2"),
    Package(name="libwrap0", suite="bookworm", version="7.6."),
)

SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
SetEnv PATH={folder}:/usr/bin:/bin
"""

CLIENT = """\
Host *
    IdentityFile {folder}/user
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known
    StrictHostKeyChecking accept-new
"""

START = """\
set -e
mount --bind {folder}/passwd /etc/passwd
mount -t tmpfs none /run
mkdir /run/sshd
exec {program} -D -e -f {folder}/sshd_config
"""
"""The daemon insists on a user and a folder, which it gets in a mount namespace of its own."""


@pytest.fixture(scope="module")
def ssh_host(
    tmp_path_factory: pytest.TempPathFactory, docker_cli: str
) -> Iterator[tuple[str, Path]]:
    """Start an ssh daemon; give its address, and the folder with an ssh that knows the key."""
    if os.geteuid() or not shutil.which("ssh") or not shutil.which("unshare"):
        pytest.skip("needs root, ssh and unshare")
    server, wrap = or_skip(lambda: debian.unpacked(SSHD))
    folder = tmp_path_factory.mktemp("ssh")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    _write_files(folder, port, server / "usr/sbin/sshd", docker_cli)
    library = next(wrap.rglob("libwrap.so.0")).parent
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", str(folder / "start")],
            env={**os.environ, "LD_LIBRARY_PATH": str(library)},
            stderr=log,
        )
    try:
        _await_port(daemon, port, folder / "log")
        yield f"ssh://root@127.0.0.1:{port}", folder
    finally:
        daemon.terminate()
        daemon.wait()


def _write_files(folder: Path, port: int, program: Path, docker_cli: str) -> None:
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    users = Path("/etc/passwd").read_text()
    (folder / "passwd").write_text(users + "sshd:x:74:74::/run/sshd:/usr/sbin/nologin\n")
    (folder / "sshd_config").write_text(SERVER.format(port=port, folder=folder))
    (folder / "ssh_config").write_text(CLIENT.format(folder=folder))
    (folder / "start").write_text(START.format(folder=folder, program=program))
    (folder / "docker").symlink_to(docker_cli)
    (folder / "ssh").write_text(
        f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n'
    )
    (folder / "ssh").chmod(0o755)


def _await_port(daemon: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as attempt:
            if not attempt.connect_ex(("127.0.0.1", port)):
                return
        if daemon.poll() is not None:
            pytest.skip(f"no ssh daemon can run here: {log.read_text().strip()}")
        assert time.monotonic() < deadline, log.read_text()


@pytest.fixture
def endpoint(
    ssh_host: tuple[str, Path], engine_26: Engine, monkeypatch: pytest.MonkeyPatch
) -> EngineEndpoint:
    """The engine's socket, seen through ssh."""
    address, folder = ssh_host
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return EngineEndpoint(host=address + engine_26.host.removeprefix("unix://"))


def test_an_engine_answers_through_ssh(endpoint: EngineEndpoint, engine_26: Engine) -> None:
    assert request(endpoint, "GET", "/version").json()["Version"] == engine_26.version


def test_an_engine_s_refusal_comes_through_ssh(endpoint: EngineEndpoint) -> None:
    with pytest.raises(EngineError, match="No such image") as caught:
        find_image(endpoint, "dockyard-none:x")

    assert caught.value.status == 404


def test_a_connection_is_upgraded_through_ssh(endpoint: EngineEndpoint) -> None:
    with closing(upgrade(endpoint, "/grpc")) as stream:
        stream.sendmsg([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\x04\0\0\0\0\0"])
        received, buffer = b"", bytearray(100)
        while len(received) < 9:
            try:
                received += buffer[: stream.recv_into(buffer)]
            except BlockingIOError:
                continue

    assert received[3:9] == b"\x04\0\0\0\0\0"


def test_a_stranger_is_told_what_ssh_says(endpoint: EngineEndpoint) -> None:
    stranger = EngineEndpoint(host=endpoint.host.replace("root@", "nobody@"))

    with pytest.raises(EngineUnreachableError, match="; ssh failed: .*Permission denied"):
        request(stranger, "GET", "/version")


def test_a_wrong_socket_is_told_in_the_other_docker_s_words(endpoint: EngineEndpoint) -> None:
    wrong = EngineEndpoint(host=endpoint.host + "-none")

    with pytest.raises(EngineUnreachableError, match="; ssh failed: .*docker"):
        request(wrong, "GET", "/version")
