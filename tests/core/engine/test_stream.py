"""Byte streams over sockets, TLS and child processes."""

from __future__ import annotations

import os
import select
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
import trustme

from dockyard.engine.stream import PipeStream, SocketStream, TLSStream

SECONDS = 45
"""For so long it is waited for what comes at once, unless the machine is busy."""
ECHO = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read(4)); sys.stdout.flush()"


@pytest.fixture
def pair() -> Iterator[tuple[SocketStream, socket.socket]]:
    ours, theirs = socket.socketpair()
    with closing(SocketStream(ours, b"early")) as stream, theirs:
        yield stream, theirs


def wait_for(stream: SocketStream, event: int = select.POLLIN) -> None:
    poll = select.poll()
    poll.register(stream.fileno(), event)
    assert poll.poll(SECONDS * 1000), "nothing came"


def read_all(stream: SocketStream) -> bytes:
    """Read until the end, polling as a loop does."""
    received = b""
    buffer = bytearray(1000)
    while True:
        if not stream.pending():
            wait_for(stream)
        try:
            count = stream.recv_into(buffer)
        except BlockingIOError:
            continue
        if not count:
            return received
        received += buffer[:count]


def test_what_was_read_before_comes_first(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, theirs = pair
    theirs.send(b" and late")
    theirs.close()
    stream.unread(b"very ")

    assert stream.pending() == 10
    assert read_all(stream) == b"very early and late"
    assert stream.pending() == 0


def test_a_small_buffer_takes_the_leftover_in_parts(
    pair: tuple[SocketStream, socket.socket],
) -> None:
    stream, _ = pair
    buffer = bytearray(2)

    assert [stream.recv_into(buffer), bytes(buffer)] == [2, b"ea"]
    assert [stream.recv_into(memoryview(buffer)), bytes(buffer)] == [2, b"rl"]
    assert [stream.recv_into(buffer), bytes(buffer[:1])] == [1, b"y"]


def test_nothing_there_is_told_by_blocking_io_error(
    pair: tuple[SocketStream, socket.socket],
) -> None:
    stream, _ = pair
    stream.recv_into(bytearray(5))

    with pytest.raises(BlockingIOError):
        stream.recv_into(bytearray(5))


def test_a_full_socket_is_told_by_blocking_io_error(
    pair: tuple[SocketStream, socket.socket],
) -> None:
    stream, _ = pair

    def fill() -> None:
        while True:
            stream.sendmsg([bytes(1 << 16)])

    with pytest.raises(BlockingIOError):
        fill()


def test_more_buffers_than_the_kernel_takes_are_sent_in_part(
    pair: tuple[SocketStream, socket.socket],
) -> None:
    stream, theirs = pair

    sent = stream.sendmsg([b"a"] * 5000)

    assert 0 < sent < 5000
    assert theirs.recv(5000) == b"a" * sent


def test_half_closing_lets_the_other_side_answer(
    pair: tuple[SocketStream, socket.socket],
) -> None:
    stream, theirs = pair
    stream.half_close()

    assert theirs.recv(1) == b""
    theirs.send(b"!")
    theirs.close()
    assert read_all(stream) == b"early!"


def test_closing_twice_is_harmless(pair: tuple[SocketStream, socket.socket]) -> None:
    stream, _ = pair

    stream.close()
    stream.close()
    stream.half_close()


# --- tls -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_pair(authority: trustme.CA) -> Iterator[tuple[TLSStream, ssl.SSLSocket]]:
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client_context)
    ours, theirs = socket.socketpair()
    accepted: list[ssl.SSLSocket] = []
    thread = threading.Thread(
        target=lambda: accepted.append(server_context.wrap_socket(theirs, server_side=True))
    )
    thread.start()
    client = client_context.wrap_socket(ours, server_hostname="localhost")
    thread.join()
    with closing(TLSStream(client)) as stream, accepted[0] as server:
        yield stream, server


def test_tls_tells_of_bytes_that_poll_does_not(
    tls_pair: tuple[TLSStream, ssl.SSLSocket],
) -> None:
    stream, server = tls_pair
    server.sendall(b"0123456789")
    buffer = bytearray(4)

    count = 0
    while not count:
        wait_for(stream)
        with suppress(BlockingIOError):  # a session ticket came first
            count = stream.recv_into(buffer)

    assert bytes(buffer) == b"0123"
    assert stream.pending() == 6


