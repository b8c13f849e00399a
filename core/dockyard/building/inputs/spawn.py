"""Run a small program and read what it prints.

The module ``subprocess`` would do as well; to import it takes longer than git needs to answer.
"""

from __future__ import annotations

import os
import select
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import NamedTuple

from dockyard.cancellation import Cancellation

_MOST = 1 << 20
"""Bytes of an output that are read; a program that has more to say is ended."""
_PIECE = 1 << 16
_LOOK_AGAIN = 100
"""Milliseconds after which it is looked whether the program is still wanted."""
_KILL = 9


class Ended(NamedTuple):
    """What a program left."""

    code: int
    """Its exit code; negative for the signal that ended it."""
    out: bytes
    errors: bytes


def find_program(name: str, variables: Mapping[str, str]) -> str:
    """Give the path of a program; empty when there is none of this name."""
    for folder in variables.get("PATH", os.defpath).split(os.pathsep):
        path = f"{folder}/{name}"
        if not path.startswith("/"):
            continue  # what lies in a build's directory is no program of the user's
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113  # a text will do
            return path
    return ""


def run_program(
    command: Sequence[str], variables: Mapping[str, str], stop: Cancellation, deadline: float
) -> Ended:
    """Run a program to its end; it has nothing to read, and no terminal.

    Where it is ended, all that it started ends with it.

    Args:
        command: The program's path, and its arguments.
        variables: Its environment.
        stop: Ends it when it is turned.
        deadline: Ends it when the clock (``time.monotonic``) has come so far.

    Raises:
        OSError: It cannot be started.
    """
    pipes = [os.pipe(), os.pipe()]
    try:
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        ]
        actions += [(os.POSIX_SPAWN_DUP2, pipe[1], number) for number, pipe in enumerate(pipes, 1)]
        process = os.posix_spawn(
            command[0], list(command), variables, file_actions=actions, setsid=True
        )
    except BaseException:
        for pipe in pipes:
            os.close(pipe[0])
        raise
    finally:
        for pipe in pipes:
            os.close(pipe[1])
    ended = False
    try:
        out, errors, ended = _read([pipe[0] for pipe in pipes], stop, deadline)
    finally:
        if not ended:
            os.killpg(process, _KILL)
        for pipe in pipes:
            os.close(pipe[0])
        code = _wait(process, stop, deadline)
    return Ended(code, out, errors)


def _wait(process: int, stop: Cancellation, deadline: float) -> int:
    """Wait for the end of a program that has nothing more to say, and see to it."""
    pause = 1
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if not found and (stop.canceled or monotonic() >= deadline):
            os.killpg(process, _KILL)
            found, status = os.waitpid(process, 0)
        if found:
            return os.waitstatus_to_exitcode(status)
        select.poll().poll(pause)
        pause = min(2 * pause, _LOOK_AGAIN)


def _read(
    descriptors: Sequence[int], stop: Cancellation, deadline: float
) -> tuple[bytes, bytes, bool]:
    """Read both outputs; the last value says whether it was to their end."""
    found = {descriptor: bytearray() for descriptor in descriptors}
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    waiting = set(descriptors)
    while waiting and not stop.canceled and monotonic() < deadline:
        for descriptor, _ in poll.poll(_LOOK_AGAIN):
            data = os.read(descriptor, _PIECE)
            found[descriptor] += data
            if not data:
                poll.unregister(descriptor)
                waiting.discard(descriptor)
        if any(len(data) > _MOST for data in found.values()):
            break
    out, errors = (bytes(data) for data in found.values())
    return out, errors, not waiting
