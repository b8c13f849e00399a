"""Commands in containers: the frames of their streams, and real ones on real engines."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import select
import shutil
import socket
import ssl
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.engine import Engine

from dockyard.cancellation import Cancellation
from dockyard.engine.endpoint import EngineEndpoint, TLSFiles
from dockyard.engine.exec import ExecStream, open_exec, run_exec, shown_lines
from dockyard.engine.stream import SocketStream
from dockyard.errors import CanceledError, EngineError, EngineUnreachableError
from support.peer import Peers, Script, read_head, silent, with_tls

SECONDS = 45
"""Deadline of everything that has to happen at once, on a busy machine."""
NOWHERE = EngineEndpoint(host="unix:///nowhere")
SWITCHING = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
SH = ["/bin/busybox", "sh", "-c"]

Pair = tuple[ExecStream, socket.socket]
Frames = list[tuple[int, bytes]]


def frame(kind: int, payload: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def joined(frames: Frames, *kinds: int) -> bytes:
    return b"".join(payload for kind, payload in frames if kind in kinds)


def drain(stream: ExecStream, size: int = 1000) -> bytes:
    """Read what is there now."""
    received = b""
    buffer = bytearray(size)
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    while stream.pending() or poll.poll(0):
        with suppress(BlockingIOError):
            count = stream.recv_into(buffer)
            if not count:
                break
            received += buffer[:count]
    return received


def read_all(stream: ExecStream, size: int = 1 << 20) -> bytes:
    """Read to the end, polling as a loop does."""
    received = bytearray()
    buffer = bytearray(size)
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLIN)
    while True:
        if not stream.pending():
            assert poll.poll(SECONDS * 1000), "nothing came"
        try:
            count = stream.recv_into(buffer)
        except BlockingIOError:
            continue
        if not count:
            return bytes(received)
        received += memoryview(buffer)[:count]


def last_words(stream: ExecStream) -> str:
    """Ask for the last words until the engine tells how the command ended.

    Each time it is given a second only, which is not always enough for a busy one.
    """
    deadline = time.monotonic() + SECONDS
    while "exit code" not in (words := stream.last_words()):
        assert time.monotonic() < deadline, words
    return words


def make_pair() -> Pair:
    ours, theirs = socket.socketpair()
    return ExecStream(NOWHERE, "1", SocketStream(ours), 8 << 10), theirs


@pytest.fixture
def pair() -> Iterator[Pair]:
    stream, theirs = make_pair()
    with closing(stream), theirs:
        yield stream, theirs


# --- frames --------------------------------------------------------------------------------


def test_frames_cut_anywhere_give_the_same_bytes() -> None:
    frames = [(1, b"ab"), (2, b"oops"), (1, b""), (3, b"!"), (1, b"c"), (1, bytes(300))]
    whole = b"".join(frame(*each) for each in frames)
    for cut in range(len(whole) + 1):
        stream, theirs = make_pair()
        with closing(stream), theirs:
            theirs.send(whole[:cut])
            received = drain(stream)
            theirs.send(whole[cut:])

            assert received + drain(stream) == b"abc" + bytes(300)
            assert stream.errors == b"oops!"


@settings(deadline=None)
@given(
    frames=st.lists(st.tuples(st.sampled_from((1, 2, 3)), st.binary(max_size=80)), max_size=20),
    cuts=st.lists(st.integers(0, 2000), max_size=30),
    size=st.integers(1, 200),
)
def test_any_frames_in_any_pieces_into_any_buffer(
    frames: Frames, cuts: list[int], size: int
) -> None:
    whole = b"".join(frame(*each) for each in frames)
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    received = b""
    stream, theirs = make_pair()
    with closing(stream), theirs:
        for start, end in itertools.pairwise(edges):
            theirs.send(whole[start:end])
            received += drain(stream, size)
        theirs.close()
        received += drain(stream, size)

        assert received == joined(frames, 1)
        assert stream.errors == joined(frames, 2, 3)


def test_standard_error_alone_is_told_by_blocking_io_error(pair: Pair) -> None:
    stream, theirs = pair
    theirs.send(frame(2, b"warning"))

    with pytest.raises(BlockingIOError):
        stream.recv_into(bytearray(100))
    with pytest.raises(BlockingIOError):
        stream.recv_into(bytearray(100))


def test_a_part_of_a_header_is_told_by_blocking_io_error(pair: Pair) -> None:
    stream, theirs = pair
    theirs.send(frame(1, b"x")[:7])

    with pytest.raises(BlockingIOError):
        stream.recv_into(bytearray(100))
    theirs.send(frame(1, b"x")[7:])
    assert drain(stream) == b"x"


def test_only_the_end_of_standard_error_is_kept(pair: Pair) -> None:
    stream, theirs = pair
    for number in range(1000):
        theirs.send(frame(2, b"%099d\n" % number))
        drain(stream)

    assert len(stream.errors) == 8 << 10
    assert stream.errors.endswith(b"0999\n")


@pytest.mark.parametrize("cut", [0, 3, 8, 10])
def test_the_end_of_the_stream_is_the_end_wherever_it_comes(pair: Pair, cut: int) -> None:
    stream, theirs = pair
    theirs.send(frame(1, b"late")[:cut])
    theirs.close()

    assert drain(stream) == b"late"[: max(0, cut - 8)]
    assert stream.recv_into(bytearray(10)) == 0


@pytest.mark.parametrize(
    "header",
    [b"\x00\0\0\0\0\0\0\1", b"\x04\0\0\0\0\0\0\1", b"\x01\0\1\0\0\0\0\1", b"HTTP/1.1"],
    ids=["stdin", "unknown", "padding", "text"],
)
@pytest.mark.parametrize("cut", [0, 5])
def test_what_is_no_frame_is_refused_for_good(pair: Pair, header: bytes, cut: int) -> None:
    stream, theirs = pair
    theirs.send(frame(2, b"fine") + header[:cut])
    drain(stream)
    theirs.send(header[cut:] + frame(1, b"later"))

    with pytest.raises(OSError, match="instead of a frame"):
        stream.recv_into(bytearray(100))
    with pytest.raises(OSError, match="instead of a frame"):
        stream.recv_into(bytearray(100))


def test_the_longest_frame_needs_no_memory_and_may_end_early(pair: Pair) -> None:
    stream, theirs = pair
    theirs.send(b"\1\0\0\0\xff\xff\xff\xff" + b"all there is")
    theirs.close()

    assert drain(stream) == b"all there is"


def test_what_was_received_before_may_end_anywhere() -> None:
    whole = frame(2, b"careful") + frame(1, b"hello")
    for cut in range(len(whole) + 1):
        ours, theirs = socket.socketpair()
        with closing(ExecStream(NOWHERE, "1", SocketStream(ours, whole[:cut]), 100)) as stream:
            with theirs:
                theirs.send(whole[cut:])

            assert read_all(stream, 3) == b"hello"


def test_writes_are_raw_and_stop_when_nobody_reads(pair: Pair) -> None:
    stream, theirs = pair
    sent = stream.sendmsg([b"ab", b"c"])

    def fill() -> None:
        while True:
            stream.sendmsg([bytes(1 << 16)])

    with pytest.raises(BlockingIOError):
        fill()
    assert theirs.recv(sent) == b"abc"


def test_a_reader_that_waits_lets_the_writer_wait(pair: Pair) -> None:
    stream, theirs = pair
    theirs.setblocking(False)
    written = 0

    def fill() -> None:
        nonlocal written
        while True:
            written += theirs.send(frame(1, bytes(1000))) - 8

    with pytest.raises(BlockingIOError):
        fill()
    assert stream.recv_into(bytearray(10)) == 2  # ten bytes, eight of them a header
    assert written < 10_000_000


# --- engines that are none -----------------------------------------------------------------


def fake(
    talk: Script = silent,
    *,
    state: bytes = b'{"Running": false, "ExitCode": 3}',
    made: bytes = b'{"Id": "e1"}',
) -> Script:
    """Play an engine with one command, which does what ``talk`` does."""

    def serve(connection: socket.socket) -> None:
        path = read_head(connection).split(b" ", 2)[1]
        if path == b"/exec/e1/start":
            connection.sendall(SWITCHING)
            talk(connection)
            return
        body = state if path.endswith(b"/json") else made
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return serve


def test_the_requests_are_those_of_docker(peers: Peers) -> None:
    requests: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        data = read_head(connection)
        while not data.endswith(b"}"):
            data += connection.recv(1 << 16)
        requests.append(data)
        answer = b'HTTP/1.1 201 Created\r\nContent-Length: 11\r\n\r\n{"Id":"e1"}'
        connection.sendall(SWITCHING if b"/start" in data else answer)

    open_exec(peers.unix(serve), "box", ["buildctl", "dial-stdio"]).close()

    (made, settings), (started, options) = (request.split(b"\r\n\r\n") for request in requests)
    assert made.startswith(b"POST /containers/box/exec HTTP/1.1\r\n")
    assert started.startswith(b"POST /exec/e1/start HTTP/1.1\r\n")
    assert b"\r\nUpgrade: tcp\r\n" in started
    assert all(b"\r\nContent-Type: application/json" in head for head in (made, started))
    assert json.loads(settings) == {
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "Cmd": ["buildctl", "dial-stdio"],
    }
    assert json.loads(options) == {"Detach": False, "Tty": False}


def test_last_words_are_the_last_lines_fit_for_a_terminal_and_the_exit_code(peers: Peers) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(9)) + b"\x1b[31mred\n\n"
    endpoint = peers.unix(fake(lambda connection: connection.sendall(frame(2, lines))))

    with closing(open_exec(endpoint, "box", ["x"])) as stream:
        read_all(stream)

        assert last_words(stream) == "line 5; line 6; line 7; line 8; ?[31mred; exit code 3"


@pytest.mark.parametrize(
    "state",
    [b"{", b"[]", b"{}", b'{"Running": true, "ExitCode": 0}', b'{"ExitCode": null}'],
)
def test_last_words_do_without_an_exit_code(peers: Peers, state: bytes) -> None:
    talk = fake(lambda connection: connection.sendall(frame(2, b"bye\n")), state=state)

    with closing(open_exec(peers.unix(talk), "box", ["x"])) as stream:
        read_all(stream)

        assert stream.last_words() == "bye"


def test_last_words_never_raise_when_the_engine_is_gone(pair: Pair) -> None:
    assert pair[0].last_words() == ""


@pytest.mark.parametrize("made", [b"[]", b"{}", b'{"Id": 7}', b'{"Id": "../x"}'])
def test_a_command_without_an_id_is_an_error(peers: Peers, made: bytes) -> None:
    with pytest.raises(EngineError, match="gives no id for a command in box"):
        open_exec(peers.unix(fake(made=made)), "box", ["x"])


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a b", "-a", "a?b", "a\r\nb"])
def test_a_hostile_name_is_no_container_and_never_sent(peers: Peers, name: str) -> None:
    with pytest.raises(EngineError, match="^No such container: ") as caught:
        open_exec(peers.unix(fake()), name, ["x"])

    assert caught.value.status == 404


def test_an_engine_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(EngineUnreachableError):
        open_exec(NOWHERE, "box", ["x"])


def test_a_stream_that_breaks_in_a_command_is_an_error(peers: Peers) -> None:
    endpoint = peers.unix(fake(lambda connection: connection.sendall(b"not a frame")))

    with pytest.raises(EngineError, match="connection to 'x y' broke: .* instead of a frame"):
        run_exec(endpoint, "box", ["x", "y"])


def test_only_the_end_of_a_command_s_output_is_kept(peers: Peers) -> None:
    content = random.Random(7).randbytes(300_000)
    talk = fake(lambda peer: peer.sendall(frame(1, content) + frame(2, content)))

    result = run_exec(peers.unix(talk), "box", ["x"])

    assert result == (3, content[-65_536:], content[-65_536:])


def test_a_long_line_is_shortened() -> None:
    assert [len(line) for line in shown_lines(b"a" * 100_000 + b"\nb")] == [1000, 1]


def silent_about_ends(connection: socket.socket) -> bool:
    """Play an engine that never tells how a command ended; False for any other request."""
    return connection.recv(1 << 16, socket.MSG_PEEK).startswith(b"GET /exec/e1/json")


def test_an_end_that_the_engine_does_not_tell_is_no_missing_engine(peers: Peers) -> None:
    def serve(connection: socket.socket) -> None:
        (silent if silent_about_ends(connection) else fake(lambda _: None))(connection)

    with pytest.raises(EngineError, match="^'x' did not end within 4 s$") as caught:
        run_exec(peers.unix(serve), "box", ["x"], timeout=4)

    assert not isinstance(caught.value, EngineUnreachableError)


def test_waiting_for_an_end_that_the_engine_does_not_tell_can_be_canceled(peers: Peers) -> None:
    cancel = Cancellation()

    def serve(connection: socket.socket) -> None:
        if silent_about_ends(connection):
            cancel.cancel()
            silent(connection)
        fake(lambda _: None)(connection)

    begun = time.monotonic()
    with pytest.raises(CanceledError):
        run_exec(peers.unix(serve), "box", ["x"], timeout=120, cancel=cancel)

    assert time.monotonic() - begun < SECONDS


def test_frames_inside_one_tls_record_are_all_seen(peers: Peers, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    def talk(connection: socket.socket) -> None:
        connection.sendall((frame(2, b"a") + frame(1, b"bc")) * 900 + frame(2, b"d" * 999))
        silent(connection)

    plain = peers.tcp(with_tls(context, fake(talk)))
    endpoint = EngineEndpoint(host=plain.host, tls=TLSFiles(ca=str(tmp_path / "ca.pem")))
    with closing(open_exec(endpoint, "box", ["x"])) as stream:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLIN)
        received = b""
        while len(received) < 1800:
            assert stream.pending() or poll.poll(SECONDS * 1000)
            received += drain(stream, 100)

        drain(stream, 100)
        assert received == b"bc" * 900
        assert stream.pending() == 0


# --- real engines --------------------------------------------------------------------------


class Box(NamedTuple):
    """A container with nothing but busybox in it."""

    engine: Engine
    name: str

    @property
    def endpoint(self) -> EngineEndpoint:
        return EngineEndpoint(host=self.engine.host)

    def open(self, *command: str) -> ExecStream:
        return open_exec(self.endpoint, self.name, command)


@pytest.fixture(scope="module")
def image(engine: Engine, busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    archive = tmp_path_factory.mktemp("image") / "rootfs.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(busybox, "bin/busybox")
    name = f"dockyard-exec-{uuid4().hex[:8]}"
    engine.docker("import", str(archive), name)
    yield name
    engine.docker("rmi", "--force", name)


def started(engine: Engine, image: str, stack: ExitStack) -> Box:
    name = f"dockyard-exec-{uuid4().hex[:8]}"
    stack.callback(engine.docker, "rm", "--force", name, check=False)
    sleep = ("/bin/busybox", "sleep", "3600")
    engine.docker("run", "--detach", "--network", "none", "--name", name, image, *sleep)
    return Box(engine, name)


@pytest.fixture(scope="module")
def box(engine: Engine, image: str) -> Iterator[Box]:
    """Give a running container that the module's tests share."""
    with ExitStack() as stack:
        yield started(engine, image, stack)


