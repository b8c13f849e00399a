from __future__ import annotations

import gc
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import grpc
import pytest

from core.session.daemon import BYTES, Daemon, assert_leaves_nothing, serving
from dockyard.cancellation import Cancellation
from dockyard.driver import SshAgent
from dockyard.errors import AgentError, InputError
from dockyard.quote import in_line
from dockyard.session.secrets import Secrets
from dockyard.session.ssh import SshAgents, open_agents
from dockyard.session.ssh_agent import Agent, KeyAgent, SocketAgent
from dockyard.session.ssh_key import PrivateKey, text
from dockyard.wire.grpc import ServerCall
from dockyard.wire.loop import Loop
from support.protos import protos
from support.ssh_agent import SshAgentProcess, make_key, public_half

CHECK = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD = "/moby.sshforward.v1.SSH/ForwardAgent"
GET_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
LIST = text(b"\x0b")
KEY = PrivateKey(blob=b"blob", sign=lambda data, flags: data + bytes([flags]))
LISTED = text(b"\x0c" + b"\0\0\0\1" + text(b"blob") + text(b""))


class Echo:
    """An agent that answers with what it is asked, or fails."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.closed = 0

    def converse(self) -> Echo:
        return self

    def answer(self, request: bytes, _cancel: Cancellation) -> bytes:
        if self.error is not None:
            raise self.error
        return request

    def close(self) -> None:
        self.closed += 1


class Silent(Echo):
    """An agent that answers the requests that are keys to list, and is silent after others."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()

    def answer(self, request: bytes, cancel: Cancellation) -> bytes:
        if request == LIST[4:]:
            return request
        stopped = threading.Event()
        cancel.on_cancel(stopped.set)
        self.asked.set()
        assert stopped.wait(30)
        cancel.check()
        return request


def check(running: Daemon, name: str) -> None:
    running.ask(
        CHECK,
        ("moby.sshforward.v1.CheckAgentRequest", {"ID": name}),
        "moby.sshforward.v1.CheckAgentResponse",
    )


def wire(data: bytes) -> bytes:
    return protos().encode(BYTES, {"data": data})


def forward(running: Daemon, *pieces: bytes, name: str | None = None) -> bytes:
    """Send bytes to an agent, as a step does, and give all that comes back."""
    metadata = [] if name is None else [("buildkit.ssh.id", name)]
    answers = running.stream(FORWARD, metadata, [wire(piece) for piece in pieces])
    return b"".join(protos().decode(BYTES, answer).get("data", b"") for answer in answers)


# --- serving --------------------------------------------------------------------------------


@pytest.mark.parametrize("tunnel", [False, True], ids=["stream", "call"])
def test_keys_are_listed_for_the_default_id(tunnel: bool) -> None:
    with serving(SshAgents({"default": KeyAgent([KEY])}), tunnel=tunnel) as (running, _):
        check(running, "")
        check(running, "default")

        assert forward(running, LIST) == LISTED
        assert forward(running, LIST, name="") == LISTED
        assert forward(running, LIST, name="default") == LISTED


def test_an_unknown_id_is_refused() -> None:
    with serving(SshAgents({"mine": KeyAgent([])})) as (running, _):
        check(running, "mine")
        with pytest.raises(grpc.RpcError, match="unset ssh forward key default"):
            check(running, "")
        with pytest.raises(grpc.RpcError, match="unset ssh forward key other"):
            forward(running, LIST, name="other")


def test_requests_are_answered_in_their_order_however_they_are_cut() -> None:
    requests = [bytes([number]) * (number * 997 + 1) for number in range(40)]
    data = b"".join(map(text, requests))
    pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]

    with serving(SshAgents({"default": Echo()})) as (running, _):
        assert forward(running, *pieces) == data


def test_more_than_a_window_is_answered_while_the_daemon_reads() -> None:
    data = text(b"x" * (200 << 10)) * 12
    pieces = [data[start : start + 32768] for start in range(0, len(data), 32768)]

    with serving(SshAgents({"default": Echo()})) as (running, _):
        assert forward(running, *pieces) == data


def test_several_connections_are_served_at_a_time() -> None:
    with serving(SshAgents({"default": KeyAgent([KEY])})) as (running, _):

        def work() -> list[list[bytes]]:
            queues: list[queue.Queue[bytes | None]] = [queue.Queue() for _ in range(20)]
            calls = [running.start(FORWARD, [], iter(one.get, None)) for one in queues]
            for one in queues:
                one.put(wire(LIST))
            firsts = [next(call) for call in calls]  # all of them are open now
            for one in queues:
                one.put(wire(LIST))
                one.put(None)
            return [[first, *call] for first, call in zip(firsts, calls, strict=True)]

        answers = running.run(work)

    assert answers == [[wire(LISTED), wire(LISTED)]] * 20


