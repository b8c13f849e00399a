"""Commands in pods over a WebSocket: both directions, every ending, every way to break."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from urllib.parse import parse_qs, urlsplit

import pytest

from dockyard.cancellation import Cancellation
from dockyard.errors import CanceledError
from dockyard_kubernetes import pod_stream
from dockyard_kubernetes.cluster import ApiError, ClusterUnreachableError, open_cluster
from dockyard_kubernetes.pod_stream import PodExec
from support.api_peer import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    V4,
    V5,
    Api,
    Handler,
    Line,
    Request,
    frame,
)
from support.peer import silent

COMMAND = ("buildctl", "dial-stdio")
EXIT_3 = {
    "status": "Failure",
    "message": "command terminated with non-zero exit code: exit status 3",
    "reason": "NonZeroExitCode",
    "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
}


def echo(request: Request, line: Line) -> None:
    """Be a command that gives back what it gets until its input ends."""
    line.upgrade(request, V5)
    while True:
        data = line.read_data()
        if data == b"\xff\x00":
            break
        assert data[0] == 0
        line.message(1, data[1:])
    line.message(2, b"bye\n")
    line.end()


@contextmanager
def running(api: Api, handler: Handler, *, tls: bool = False) -> Iterator[PodExec]:
    cluster = open_cluster(api.node(api.serve(handler, tls=tls)))
    with closing(cluster.exec("k0-x", "buildkitd", COMMAND)) as stream:
        yield stream


def wait_for(stream: PodExec, events: int = select.POLLIN, seconds: float = 40) -> None:
    """Wait as a poll loop does."""
    if events == select.POLLIN and stream.pending():
        return
    poll = select.poll()
    poll.register(stream.fileno(), events)
    assert poll.poll(seconds * 1000), "nothing came"


def await_in(found: Sequence[object], thing: object) -> None:
    """Wait until something that another thread finds is found, as the last so far."""
    deadline = time.monotonic() + 40
    while not found or found[-1] != thing:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def read(stream: PodExec, size: int = 1 << 30) -> bytes:
    """Read until the end, or that many bytes."""
    found = bytearray()
    buffer = bytearray(1 << 16)
    while len(found) < size:
        wait_for(stream)
        try:
            count = stream.recv_into(buffer)
        except BlockingIOError:
            continue
        if not count:
            break
        found += buffer[:count]
    return bytes(found)


def write(stream: PodExec, data: bytes) -> None:
    sent = 0
    while sent < len(data):
        try:
            sent += stream.sendmsg([memoryview(data)[sent:]])
        except BlockingIOError:
            wait_for(stream, select.POLLOUT)


# --- talking -------------------------------------------------------------------------------


def test_a_command_is_asked_for_as_the_api_has_it(api: Api) -> None:
    with running(api, echo) as stream:
        request = api.requests[0]

        assert (request.method, request.target) == (
            "GET",
            "/api/v1/namespaces/default/pods/k0-x/exec?container=buildkitd&stdin=true"
            "&stdout=true&stderr=true&command=buildctl&command=dial-stdio",
        )
        assert request.headers["sec-websocket-protocol"] == f"{V5}, {V4}"
        assert stream.protocol == V5


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_bytes_go_both_ways_and_the_input_can_be_ended(api: Api, tls: bool) -> None:
    data = os.urandom(3 << 20)
    with running(api, echo, tls=tls) as stream:

        def send() -> None:
            write(stream, data)
            stream.half_close()

        writer = threading.Thread(target=send)
        writer.start()

        found = read(stream)

        writer.join()
        assert found == data
        assert stream.last_words() == "bye; exit code 0"


def test_a_commands_words_arrive_as_they_are(api: Api) -> None:
    cluster = open_cluster(api.node(api.serve(echo)))

    cluster.exec("k0-x", "buildkitd", ("x", "", "ä &=+%")).close()

    query = parse_qs(urlsplit(api.requests[0].target).query, keep_blank_values=True)
    assert query["command"] == ["x", "", "ä &=+%"]


def test_many_streams_run_at_a_time(api: Api) -> None:
    cluster = open_cluster(api.node(api.serve(echo)))
    failures: list[str] = []

    def talk() -> None:
        data = os.urandom(200_000)
        with closing(cluster.exec("k0-x", "buildkitd", COMMAND)) as stream:
            write(stream, data[:1000])
            found = read(stream, 1000)
            write(stream, data[1000:])
            stream.half_close()
            found += read(stream)
            if found != data:
                failures.append(f"{len(found)} of {len(data)}")

    threads = [threading.Thread(target=talk) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    assert len(api.requests) == 8


def test_what_nobody_reads_holds_the_sender_up(api: Api) -> None:
    sent = []

    def flood(request: Request, line: Line) -> None:
        line.upgrade(request)
        line.socket.settimeout(40)
        for _ in range(2000):
            line.message(1, bytes(32 << 10))
            sent.append(32 << 10)
        line.end()

    with running(api, flood) as stream:
        before = -1
        while len(sent) != before:  # until it stands still
            before = len(sent)
            threading.Event().wait(0.2)
        held_up_at = sum(sent)

        assert len(read(stream)) == 2000 * (32 << 10)
        assert held_up_at < 32 << 20


def test_what_the_pod_does_not_read_holds_us_up(api: Api) -> None:
    go_on = threading.Event()
    found = []

    def lazy(request: Request, line: Line) -> None:
        line.upgrade(request)
        go_on.wait(40)
        size = 0
        while size < 16 << 20:
            size += len(line.read_data()) - 1
        found.append(size)
        line.end()

    with running(api, lazy) as stream:
        data = bytes(16 << 20)
        sent = 0
        with suppress(BlockingIOError):
            while sent < len(data):
                sent += stream.sendmsg([memoryview(data)[sent:]])
        assert sent < len(data)
        go_on.set()
        write(stream, data[sent:])

        assert read(stream) == b""
        assert found == [16 << 20]


def test_the_fourth_protocol_cannot_end_the_input_alone(api: Api) -> None:
    seen: list[tuple[int, bytes]] = []

    def old(request: Request, line: Line) -> None:
        line.upgrade(request, V4)
        for channel in (1, 2):
            line.message(channel, b"")  # as old servers begin
        with suppress(OSError):
            while True:
                seen.append(line.read_frame())
                if seen[-1][0] == BINARY:
                    line.message(1, b"got it")

    with running(api, old) as stream:
        write(stream, b"hello")
        assert read(stream, 6) == b"got it"
        stream.half_close()
        assert stream.protocol == V4

    await_in(seen, (CLOSE, b"\x03\xe8"))
    assert seen[0] == (BINARY, b"\x00hello")
    assert {opcode for opcode, _ in seen[1:-1]} <= {PING}  # on a very busy machine


# --- endings -------------------------------------------------------------------------------


def test_a_failed_commands_exit_code_and_last_lines_are_told(api: Api) -> None:
    def fail(request: Request, line: Line) -> None:
        line.upgrade(request)
        line.message(2, b"a\n" * 6000 + b"no \x1b[31msuch\x1b[0m socket\n")
        line.end(EXIT_3)

    with running(api, fail) as stream:
        assert read(stream) == b""
        assert stream.last_words().endswith("a; no ?[31msuch?[0m socket; exit code 3")
        assert len(stream.errors) <= 8 << 10


def test_a_command_that_could_not_be_started_is_told_in_the_servers_words(api: Api) -> None:
    words = 'Internal error occurred: error executing command in container: container "x" not found'

    def fail(request: Request, line: Line) -> None:
        line.upgrade(request)
        line.end({"status": "Failure", "message": words, "reason": "InternalError", "code": 500})

    with running(api, fail) as stream:
        assert read(stream) == b""
        assert stream.last_words() == words


@pytest.mark.parametrize("status", [b"", b"{", b"[]", b"\xff\xfe", b'{"status":1}'])
def test_a_malformed_ending_ends_the_stream_all_the_same(api: Api, status: bytes) -> None:
    def end(request: Request, line: Line) -> None:
        line.upgrade(request)
        line.message(1, b"out")
        line.message(3, status)
        line.send(frame(CLOSE, b"\x03\xf3oops"))

    with running(api, end) as stream:
        assert read(stream) == b"out"
        assert "\n" not in stream.last_words()


def test_nonsense_behind_output_is_told_though_nothing_more_comes(api: Api) -> None:
    def confuse(request: Request, line: Line) -> None:
        line.upgrade(request)
        line.send(frame(BINARY, b"\x01output") + frame(BINARY, b"\x09x"))
        silent(line.socket)

    with running(api, confuse) as stream:
        assert read(stream, 6) == b"output"

        assert stream.pending()
        with pytest.raises(OSError, match="of an unknown channel, 9"):
            stream.recv_into(bytearray(1))
        assert not stream.pending()


def test_a_close_with_a_reason_is_told(api: Api) -> None:
    def end(request: Request, line: Line) -> None:
        line.upgrade(request)
        line.send(frame(CLOSE, b"\x03\xf3shutting down"))

    with running(api, end) as stream:
        assert read(stream) == b""
        assert stream.last_words() == "the API server closed the stream: shutting down"


def test_a_server_that_stays_connected_after_its_goodbye_ends_the_stream(api: Api) -> None:
    def linger(request: Request, line: Line) -> None:
        line.upgrade(request)
        line.message(1, b"out")
        line.end()
        line.read_frame()
        silent(line.socket)

    with running(api, linger) as stream:
        assert read(stream) == b"out"


def test_a_cut_connection_is_no_end(api: Api) -> None:
    def cut(request: Request, line: Line) -> None:
        line.upgrade(request)
        line.message(1, b"out")
        line.socket.shutdown(socket.SHUT_RDWR)

    with running(api, cut) as stream:
        assert read(stream, 3) == b"out"
        with pytest.raises(OSError, match="ended the connection without a word|reset"):
            read(stream)


def test_writing_to_a_command_that_has_ended_fails(api: Api) -> None:
    def end(request: Request, line: Line) -> None:
        line.upgrade(request)
        line.end()

    with running(api, end) as stream:
        assert read(stream) == b""
        with pytest.raises(BrokenPipeError):
            stream.sendmsg([b"more"])


def test_a_closed_stream_says_so(api: Api) -> None:
    with running(api, echo) as stream:
        stream.close()
        stream.close()
        stream.half_close()

        with pytest.raises(OSError, match="closed"):
            stream.recv_into(bytearray(1))
        with pytest.raises(OSError, match="closed"):
            stream.sendmsg([b"x"])


# --- keeping alive -------------------------------------------------------------------------


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no second pass but by :func:`pass_seconds`."""
    monkeypatch.setattr(pod_stream, "_TICK", 3600)


