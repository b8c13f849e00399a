"""Making a container where the engine's answers make no sense."""

from __future__ import annotations

import json
import socket

import pytest

from dockyard.cancellation import Cancellation
from dockyard.errors import DockyardError
from dockyard.progress import ProgressWriter
from dockyard_docker_container import plugin
from support.peer import Peers, Script, answering, read_head

from .conftest import MakeNode


def absurd(told: object, asked: list[str]) -> Script:
    """Play an engine without the container, that gives the same answer to all other questions."""
    body = json.dumps(told).encode()
    missing = answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    other = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)

    def serve(connection: socket.socket) -> None:
        head = connection.recv(1 << 16, socket.MSG_PEEK)
        if not head:
            return
        asked.append(head.split(b" ", 2)[1].decode())
        if b"/containers/buildx_buildkit_b0/json" in head:
            missing(connection)
            return
        read_head(connection)
        connection.sendall(other + body)

    return serve


@pytest.mark.parametrize("told", [None, [], {}, 7, "x", [7], {"Id": 7}, {"Id": "x"}, [{}]])
def test_answers_that_make_no_sense_are_one_of_our_errors(
    peers: Peers, make_node: MakeNode, told: object
) -> None:
    asked: list[str] = []
    node = make_node({"image": "img"}, engine=peers.unix(absurd(told, asked)))

    with pytest.raises(DockyardError):
        plugin.dockyard_bootstrap(node, ProgressWriter(lambda _: None), Cancellation())

    assert any("/images/" in path for path in asked)


@pytest.mark.parametrize(
    "told", [None, [], {}, 7, "x", [7], [{"Id": 7}], [{"Id": "x", "Names": 7}]]
)
def test_removing_takes_answers_that_make_no_sense(
    peers: Peers, make_node: MakeNode, told: object
) -> None:
    node = make_node(engine=peers.unix(absurd(told, [])))

    removed = plugin.dockyard_rm(node, keep_state=False, keep_daemon=False)

    assert "container buildx_buildkit_b0" in removed.what