@pytest.fixture
def own_box(engine: Engine, image: str) -> Iterator[Box]:
    """Give a running container that the test may end."""
    with ExitStack() as stack:
        yield started(engine, image, stack)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def exchange(streams: Sequence[ExecStream], contents: Sequence[bytes]) -> list[bytes]:
    """Send each stream its content while receiving from all, in one loop, to their ends."""
    buffer = bytearray(1 << 18)
    unsent = {stream.fileno(): memoryview(content) for stream, content in zip(streams, contents)}  # noqa: B905
    received = {stream.fileno(): bytearray() for stream in streams}
    by_number = {stream.fileno(): stream for stream in streams}
    order = list(received)
    poll = select.poll()
    for number in order:
        poll.register(number, select.POLLIN | select.POLLOUT)
    while by_number:
        ready = poll.poll(SECONDS * 1000)
        assert ready, "nothing moves"
        for number, events in ready:
            stream = by_number[number]
            if events & select.POLLOUT:
                unsent[number] = unsent[number][sent(stream, unsent[number][: 1 << 20]) :]
                if not unsent[number]:
                    stream.half_close()
                    poll.modify(number, select.POLLIN)
            if events & ~select.POLLOUT and not take(stream, buffer, received[number]):
                poll.unregister(number)
                del by_number[number]
    return [bytes(received[number]) for number in order]