def pass_seconds(stream: PodExec, count: int) -> None:
    for _ in range(count):
        stream._tick()


def test_a_server_that_fell_silent_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_stream, "_TICK", 0.02)
    pinged: list[int] = []

    def half_open(request: Request, line: Line) -> None:
        line.upgrade(request)
        with suppress(OSError):
            while True:
                pinged.append(line.read_frame()[0])

    with running(api, half_open) as stream:
        with pytest.raises(OSError, match="the API server was silent for 15 s"):
            read(stream)
        with pytest.raises(OSError, match="silent"):
            stream.sendmsg([b"x"])

        await_in(pinged, PING)


@pytest.mark.usefixtures("by_hand")
def test_a_server_that_falls_silent_after_a_while_is_given_up(api: Api) -> None:
    def half_open(request: Request, line: Line) -> None:
        line.upgrade(request)
        line.message(1, b"out")
        silent(line.socket)

    with running(api, half_open) as stream:
        assert read(stream, 3) == b"out"
        pass_seconds(stream, 15)
        assert not stream.pending()
        pass_seconds(stream, 1)

        with pytest.raises(OSError, match="the API server was silent for 15 s"):
            read(stream)


@pytest.mark.usefixtures("by_hand")
def test_a_quiet_command_is_left_alone_as_long_as_the_server_lives(api: Api) -> None:
    pings: list[int] = []

    def quiet(request: Request, line: Line) -> None:
        line.upgrade(request)
        while len(pings) < 5:
            opcode, data = line.read_frame()
            assert opcode == PING
            pings.append(opcode)
            line.send(frame(PONG, data))
        line.message(1, b"at last")
        line.end()

    with running(api, quiet) as stream:
        for _ in range(4):  # for longer in all than a silence would be borne
            pass_seconds(stream, 15)
            wait_for(stream)
            with pytest.raises(BlockingIOError):
                stream.recv_into(bytearray(1))
        pass_seconds(stream, 15)

        assert read(stream) == b"at last"


