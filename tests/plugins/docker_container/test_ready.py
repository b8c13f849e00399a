"""What is made of the words with which a container ends."""

from __future__ import annotations

import time

import pytest

from dockyard.cancellation import Cancellation
from dockyard.errors import BootstrapError
from dockyard_docker_container import ready
from dockyard_docker_container.state import Container
from support.peer import Peers, answering

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
    begun = time.monotonic()

    assert ready._unframed(bytes(16 << 20)) == b""

    assert time.monotonic() - begun < 20  # it was an hour


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


def test_a_container_that_is_gone_is_not_waited_for(peers: Peers, make_node: MakeNode) -> None:
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    node = make_node(engine=peers.unix(answering(missing)))

    with pytest.raises(BootstrapError, match="was removed while BuildKit was being waited for"):
        ready.await_answer(node, Cancellation())