def sent(stream: ExecStream, data: memoryview) -> int:
    try:
        return stream.sendmsg([data])
    except BlockingIOError:
        return 0


def take(stream: ExecStream, buffer: bytearray, received: bytearray) -> bool:
    """Receive once; False at the end."""
    try:
        count = stream.recv_into(buffer)
    except BlockingIOError:
        return True
    received += memoryview(buffer)[:count]
    return count > 0


def test_64_mib_come_back_the_same_while_they_go(box: Box) -> None:
    content = random.Random(1).randbytes(64 << 20)

    with closing(box.open("/bin/busybox", "cat")) as stream:
        (received,) = exchange([stream], [content])

        assert digest(received) == digest(content)
        assert last_words(stream) == "exit code 0"


def test_several_streams_at_a_time_do_not_mix(box: Box) -> None:
    contents = [random.Random(number).randbytes(3 << 20) for number in range(6)]

    with ExitStack() as stack:
        streams = [stack.enter_context(closing(box.open("/bin/busybox", "cat"))) for _ in contents]
        received = exchange(streams, contents)

    assert [digest(each) for each in received] == [digest(each) for each in contents]


def test_both_outputs_at_once_are_told_apart(box: Box) -> None:
    script = "i=0; while [ $i -lt 500 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done"

    result = run_exec(box.endpoint, box.name, [*SH, script + "; exit 7"])

    assert result.code == 7
    assert result.stdout.splitlines() == [b"out %d" % number for number in range(500)]
    assert result.stderr.splitlines() == [b"err %d" % number for number in range(500)]