@pytest.mark.usefixtures("by_hand")
def test_what_lies_unread_is_a_sign_of_life(api: Api) -> None:
    def speak(request: Request, line: Line) -> None:
        line.upgrade(request)
        line.message(1, b"out")
        silent(line.socket)

    with running(api, speak) as stream:
        wait_for(stream)
        pass_seconds(stream, 50)  # in which we do not read

        assert read(stream, 3) == b"out"


def test_a_forgotten_stream_leaves_no_thread(api: Api) -> None:
    before = set(threading.enumerate())  # those of earlier tests may end meanwhile
    with running(api, echo):
        ours = set(threading.enumerate()) - before
        (keeper,) = [thread for thread in ours if thread.name == "dockyard-keep-alive"]

    keeper.join(40)
    assert not keeper.is_alive()


# --- opening -------------------------------------------------------------------------------


def test_a_refused_command_is_told_in_the_servers_words(api: Api) -> None:
    words = (
        'pods "k0-x" is forbidden: User "u" cannot create resource "pods/exec" in API group "" '
        'in the namespace "default"'
    )
    url = api.serve(lambda _, line: line.status(403, "Forbidden", words))
    cluster = open_cluster(api.node(url))

    with pytest.raises(ApiError, match="cannot create resource") as caught:
        cluster.exec("k0-x", "buildkitd", COMMAND)

    assert (caught.value.status, caught.value.resource) == (403, "pods/exec")
    assert "allow the verbs get and create on pods/exec in namespace default" in (
        caught.value.hint or ""
    )


