from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

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
    daemon: ScriptedBuildKit, client: Client
) -> None:
    def work(_request: Values, gone: threading.Event) -> Values:
        gone.wait(0.5)
        return {"ExporterResponse": {"a": "b"}}

    def quiet(_request: Values, gone: threading.Event) -> Iterator[Values]:
        gone.wait(20)
        yield from ()

    daemon.solve = work
    daemon.status = quiet
    patience = Patience(interval=0.02, answer=0.3, idle=0.01)

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

    assert time.monotonic() - started < 5
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

    assert client.loop.run(lambda: client.channel.closed, timeout=5)
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
