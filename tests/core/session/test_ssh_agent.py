from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.cancellation import Cancellation
from dockyard.errors import AgentError, CanceledError
from dockyard.session.ssh_agent import FAILURE, MAX_MESSAGE, KeyAgent, Requests, SocketAgent
from dockyard.session.ssh_key import PrivateKey, text
from support.ssh_agent import SshAgentProcess

LIST = b"\x0b"
REMOVE_ALL = b"\x13"
KEY = PrivateKey(blob=b"blob", sign=lambda data, flags: data + bytes([flags]))


@pytest.fixture
def switch() -> Cancellation:
    return Cancellation()


def listener(path: Path, serve: Callable[[socket.socket], None]) -> socket.socket:
    """Answer one connection from a thread."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def run() -> None:
        try:
            peer, _ = listening.accept()
        except OSError:
            return
        with peer:
            serve(peer)

    threading.Thread(target=run, daemon=True).start()
    return listening


# --- requests -------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.integers(1, 9))
def test_requests_come_out_whole_however_they_come_in(wanted: list[bytes], step: int) -> None:
    data = b"".join(map(text, wanted))
    requests = Requests()
    found = []

    for start in range(0, len(data), step):
        requests.add(data[start : start + step])
        while (one := requests.next()) is not None:
            found.append(one)

    assert found == wanted


@pytest.mark.parametrize("size", [0, MAX_MESSAGE + 1, 0xFFFFFFFF])
def test_a_request_of_an_impossible_length_is_refused(size: int) -> None:
    requests = Requests()
    requests.add(size.to_bytes(4, "big"))

    with pytest.raises(AgentError, match="a message that is empty or too long"):
        requests.next()


# --- keys of our own ------------------------------------------------------------------------


def test_keys_are_listed(switch: Cancellation) -> None:
    answer = KeyAgent([KEY]).answer(LIST, switch)

    assert answer == b"\x0c" + b"\0\0\0\1" + text(b"blob") + text(b"")


def test_a_known_key_signs(switch: Cancellation) -> None:
    request = b"\x0d" + text(b"blob") + text(b"data") + b"\0\0\0\4"

    assert KeyAgent([KEY]).answer(request, switch) == b"\x0e" + text(b"data\x04")


@given(st.binary(min_size=1, max_size=60))
def test_everything_else_is_a_failure(request_: bytes) -> None:
    answer = KeyAgent([KEY]).answer(request_, Cancellation())

    assert answer == FAILURE or request_[:1] in {b"\x0b", b"\x0d"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        text(b"blob"),
        text(b"other") + text(b"data") + b"\0\0\0\0",
        b"\xff\xff\xff\xff" + b"blob",
        text(b"blob") + b"\0\0\0\x05data",
    ],
)
def test_a_request_to_sign_that_makes_no_sense_is_a_failure(
    body: bytes, switch: Cancellation
) -> None:
    assert KeyAgent([KEY]).answer(b"\x0d" + body, switch) == FAILURE


# --- an agent behind a socket ---------------------------------------------------------------


@pytest.fixture
def real_agent(tmp_path: Path) -> Iterator[SshAgentProcess]:
    with SshAgentProcess.running(tmp_path) as agent:
        yield agent


def test_a_real_agent_answers(real_agent: SshAgentProcess, switch: Cancellation) -> None:
    public = real_agent.add_key("one")

    talk = SocketAgent(real_agent.socket).converse()
    answer = talk.answer(LIST, switch)
    again = talk.answer(LIST, switch)
    talk.close()

    assert text(public) in answer
    assert again == answer


def test_keys_cannot_be_removed_from_a_real_agent(
    real_agent: SshAgentProcess, switch: Cancellation
) -> None:
    real_agent.add_key("one")

    talk = SocketAgent(real_agent.socket).converse()
    answers = [talk.answer(bytes([kind]), switch) for kind in range(256) if kind not in {11, 13}]
    talk.close()

    assert set(answers) == {FAILURE}
    assert "one" in real_agent.run("ssh-add", "-l").stdout


def test_nobody_behind_the_socket_is_an_error(tmp_path: Path, switch: Cancellation) -> None:
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    with pytest.raises(AgentError, match=r"sock cannot be used: connection refused$"):
        SocketAgent(path).converse().answer(LIST, switch)


def test_a_path_that_is_too_long_is_an_error(tmp_path: Path, switch: Cancellation) -> None:
    with pytest.raises(AgentError, match="cannot be used: AF_UNIX path too long"):
        SocketAgent(tmp_path / ("x" * 200)).converse().answer(LIST, switch)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "cannot be used: it hung up"),
        (b"\0\0", "cannot be used: it hung up"),
        (b"\0\0\0\x05abc", "cannot be used: it hung up"),
        (b"\0\0\0\0", "a message that is empty or too long"),
        (b"\xff\xff\xff\xff" + b"x" * 100, "a message that is empty or too long"),
    ],
)
def test_an_agent_that_answers_nonsense_is_an_error(
    tmp_path: Path, switch: Cancellation, answer: bytes, why: str
) -> None:
    def serve(peer: socket.socket) -> None:
        peer.recv(100)
        peer.sendall(answer)

    with listener(tmp_path / "sock", serve):
        talk = SocketAgent(tmp_path / "sock").converse()
        with pytest.raises(AgentError, match=why):
            talk.answer(LIST, switch)
        talk.close()


def test_a_silent_agent_is_left_when_canceled(tmp_path: Path, switch: Cancellation) -> None:
    def serve(peer: socket.socket) -> None:
        peer.recv(100)
        switch.cancel()
        peer.recv(100)  # until the other side hangs up

    with listener(tmp_path / "sock", serve):
        talk = SocketAgent(tmp_path / "sock").converse()
        with pytest.raises(CanceledError):
            talk.answer(LIST, switch)
        talk.close()


def test_a_silent_agent_is_given_up(
    tmp_path: Path, switch: Cancellation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockyard.session.ssh_agent.ANSWER", 0.05)

    def serve(peer: socket.socket) -> None:
        while peer.recv(100):
            pass

    with listener(tmp_path / "sock", serve):
        talk = SocketAgent(tmp_path / "sock").converse()
        with pytest.raises(AgentError, match="does not answer"):
            talk.answer(LIST, switch)
        talk.close()


@pytest.mark.timeout(180)  # making keys is much work
def test_openssh_is_content_with_the_keys_of_our_own_agent(tmp_path: Path) -> None:
    """ssh-add has each key sign, and checks the signature."""
    from dockyard.session.ssh_key import parse_key

    keys = []
    bits = {"ed25519": "256", "rsa": "2048", "ecdsa": "256"}
    for kind in bits:
        path = tmp_path / kind
        make = ["ssh-keygen", "-q", "-t", kind, "-b", bits[kind], "-N", "", "-f", str(path)]
        subprocess.run(make, check=True)
        keys.append(parse_key(path.read_bytes()))
    agent = KeyAgent(keys)

    def serve(peer: socket.socket) -> None:
        requests = Requests()
        while data := peer.recv(4096):
            requests.add(data)
            while (request := requests.next()) is not None:
                peer.sendall(text(agent.answer(request, Cancellation())))

    for kind in bits:
        path = tmp_path / f"sock-{kind}"
        with listener(path, serve):
            done = subprocess.run(
                ["ssh-add", "-T", tmp_path / f"{kind}.pub"],
                env={**os.environ, "SSH_AUTH_SOCK": str(path)},
                capture_output=True,
                timeout=60,
                check=False,
            )
        assert done.returncode == 0, done.stderr