def test_a_kubelet_that_cannot_be_reached_may_be_tried_again(api: Api) -> None:
    words = "error dialing backend: dial tcp 10.0.0.1:10250: connect: connection refused"
    url = api.serve(lambda _, line: line.status(500, "InternalError", words))
    cluster = open_cluster(api.node(url))

    with pytest.raises(ApiError, match="error dialing backend") as caught:
        cluster.exec("k0-x", "buildkitd", COMMAND)

    assert caught.value.transient


def test_a_server_without_websockets_is_told_apart(api: Api) -> None:
    def spdy(_: Request, line: Line) -> None:
        line.send(b"HTTP/1.1 101 X\r\nUpgrade: SPDY/3.1\r\n\r\n")

    cluster = open_cluster(api.node(api.serve(spdy)))

    with pytest.raises(ClusterUnreachableError, match="cannot run commands over a websocket") as c:
        cluster.exec("k0-x", "buildkitd", COMMAND)

    assert not c.value.transient


def test_opening_ends_when_canceled_and_when_the_time_is_over(api: Api) -> None:
    cluster = open_cluster(api.node(f"http://127.0.0.1:{api.peer(silent)}"))
    cancel = Cancellation()
    timer = threading.Timer(0.2, cancel.cancel)
    timer.start()

    with pytest.raises(CanceledError):
        cluster.exec("k0-x", "buildkitd", COMMAND, cancel=cancel)
    with pytest.raises(ClusterUnreachableError, match="no answer within 0.2 s") as caught:
        cluster.exec("k0-x", "buildkitd", COMMAND, timeout=0.2)

    assert caught.value.transient
    timer.join()
