from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from core.buildkit.clock import Clock
from dockyard.buildkit.client import Client
from dockyard.buildkit.heartbeat import Heartbeat
from dockyard.buildkit.request import SolveRequest, new_id
from dockyard.buildkit.solve import Patience, solve
from dockyard.cancellation import Cancellation
from dockyard.driver import Connection
from dockyard.engine.stream import SocketStream
from dockyard.errors import ConnectionLostError
from support.scripted_buildkit import ScriptedBuildKit, Values


def test_a_quiet_build_goes_on_as_long_as_the_daemon_answers(
    daemon: ScriptedBuildKit, client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Semaphore(0)
    hear = Heartbeat.heard

    def heard(heartbeat: Heartbeat) -> None:
        hear(heartbeat)
        answered.release()

    def work(_request: Values, _gone: threading.Event) -> Values:
        for _ in range(5):  # together more than the daemon has for an answer
            clock.advance(0.03)
            assert answered.acquire(timeout=30)
        return {"ExporterResponse": {"a": "b"}}

    def nothing(_request: Values, _gone: threading.Event) -> Iterator[Values]:
        yield from ()

    monkeypatch.setattr(Heartbeat, "heard", heard)
    daemon.solve = work
    daemon.status = nothing
    patience = Patience(interval=0.02, answer=0.07)

    answer = solve(
        client, SolveRequest(ref=new_id()), lambda _: None, Cancellation(), patience=patience
    )

    assert answer == {"a": "b"}


def test_a_daemon_that_fell_silent_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    client = Client(Connection(stream=SocketStream(ours)))
    started = time.monotonic()

    with pytest.raises(ConnectionLostError, match="did not answer"):
        solve(
            client,
            SolveRequest(ref=new_id()),
            lambda _: None,
            Cancellation(),
            patience=Patience(interval=0.05, answer=0.1),
        )

    assert time.monotonic() - started < 20
    client.close()
    theirs.close()


def test_signs_of_life_put_the_question_off() -> None:
    ours, theirs = socket.socketpair()
    client = Client(Connection(stream=SocketStream(ours)))
    heartbeat = Heartbeat(client.loop, client.channel, interval=0.1, patience=0.1)
    heartbeat.start()
    for _ in range(5):
        client.loop.call_later(0.05 * _, heartbeat.heard)

    client.loop.run(lambda: client.channel.closed, timeout=0.25)
    assert not client.channel.closed

    assert client.loop.run(lambda: client.channel.closed, timeout=30)
    client.close()
    theirs.close()


def test_a_heartbeat_that_was_stopped_does_nothing_more() -> None:
    ours, theirs = socket.socketpair()
    client = Client(Connection(stream=SocketStream(ours)))
    heartbeat = Heartbeat(client.loop, client.channel, interval=0.01, patience=0.01)
    heartbeat.start()
    heartbeat.stop()

    assert not client.loop.run(lambda: client.channel.closed, timeout=0.1)
    client.close()
    theirs.close()