def test_a_command_that_does_not_read_makes_the_writer_wait(box: Box) -> None:
    # It reads on when it is told to by a file, and then counts what comes.
    go = f"/go-{uuid4().hex}"
    script = f"while ! [ -e {go} ]; do sleep 0.1; done; busybox wc -c"
    total = 32 << 20
    with closing(box.open(*SH, f"PATH=/bin; alias sleep='busybox sleep'; {script}")) as stream:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        written = 0
        while written < total and poll.poll(1000):
            written += sent(stream, memoryview(bytes(min(1 << 20, total - written))))
        blocked = written < total

        run_exec(box.endpoint, box.name, ["/bin/busybox", "touch", go])
        (received,) = exchange([stream], [bytes(total - written)])

    assert blocked
    assert int(received) == total


def test_a_reader_that_comes_late_misses_nothing(box: Box) -> None:
    script = "busybox head -c 20000000 /dev/zero | busybox tr '\\0' x; echo over >&2"
    with closing(box.open(*SH, f"PATH=/bin; {script}")) as stream:
        early = stream.last_words()  # waits for an end that does not come while nobody reads

        assert early == ""
        assert digest(read_all(stream)) == digest(b"x" * 20_000_000)
        assert last_words(stream) == "over; exit code 0"


@pytest.mark.parametrize("command", ["no-such-program", "/bin"])
def test_a_command_that_cannot_be_started_says_why(box: Box, command: str) -> None:
    result = run_exec(box.endpoint, box.name, [command])
    with closing(box.open(command)) as stream:
        output = read_all(stream)

        assert result.code in (126, 127)
        assert b"OCI runtime exec failed" in result.stdout
        assert command.encode() in result.stdout
        assert output == result.stdout
        assert last_words(stream) == f"{output.decode().strip()}; exit code {result.code}"


