"""Whose turn it is to send, and how much, with h2 as the peer that grants windows."""

from __future__ import annotations

import h2.events
import h2.exceptions
from h2.settings import SettingCodes

from core.wire.peers import (
    Rig,
    echo,
    message,
    parse,
)
from dockyard.wire import frames
from dockyard.wire.call import frame
from dockyard.wire.outflow import TURN


def test_windows_of_one_byte_are_obeyed() -> None:
    rig = Rig(client=True, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1})
    call, _outcome = rig.open()
    call.send(b"0123456789" * 30)
    call.half_close()
    expected = message(b"0123456789" * 30)
    rounds = 0
    while len(rig.data()) < len(expected):
        rig.pump()
        received = len(rig.data())
        assert received == rounds + 1
        rounds += 1
        rig.peer.increment_flow_control_window(1, 1)
    rig.pump()
    assert rig.data() == expected
    assert len(rig.of(h2.events.StreamEnded)) == 1


def test_a_source_is_asked_for_five_bytes_even_in_a_window_of_one() -> None:
    rig = Rig(client=True, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1})
    budgets: list[int] = []
    parts = [frame(3), b"abc", None]

    def source(budget: int) -> list[bytes] | None:
        budgets.append(budget)
        part = parts[len(budgets) - 1]
        return None if part is None else [part]

    call, _outcome = rig.open()
    call.set_source(source)
    call.half_close()
    for _ in range(9):
        rig.pump()
        rig.peer.increment_flow_control_window(1, 1)
    rig.pump()
    assert rig.data() == message(b"abc")
    assert budgets == [5, 5, 5]
    assert len(rig.of(h2.events.StreamEnded)) == 1


def test_when_the_window_of_the_connection_runs_out_every_stream_goes_on_later() -> None:
    rig = Rig(client=True, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
    calls = [rig.open()[0] for _ in range(3)]
    for call in calls:
        call.send(b"x" * 50_000)
        call.half_close()
    rig.pump()
    assert sum(len(rig.data(number)) for number in (1, 3, 5)) == frames.DEFAULT_WINDOW
    for _ in range(3):
        rig.peer.increment_flow_control_window(30_000)
        rig.pump()
    assert [len(rig.data(number)) for number in (1, 3, 5)] == [50_005] * 3
    assert len(rig.of(h2.events.StreamEnded)) == 3


def test_a_call_without_data_passes_when_the_windows_are_shut() -> None:
    rig = Rig(client=True)
    long, _outcome = rig.open()
    long.send(b"x" * 100_000)
    short, _outcome = rig.open()
    short.half_close()
    rig.pump()
    assert [event.stream_id for event in rig.of(h2.events.StreamEnded)] == [3]


def test_streams_take_turns() -> None:
    rig = Rig(client=True, settings={SettingCodes.INITIAL_WINDOW_SIZE: 64 << 20})
    rig.peer.increment_flow_control_window(512 << 20)
    rig.pump()
    for _ in range(3):
        call, _outcome = rig.open()
        call.set_source(lambda _budget: [bytes(2 << 20)])
    health, _outcome = rig.open()
    health.send(b"healthy")
    sent = parse(b"".join(rig.ours.pull(8 * TURN)))
    amounts = {
        number: sum(len(p) for kind, _f, s, p in sent if kind == frames.DATA and s == number)
        for number in (1, 3, 5, 7)
    }
    assert amounts == {1: TURN, 3: TURN, 5: TURN, 7: 12}


def test_trailers_wait_for_all_data_in_tiny_windows() -> None:
    rig = Rig(client=False, serve=echo, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1})
    number = rig.request()
    rig.peer.send_data(number, message(b"0123456789"), end_stream=True)
    rig.pump()
    for received in range(1, 15):
        assert len(rig.data(number)) == received
        assert not rig.of(h2.events.TrailersReceived)
        rig.peer.increment_flow_control_window(1, number)
        rig.pump()
    assert rig.data(number) == message(b"0123456789")
    assert len(rig.of(h2.events.TrailersReceived)) == 1


def test_an_exception_of_a_source_loses_nothing_of_the_other_streams() -> None:
    reported: list[BaseException] = []

    def broken(_budget: int) -> list[bytes]:
        raise OSError("the file is gone")

    rig = Rig(client=True)
    rig.ours.on_exception = reported.append
    first, _outcome = rig.open()
    second, _outcome = rig.open()
    first.send(b"fine")
    second.set_source(broken)
    rig.pump()
    assert rig.data(1) == message(b"fine")
    assert [type(error) for error in reported] == [OSError]
    assert [event.stream_id for event in rig.of(h2.events.StreamReset)] == [3]
