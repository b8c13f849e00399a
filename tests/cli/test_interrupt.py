"""Tests for interrupts, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

_PROGRAM = """
import os, sys, threading
from dockyard.cli.interrupt import Interruption

interruption = Interruption()
canceled = threading.Event()
interruption.cancellation.on_cancel(canceled.set)
interruption.install({})
def say(word): os.write(1, word.encode() + b"\\n")
def wait(event):
    # In pieces: a signal that comes just as a wait for a lock begins is heeded when that ends.
    for _ in range(1000):
        if event.wait(0.05):
            return
    sys.exit(1)
say("ready")
try:
    wait(canceled)
    say("canceled")
    wait(threading.Event())
except KeyboardInterrupt:
    say("interrupted")
    wait(threading.Event())
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True, bufsize=1
    ) as running:
        yield running
        running.kill()


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
    process.communicate(timeout=50)

    assert process.returncode == 130