def test_a_container_killed_in_the_middle_ends_the_stream_at_once(own_box: Box) -> None:
    with closing(own_box.open("/bin/busybox", "cat")) as stream:
        stream.sendmsg([b"hello"])
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLIN)
        received = b""
        while len(received) < len(b"hello"):
            assert poll.poll(SECONDS * 1000)
            received += drain(stream)
        assert received == b"hello"

        killed = time.monotonic()
        own_box.engine.docker("kill", own_box.name)

        assert read_all(stream) == b""
        assert time.monotonic() - killed < SECONDS
        assert stream.last_words() in ("", "exit code 137")


def test_a_container_killed_under_a_command_is_no_success(own_box: Box) -> None:
    def kill() -> None:
        own_box.engine.docker("kill", own_box.name)

    began = time.monotonic()
    with ExitStack() as stack:
        killer = threading.Timer(0.5, kill)
        stack.callback(killer.join)
        killer.start()
        try:
            code = run_exec(own_box.endpoint, own_box.name, ["/bin/busybox", "sleep", "60"]).code
        except EngineError as error:
            code = error.status or 1

    assert code != 0
    assert time.monotonic() - began < SECONDS


def test_a_container_that_does_not_run_is_a_409_and_none_a_404(own_box: Box) -> None:
    own_box.engine.docker("pause", own_box.name)
    with pytest.raises(EngineError, match="paused") as paused:
        own_box.open("x")
    own_box.engine.docker("unpause", own_box.name)
    own_box.engine.docker("kill", own_box.name)
    with pytest.raises(EngineError, match="not running") as stopped:
        own_box.open("x")
    own_box.engine.docker("rm", own_box.name)
    with pytest.raises(EngineError, match=f"No such container: {own_box.name}") as removed:
        own_box.open("x")

    statuses = [caught.value.status for caught in (paused, stopped, removed)]
    assert statuses == [409, 409, 404]