def test_a_request_that_makes_no_sense_ends_the_connection_and_nothing_else() -> None:
    with serving(SshAgents({"default": KeyAgent([KEY])})) as (running, _):
        assert forward(running, LIST, b"\xff\xff\xff\xff", LIST) == LISTED
        assert forward(running, b"\0\0\0\0") == b""
        assert forward(running, LIST) == LISTED


def test_half_a_request_is_no_request() -> None:
    with serving(SshAgents({"default": Echo()})) as (running, _):
        assert forward(running, b"\0\0\0\x05ab") == b""
        assert forward(running) == b""


def test_an_agent_that_cannot_be_reached_hangs_up_and_is_told_once() -> None:
    warnings: list[str] = []
    agent = Echo(AgentError("the ssh agent at /x cannot be used: connection refused"))
    agents = SshAgents({"default": agent}, warn=warnings.append)

    with serving(agents) as (running, session):
        assert forward(running, LIST) == b""
        assert forward(running, LIST) == b""

    assert warnings == ["the ssh agent at /x cannot be used: connection refused"]
    assert agent.closed == 2
    assert session.failed is None


def test_requests_that_make_no_sense_are_told_once() -> None:
    warnings: list[str] = []

    with serving(SshAgents({"default": KeyAgent([KEY])}, warn=warnings.append)) as (running, _):
        for size in (0, 1 << 20, 1 << 21, 1 << 22):
            assert forward(running, size.to_bytes(4, "big")) == b""

    assert warnings == ["a step sends to its ssh agent a message that is empty or too long"]


