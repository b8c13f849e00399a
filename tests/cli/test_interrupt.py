"""Tests for interrupts, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

_PROGRAM = """
import os, sys, threading
from dockyard.cli.interrupt import Interruption

interruption = Interruption()
canceled = threading.Event()
interruption.cancellation.on_cancel(canceled.set)
interruption.install({})
def say(word): os.write(1, word.encode() + b"\\n")
say("ready")
try:
    if not canceled.wait(30):
        sys.exit(1)
    say("canceled")
    threading.Event().wait(30)
except KeyboardInterrupt:
    say("interrupted")
    threading.Event().wait(30)
"""


@pytest.fixture
def process() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True, bufsize=1
    )


def expect(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == f"{word}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_cancels_the_second_interrupts_the_third_kills(
    process: subprocess.Popen[str], number: signal.Signals
) -> None:
    expect(process, "ready")
    process.send_signal(number)
    expect(process, "canceled")
    process.send_signal(number)
    expect(process, "interrupted")
    process.send_signal(number)
    process.communicate(timeout=30)

    assert process.returncode == 130