def test_a_command_that_takes_too_long_is_given_up(box: Box) -> None:
    command = ["/bin/busybox", "sleep", "60"]
    for seconds in (1, 5, 25):
        with pytest.raises(EngineError) as caught:
            run_exec(box.endpoint, box.name, command, timeout=seconds)
        if not isinstance(caught.value, EngineUnreachableError):
            break  # else the engine was too busy to start it in that time

    assert str(caught.value) == f"'/bin/busybox sleep 60' did not end within {seconds} s"


def test_waiting_for_a_command_can_be_canceled(box: Box) -> None:
    cancel = Cancellation()
    timer = threading.Timer(0.3, cancel.cancel)
    timer.start()

    began = time.monotonic()
    with pytest.raises(CanceledError):
        run_exec(box.endpoint, box.name, ["/bin/busybox", "sleep", "60"], cancel=cancel)

    assert time.monotonic() - began < SECONDS


def test_closing_the_stream_ends_the_command_s_input(box: Box) -> None:
    done = f"/done-{uuid4().hex}"
    stream = box.open(*SH, f"/bin/busybox cat >/dev/null; echo ended > {done}")
    stream.close()
    stream.close()

    wait = f"until [ -e {done} ]; do /bin/busybox sleep 0.1; done; read word < {done}; echo $word"
    assert run_exec(box.endpoint, box.name, [*SH, wait], timeout=SECONDS).stdout == b"ended\n"


def test_a_child_process_carries_it_as_ssh_does(
    box: Box, docker_cli: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ("#!/bin/sh", f"exec {docker_cli} --host {box.engine.host} system dial-stdio")
    (tmp_path / "ssh").write_text("\n".join(lines))
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert shutil.which("ssh") == str(tmp_path / "ssh")
    content = random.Random(5).randbytes(5 << 20)

    endpoint = EngineEndpoint(host="ssh://somewhere")
    with closing(open_exec(endpoint, box.name, ["/bin/busybox", "cat"])) as stream:
        (received,) = exchange([stream], [content])

    assert digest(received) == digest(content)