def test_a_session_that_ends_hangs_up_at_its_agent_although_nobody_serves_it_any_more(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        listening.settimeout(30)
        agents = SshAgents({"default": SocketAgent(tmp_path / "s")})
        with serving(agents) as (running, session):
            pieces: queue.Queue[bytes | None] = queue.Queue()

            def work() -> tuple[socket.socket, object]:
                call = running.start(FORWARD, [], iter(pieces.get, None))
                pieces.put(wire(LIST))
                asked, _ = listening.accept()
                asked.settimeout(30)
                assert asked.recv(5) == LIST
                return asked, call

            asked, _call = running.run(work)
            gc.disable()  # it would hide what is left open
            try:
                session.close()
                ended = asked.recv(1)
            finally:
                gc.enable()
                asked.close()
                pieces.put(None)

    assert ended == b""


def test_a_step_that_goes_away_ends_the_conversation() -> None:
    agent = Silent()
    with serving(SshAgents({"default": agent})) as (running, _):

        def work() -> None:
            pieces: queue.Queue[bytes | None] = queue.Queue()
            call = running.start(FORWARD, [], iter(pieces.get, None))
            pieces.put(wire(text(b"silence")))
            assert agent.asked.wait(30)
            call.cancel()
            pieces.put(None)

        running.run(work)
        assert running.client.loop.run(lambda: agent.closed > 0, 30)


def test_connections_are_limited_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dockyard.session.ssh._CALLS", 2)
    with serving(SshAgents({"default": KeyAgent([KEY])})) as (running, _):

        def work() -> None:
            queues: list[queue.Queue[bytes | None]] = [queue.Queue() for _ in range(2)]
            calls = [running.start(FORWARD, [], iter(one.get, None)) for one in queues]
            for one, call in zip(queues, calls, strict=True):
                one.put(wire(LIST))
                next(call)
            with pytest.raises(grpc.RpcError, match="more than 2 connections"):
                list(running.start(FORWARD, [], iter([wire(LIST)])))
            for one in queues:
                one.put(None)
            assert [list(call) for call in calls] == [[], []]

        running.run(work)
        assert forward(running, LIST) == LISTED


def test_agents_that_keep_silent_do_not_keep_other_services_waiting() -> None:
    agent = Silent()
    with serving(SshAgents({"silent": agent}), Secrets({"x": b"y"})) as (running, _):

        def work() -> list[bytes]:
            ends: list[queue.Queue[bytes | None]] = [queue.Queue() for _ in range(30)]
            metadata = [("buildkit.ssh.id", "silent")]
            calls = [running.start(FORWARD, metadata, iter(one.get, None)) for one in ends]
            for one in ends:
                one.put(wire(LIST))
            for one, call in zip(ends, calls, strict=True):
                next(call)  # it has come in
                one.put(wire(text(b"silence")))
            assert agent.asked.wait(30)
            get = running.channel.unary_unary(GET_SECRET, bytes, bytes)
            secrets = [get(b"\x0a\x01x", timeout=30) for _ in range(10)]
            for one, call in zip(ends, calls, strict=True):
                call.cancel()
                one.put(None)
            return secrets

        assert running.run(work, 60) == [b"\x0a\x01y"] * 10


class Flow:
    """A call that only counts whether the daemon may send."""

    def __init__(self) -> None:
        self.metadata = ()
        self.paused = 0
        self.resumed = 0
        self.on_message: Callable[[memoryview], None] | None = None
        self.source: Callable[[int], object] | None = None

    def get(self, _key: str) -> None:
        return None

    def set_source(self, source: Callable[[int], object]) -> None:
        self.source = source

    def wake(self) -> None:
        assert self.source is not None
        self.source(1 << 20)  # the daemon takes what there is

    def pause(self) -> None:
        self.paused += 1

    def resume(self) -> None:
        self.resumed += 1


def test_a_daemon_that_asks_faster_than_it_is_answered_is_held_back() -> None:
    loop = Loop()
    call = Flow()
    forward_handler = SshAgents({"default": Echo()}).handlers(loop)[FORWARD]
    forward_handler(cast("ServerCall", call))
    assert call.on_message is not None
    request = text(b"x" * (200 << 10))

    for _ in range(3):  # one is being answered
        call.on_message(memoryview(wire(request)))
    few = call.paused
    call.on_message(memoryview(wire(request)))
    many = call.paused
    everything = loop.run(lambda: call.resumed > 0, 30)
    loop.close()

    assert (few, many, everything) == (0, 1, True)


def test_nothing_is_left_behind() -> None:
    def work() -> None:
        with serving(SshAgents({"default": KeyAgent([KEY])})) as (running, _):
            forward(running, LIST)

    assert_leaves_nothing(work)


@pytest.fixture
def real_agent(tmp_path: Path) -> Iterator[SshAgentProcess]:
    with SshAgentProcess.running(tmp_path) as agent:
        yield agent


def test_a_real_agent_is_served_through_its_socket(real_agent: SshAgentProcess) -> None:
    public = real_agent.add_key("one")
    agents = open_agents([SshAgent(socket=str(real_agent.socket))], Path("/"))

    with serving(SshAgents(agents)) as (running, _):
        answer = forward(running, LIST, text(b"\x13"), LIST)

    assert answer.count(text(public)) == 2
    assert text(b"\x05") in answer


# --- getting ready --------------------------------------------------------------------------


def opened(tmp_path: Path, *agents: SshAgent) -> dict[str, Agent]:
    return open_agents(agents, tmp_path)


def refusal(tmp_path: Path, *agents: SshAgent) -> str:
    with pytest.raises(InputError) as caught:
        opened(tmp_path, *agents)
    return str(caught.value)


def test_keys_are_read_from_their_files(tmp_path: Path) -> None:
    paths = [make_key(tmp_path, "one"), make_key(tmp_path, "two", "ecdsa")]

    agent = opened(tmp_path, SshAgent(id="x", keys=("key-one", str(paths[1]))))["x"]
    answer = agent.converse().answer(b"\x0b", Cancellation())

    assert all(text(public_half(path)) in answer for path in paths)


def test_a_sockets_path_among_the_keys_is_an_agent(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))

    assert isinstance(opened(tmp_path, SshAgent(keys=("s",)))["default"], SocketAgent)


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    make_key(tmp_path, "good")
    (tmp_path / "junk").write_text("junk")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))

    def why(*keys: str) -> str:
        words = refusal(tmp_path, SshAgent(id="a", keys=keys))
        shown = in_line(" ".join(keys))
        head = f"failed to convert agent config {{a [{shown}] false}}: "
        inner = 'failed to convert agent config for ID: "a": '
        assert words.startswith(head + inner)
        return words.removeprefix(head + inner)

    assert why("nosuch") == "stat nosuch: no such file or directory"
    assert why("junk") == "failed to parse junk: ssh: no key found"
    assert why(".") == "failed to read .: read .: is a directory"
    assert why("key-good", "junk") == "failed to parse junk: ssh: no key found"
    assert why("s", "key-good") == "only single socket allowed"
    assert why("s", "s") == "only single socket allowed"
    assert why("key-good", "s") == "invalid combination of keys and sockets"
    assert why("a\0b").startswith(r"stat a\x00b: ")


def test_a_fifo_does_not_keep_anybody_waiting(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "fifo")

    assert "no key found" in refusal(tmp_path, SshAgent(keys=("fifo",)))


def test_no_agent_at_all_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path, SshAgent()) == (
        "failed to convert agent config {default [] false}: "
        "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set"
    )


def test_an_id_can_be_given_only_once(tmp_path: Path) -> None:
    make_key(tmp_path, "one")
    twice = SshAgent(id="x", keys=("key-one",))

    assert refusal(tmp_path, twice, twice) == 'duplicate agent ID "x"'
