"""Run ``dockyard`` by a process that has it loaded already: see :mod:`support.command_server`."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple, NoReturn

PROGRAM = Path(__file__).with_name("command_server.py")
BIN = Path(sys.executable).parent
PROGRAMS = frozenset({"dockyard", "docker-buildx"})
FIXED = {"PYTHONWARNINGS": "error"}
"""The variables that Python reads at its start: commands have these, or are started anew."""
CHUNK = 1 << 16
LARGEST = 100_000
"""What goes into one packet of a socket, whatever its buffers."""


class Done(NamedTuple):
    """What a command left."""

    code: int
    out: bytes
    errors: bytes


class CommandServer:
    """The process, and how it is asked."""

    def __init__(self) -> None:
        self._asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with asked:
            self._process = subprocess.Popen(
                [sys.executable, PROGRAM, str(asked.fileno()), BIN],
                env={"PATH": os.environ["PATH"], **FIXED},
                stdin=subprocess.DEVNULL,
                pass_fds=[asked.fileno()],
            )

    def close(self) -> None:
        self._asking.close()
        self._process.wait(60)

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        stdin: bytes,
        seconds: float,
    ) -> Done:
        """Run a command to its end.

        Raises:
            subprocess.TimeoutExpired: It did not end in time, and was killed.
        """
        request = json.dumps({"argv": list(argv), "env": dict(env), "cwd": str(cwd)}).encode()
        if len(request) > LARGEST:
            return anew(argv, env, cwd, stdin, seconds)
        pipes = [os.pipe() for _ in range(3)]
        (their_in, our_in), (our_out, their_out), (our_err, their_err) = pipes
        ours = _Streams(our_in, our_out, our_err, stdin)
        with closing(ours), self._ask(request, [their_in, their_out, their_err]) as answers:
            command = int(answers.recv(CHUNK) or self._dead())
            try:
                out, errors = ours.exchange(time.monotonic() + seconds)
                answers.settimeout(seconds)
                return Done(int(answers.recv(CHUNK)), out, errors)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.kill(command, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(argv), seconds) from None

    def _ask(self, request: bytes, streams: list[int]) -> socket.socket:
        """Hand over a request and a command's streams; give where the answers come."""
        answers, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with answering:
            try:
                with self._lock:
                    socket.send_fds(self._asking, [request], [*streams, answering.fileno()])
            finally:
                for stream in streams:
                    os.close(stream)
        return answers

    def _dead(self) -> NoReturn:
        raise RuntimeError(f"{PROGRAM.name} has ended; its last words are above")


class _Streams:
    """Our ends of a command's standard streams."""

    def __init__(self, to: int, out: int, errors: int, data: bytes) -> None:
        self._left = memoryview(data)
        self._found: dict[int, list[bytes]] = {out: [], errors: []}
        self._to = to
        self._selector = selectors.DefaultSelector()
        os.set_blocking(to, False)
        self._selector.register(to, selectors.EVENT_WRITE)
        for file in self._found:
            self._selector.register(file, selectors.EVENT_READ)

    def exchange(self, deadline: float) -> tuple[bytes, bytes]:
        """Write all, and read until both ends are closed."""
        while self._selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _ in self._selector.select(left):
                self._step(key.fd)
        out, errors = (b"".join(parts) for parts in self._found.values())
        return out, errors

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            self._finish(key.fd)
        self._selector.close()

    def _step(self, file: int) -> None:
        if file != self._to:
            data = os.read(file, CHUNK)
            self._found[file].append(data)
            if not data:
                self._finish(file)
            return
        try:
            self._left = self._left[os.write(file, self._left[:CHUNK]) :]
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left:
            self._finish(file)

    def _finish(self, file: int) -> None:
        self._selector.unregister(file)
        os.close(file)


@cache
def server() -> CommandServer:
    """Give this process's server, started when it is first asked for."""
    return CommandServer()


def anew(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: bytes, seconds: float
) -> Done:
    """Do what :meth:`CommandServer.run` does, by a process that loads everything itself."""
    done = subprocess.run(
        argv, env=env, cwd=cwd, input=stdin, capture_output=True, timeout=seconds, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def can_run(program: str, env: Mapping[str, str]) -> bool:
    """Tell whether a command would be the same if it were started anew."""
    read = {name: text for name, text in env.items() if _is_read_at_start(name)}
    return program in PROGRAMS and read == FIXED


def _is_read_at_start(name: str) -> bool:
    if name == "PYTHONPATH":  # nothing that is loaded is found there
        return False
    return name.startswith(("PYTHON", "LC_")) or name in ("LANG", "LANGUAGE")
