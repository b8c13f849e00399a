"""What is made of the words with which a container ends."""

from __future__ import annotations

import json
import socket
import time

import pytest

from dockyard.cancellation import Cancellation
from dockyard.errors import BootstrapError
from dockyard_docker_container import ready
from dockyard_docker_container.state import Container
from support.peer import Peers, Script, answering

from .conftest import MakeNode


def frame(payload: bytes) -> bytes:
    return b"\1\0\0\0" + len(payload).to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    ("data", "output"),
    [
        (b"", b""),
        (frame(b"a\n") + frame(b"b\n"), b"a\nb\n"),
        (frame(b"") + frame(b"a"), b"a"),
        (frame(b"a") + b"\1\0\0", b"a"),
        (frame(b"abc")[:-1], b"ab"),
        (b"\1\0\0\0\xff\xff\xff\xffa", b"a"),
    ],
)
def test_a_log_is_taken_out_of_its_frames(data: bytes, output: bytes) -> None:
    assert ready._unframed(data) == output


def test_a_log_of_empty_frames_takes_no_time() -> None:
    begun = time.thread_time()

    assert ready._unframed(bytes(4 << 20)) == b""

    assert time.thread_time() - begun < 20  # it was minutes


def test_a_log_cannot_flood_the_terminal(peers: Peers, make_node: MakeNode) -> None:
    log = frame(b"\x1b[2J" + b"a" * 1_000_000 + b"\nthe end\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(log)
    node = make_node(engine=peers.unix(answering(head + log)))

    error = ready._failure(node, "it ended")

    first, line, last = str(error).split("\n")
    assert first == "it ended; its log ends with:"
    assert line.strip().startswith("?[2Jaaa")
    assert len(line) < 2000
    assert last.strip() == "the end"


def test_an_engine_s_strange_words_for_an_image_are_no_accident(
    peers: Peers, make_node: MakeNode
) -> None:
    node = make_node(engine=peers.unix(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")))
    found = Container(name="box", status="exited", exit_code=1, image="\udcff\u00fc")

    error = ready._ended(node, found)

    assert isinstance(error, BootstrapError)
    assert "container box exited with code 1" in str(error)


def telling(*states: tuple[str, int]) -> Script:
    """Tell of a container in one state after the other, and of the last one from then on."""
    left = list(states)

    def run(connection: socket.socket) -> None:
        status, restarts = left.pop(0) if len(left) > 1 else left[0]
        told = {"State": {"Status": status, "ExitCode": 3}, "RestartCount": restarts}
        body = json.dumps(told).encode()
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))(
            connection
        )

    return run


def test_a_container_that_is_being_started_again_is_waited_for(
    peers: Peers, make_node: MakeNode
) -> None:
    script = telling(("restarting", 1), ("restarting", 1), ("running", 1))

    found = ready._alive(make_node(engine=peers.unix(script)), Cancellation(), 1)

    assert (found.status, found.restarts) == ("running", 1)


@pytest.mark.parametrize(
    "states",
    [
        [("restarting", 2)],
        [("restarting", 1), ("restarting", 2)],
        [("restarting", 1), ("exited", 1)],
        [("restarting", 1)],
    ],
)
def test_a_container_that_ends_again_and_again_is_given_up(
    peers: Peers,
    make_node: MakeNode,
    monkeypatch: pytest.MonkeyPatch,
    states: list[tuple[str, int]],
) -> None:
    monkeypatch.setattr(ready, "_RESTART_SECONDS", 0.5)
    node = make_node(engine=peers.unix(telling(*states)))

    with pytest.raises(BootstrapError, match="code 3"):
        ready._alive(node, Cancellation(), 1)


def test_a_container_that_is_gone_is_not_waited_for(peers: Peers, make_node: MakeNode) -> None:
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    node = make_node(engine=peers.unix(answering(missing)))

    with pytest.raises(BootstrapError, match="was removed while BuildKit was being waited for"):
        ready.await_answer(node, Cancellation())
