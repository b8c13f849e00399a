"""SETTINGS that change in the middle of things."""

from __future__ import annotations

import random

import h2.events
import h2.exceptions
from h2.settings import SettingCodes

from core.wire.peers import (
    REQUEST,
    Rig,
    message,
    parse,
)
from dockyard.wire import frames


def test_a_peer_may_change_its_windows_and_frame_size_in_the_middle() -> None:
    rig = Rig(client=True, settings={SettingCodes.INITIAL_WINDOW_SIZE: 10_000})
    call, _outcome = rig.open()
    data = random.Random(3).randbytes(60_000)
    call.send(data)
    call.half_close()
    rig.pump()
    assert len(rig.data()) == 10_000
    rig.peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})  # the window is negative now
    rig.pump()
    rig.peer.increment_flow_control_window(9_000, 1)
    rig.pump()
    assert len(rig.data()) == 10_000
    rig.peer.update_settings(
        {SettingCodes.INITIAL_WINDOW_SIZE: 65_000, SettingCodes.MAX_FRAME_SIZE: 30_000}
    )
    rig.pump()
    assert rig.data() == message(data)
    sizes = [len(payload) for kind, _f, _s, payload in parse(rig.sent) if kind == frames.DATA]
    assert max(sizes) == 30_000
    assert max(sizes[:1]) <= 16_384


def test_a_peer_may_change_the_size_of_its_header_table() -> None:
    rig = Rig(client=True)
    for size in (4096, 0, 100, 65_536, 0, 4096):
        rig.peer.update_settings({SettingCodes.HEADER_TABLE_SIZE: size})
        rig.pump()
        _call, _outcome = rig.open([*REQUEST, (b"x-size", b"%d" % size)])
        rig.pump()
    requests = rig.of(h2.events.RequestReceived)
    assert [dict(event.headers)[b"x-size"] for event in requests] == [
        b"4096",
        b"0",
        b"100",
        b"65536",
        b"0",
        b"4096",
    ]
