"""An engine behind a real ssh daemon, reached by the machine's own ssh."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

import pytest
from tools.engine import Engine

from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import request, upgrade
from dockyard.engine.image import find_image
from dockyard.errors import EngineError, EngineUnreachableError
from support.sshd import SSHHost, run_sshd


@pytest.fixture(scope="module")
def ssh_host(tmp_path_factory: pytest.TempPathFactory, docker_cli: str) -> Iterator[SSHHost]:
    """A machine that has the docker command."""
    folder = tmp_path_factory.mktemp("ssh")
    programs = folder / "programs"
    programs.mkdir()
    (programs / "docker").symlink_to(docker_cli)
    with run_sshd(folder, programs) as host:
        yield host


@pytest.fixture
def endpoint(
    ssh_host: SSHHost, engine_26: Engine, monkeypatch: pytest.MonkeyPatch
) -> EngineEndpoint:
    """The engine's socket, seen through ssh."""
    monkeypatch.setenv("PATH", f"{ssh_host.path}:{os.environ['PATH']}")
    return EngineEndpoint(host=ssh_host.address + engine_26.host.removeprefix("unix://"))


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
