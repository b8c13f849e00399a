"""Pushing through an engine with the classic image store, to a real registry."""

from __future__ import annotations

import base64
import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tools.engine import Engine

from dockyard.cancellation import Cancellation
from dockyard.driver import Image, Node
from dockyard.engine.credential import Credentials
from dockyard.engine.image import load_archive, tagged
from dockyard.errors import CanceledError, EngineError, InputError
from dockyard_docker import plugin
from support.archive import archive
from support.peer import Peers, answering, read_head, silent
from support.registry import Registry

from .conftest import MakeNode, Memory

VERSION = b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"ApiVersion": "1.41"}'


@pytest.fixture(params=["20.10", "26.1"])
def classic(request: pytest.FixtureRequest, make_node: MakeNode) -> Node:
    """A node on each engine with the classic image store."""
    fixture = {"20.10": "engine_20", "26.1": "engine_26"}[request.param]
    running: Engine = request.getfixturevalue(fixture)
    return make_node(running.host)


@pytest.fixture(autouse=True)
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of the test's own."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def put(node: Node, *names: str) -> None:
    assert node.engine is not None
    for name in names:
        content = io.BytesIO(archive(name, b"pushed" * 1000))
        load_archive(node.engine, content, on_message=lambda _: None)


def digest_in(registry: Registry, name: str, tag: str) -> str:
    """Ask the registry itself."""
    from urllib.request import Request, urlopen

    request = Request(f"http://{registry.address}/v2/{name}/manifests/{tag}", method="HEAD")
    request.add_header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
    if registry.user:
        login = base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    with urlopen(request, timeout=60) as answer:
        digest: str = answer.headers["Docker-Content-Digest"]
        return digest


def test_every_name_is_pushed_and_the_registry_s_digest_is_given(
    classic: Node, registry: Registry, memory: Memory
) -> None:
    name = f"dockyard/push-{os.urandom(4).hex()}"
    names = (f"{registry.address}/{name}:one", f"{registry.address}/{name}")
    put(classic, names[0], f"{names[1]}:latest")

    result = plugin.dockyard_push(classic, Image(names=names), memory, Cancellation())

    assert result.digest == digest_in(registry, name, "one")
    assert digest_in(registry, name, "latest")
    assert [step.name for step in memory.steps] == [
        f"pushing {names[0]} with docker",
        f"pushing {names[1]}:latest with docker",
    ]


def test_layers_are_shown_while_they_are_pushed(
    classic: Node, registry: Registry, memory: Memory
) -> None:
    name = f"{registry.address}/dockyard/layers-{os.urandom(4).hex()}:x"
    put(classic, name)

    plugin.dockyard_push(classic, Image(names=(name,)), memory, Cancellation())

    (step,) = memory.steps
    text, _, _, done = step.reports[-1]
    assert text.startswith("pushing layer ")
    assert done
    assert not step.reports[0][3]


def test_the_login_that_comes_with_the_image_is_used(
    classic: Node, registry_with_login: Registry, memory: Memory
) -> None:
    registry = registry_with_login
    name = f"dockyard/login-{os.urandom(4).hex()}"
    login = base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
    known = Credentials({"auths": {registry.address: {"auth": login}}})
    image = Image(names=(f"{registry.address}/{name}:x",), credentials=known)
    put(classic, image.names[0])

    result = plugin.dockyard_push(classic, image, memory, Cancellation())

    assert result.digest == digest_in(registry, name, "x")


def test_a_push_without_a_login_is_refused_in_the_registry_s_words(
    classic: Node, registry_with_login: Registry, memory: Memory
) -> None:
    name = f"{registry_with_login.address}/dockyard/stranger:x"
    put(classic, name)

    with pytest.raises(EngineError, match="no basic auth credentials"):
        plugin.dockyard_push(classic, Image(names=(name,)), memory, Cancellation())

    assert memory.steps[0].failed


def test_an_image_that_is_not_there_cannot_be_pushed(
    classic: Node, registry: Registry, memory: Memory
) -> None:
    with pytest.raises(EngineError, match="does not exist"):
        plugin.dockyard_push(
            classic, Image(names=(f"{registry.address}/none:x",)), memory, Cancellation()
        )


def test_a_push_without_a_name_is_refused(make_node: MakeNode, memory: Memory) -> None:
    with pytest.raises(InputError, match="tag is needed when pushing to registry"):
        plugin.dockyard_push(make_node("unix:///nowhere"), Image(), memory, Cancellation())


def test_an_engine_that_breaks_off_the_push_is_an_error(
    peers: Peers, make_node: MakeNode, memory: Memory
) -> None:
    def serve(connection: socket.socket) -> None:
        head = read_head(connection)
        if b"/version" in head:
            connection.sendall(VERSION)
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{")

    node = make_node(peers.unix(serve).host)

    with pytest.raises(EngineError, match="broke off the push"):
        plugin.dockyard_push(node, Image(names=("r.test/x",)), memory, Cancellation())


def test_an_engine_that_answers_garbage_is_an_error(
    peers: Peers, make_node: MakeNode, memory: Memory
) -> None:
    node = make_node(peers.unix(answering(b"garbage")).host)

    with pytest.raises(EngineError, match="no docker engine"):
        plugin.dockyard_push(node, Image(names=("r.test/x",)), memory, Cancellation())


@pytest.mark.parametrize("said", [b"", b'{"status": "Preparing", "id": "a"}\r\n'])
def test_canceling_ends_a_push_to_a_silent_engine(
    peers: Peers, make_node: MakeNode, memory: Memory, said: bytes
) -> None:
    cancel = Cancellation()

    def serve(connection: socket.socket) -> None:
        head = read_head(connection)
        if b"/version" in head:
            connection.sendall(VERSION)
            return
        if said:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.sendall(b"%x\r\n%s\r\n" % (len(said), said))
        cancel.cancel()
        silent(connection)

    node = make_node(peers.unix(serve).host)

    with pytest.raises(CanceledError):
        plugin.dockyard_push(node, Image(names=("r.test/x",)), memory, cancel)


def test_a_name_without_a_tag_is_pushed_as_latest() -> None:
    assert tagged("r.test:5000/app") == "r.test:5000/app:latest"
    assert tagged("r.test:5000/app:x") == "r.test:5000/app:x"


def test_the_driver_s_hooks_load_no_client_library() -> None:
    script = "import dockyard_docker.plugin, dockyard_docker.load, sys; "
    script += "print({'docker', 'requests', 'urllib3', 'ssl', 'subprocess'} & set(sys.modules))"

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "set()"