def test_tls_says_blocking_io_error_when_nothing_is_there(
    tls_pair: tuple[TLSStream, ssl.SSLSocket],
) -> None:
    stream, _ = tls_pair

    with pytest.raises(BlockingIOError):
        stream.recv_into(bytearray(4))


def test_tls_sends_megabytes_in_order_through_a_slow_reader(
    tls_pair: tuple[TLSStream, ssl.SSLSocket],
) -> None:
    stream, server = tls_pair
    content = os.urandom(3_000_000)
    received = bytearray()

    def read() -> None:
        while len(received) < len(content):
            received.extend(server.recv(1 << 14))

    thread = threading.Thread(target=read)
    view = memoryview(content)
    blocked = 0
    while view:
        try:
            view = view[stream.sendmsg([view[:10], view[10:70_000], view[70_000:200_000]]) :]
        except BlockingIOError:
            blocked += 1
            if blocked == 1:
                thread.start()
            wait_for(stream, select.POLLOUT)
    thread.join()

    assert blocked
    assert received == content


def test_tls_refuses_other_bytes_than_those_it_has_encrypted(
    tls_pair: tuple[TLSStream, ssl.SSLSocket],
) -> None:
    stream, _ = tls_pair

    def fill() -> None:
        while True:
            stream.sendmsg([b"a" * 16_384])

    with pytest.raises(BlockingIOError):
        fill()
    with pytest.raises(OSError, match="not offered again"):
        stream.sendmsg([b"b" * 16_384])


def test_tls_ends_when_the_peer_closes(tls_pair: tuple[TLSStream, ssl.SSLSocket]) -> None:
    stream, server = tls_pair
    server.sendall(b"bye")
    server.close()

    assert read_all(stream) == b"bye"


# --- a child process -----------------------------------------------------------------------


def test_a_child_is_one_stream_both_ways() -> None:
    with closing(PipeStream([sys.executable, "-c", ECHO])) as stream:
        stream.sendmsg([b"ec", b"ho"])

        assert read_all(stream) == b"echo"


def test_a_child_s_last_words_are_kept_as_one_line() -> None:
    script = "import sys; [print('line', n, file=sys.stderr) for n in range(9)]"
    with closing(PipeStream([sys.executable, "-c", script])) as stream:
        read_all(stream)
        stream._child.wait(SECONDS)  # for which the stream itself waits half a second only
        stream._listener.join(SECONDS)

        assert stream.last_words() == "line 4; line 5; line 6; line 7; line 8"

    assert stream.last_words().endswith("line 8")


def test_a_child_that_talks_much_to_nobody_does_not_stop() -> None:
    script = "import sys; [sys.stderr.write('x' * 60000 + '\\n') and sys.stdout.write('.') and "
    script += "sys.stdout.flush() for n in range(20)]"
    with closing(PipeStream([sys.executable, "-c", script])) as stream:
        assert read_all(stream) == b"." * 20


def gone(child: int) -> bool:
    try:
        os.kill(child, 0)
    except ProcessLookupError:
        return True
    return False


def test_closing_ends_a_child_that_would_go_on() -> None:
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    stream = PipeStream([sys.executable, "-c", script])
    wait_for(stream)
    buffer = bytearray(100)
    child = int(buffer[: stream.recv_into(buffer)])

    stream.close()
    stream.close()

    assert gone(child)


def test_closing_ends_a_child_that_does_not_want_to() -> None:
    script = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    script += "print(os.getpid(), flush=True); time.sleep(600)"
    stream = PipeStream([sys.executable, "-c", script])
    wait_for(stream)
    buffer = bytearray(100)
    child = int(buffer[: stream.recv_into(buffer)])

    stream.close()

    assert gone(child)


def test_a_program_that_is_not_there_leaves_nothing_open() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # a count of names

    with pytest.raises(FileNotFoundError):
        PipeStream(["no-such-program-anywhere"])

    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208  # a count of names
