"""What may be done now and then, but not all the time."""

from __future__ import annotations

import pytest

from core.wire.peers import (
    RawServerRig,
    echo,
    goaway_of,
)
from dockyard.wire import frames
from dockyard.wire.allowance import Allowance
from dockyard.wire.errors import PeerError
from dockyard.wire.frames import ViolationError


@pytest.mark.parametrize(
    ("flood", "words"),
    [
        (frames.settings([]), "SETTINGS"),
        (frames.frame(0, 0, 1, b""), "DATA"),
        (frames.frame(0xAB, 0, 0, b""), "frames"),
        (frames.frame(0, 8, 1, b"\0"), "DATA"),
    ],
)
def test_frames_that_carry_nothing_are_a_flood(flood: bytes, words: str) -> None:
    rig = RawServerRig()
    rig.request()
    for _ in range(100):
        rig.feed(flood * 30)
        if rig.ours.closed:
            break
        rig.pull()
    goaway = goaway_of(rig.pull())
    assert goaway is not None
    assert goaway[0] == frames.ENHANCE_YOUR_CALM
    assert words in goaway[1]


def test_streams_that_are_opened_and_reset_at_once_are_a_flood() -> None:
    rig = RawServerRig(echo)
    for number in range(1, 9001, 2):
        rig.request(number)
        rig.feed(frames.reset(number, 8))
        rig.pull()
        if rig.ours.closed:
            break
    assert 1900 < len(rig.calls) < 2100
    assert isinstance(rig.ours.error, PeerError)
    assert "reset" in str(rig.ours.error)


def test_streams_may_be_reset_for_ever_at_a_moderate_rate() -> None:
    rig = RawServerRig(echo)
    for number in range(1, 9001, 2):
        rig.now += 0.003
        rig.request(number)
        rig.feed(frames.reset(number, 8))
        rig.pull()
    assert not rig.ours.closed


def test_an_allowance_is_refilled_up_to_its_burst_and_no_further() -> None:
    now = 0.0
    allowance = Allowance(3, 2.0, lambda: now)
    for wait, times in ((0.0, 3), (1.0, 2), (1000.0, 3)):
        now += wait
        for _ in range(times):
            allowance.spend("jokes")
        with pytest.raises(ViolationError, match="too many jokes"):
            allowance.spend("jokes")
        now += 0.5  # what was refused counts, too
