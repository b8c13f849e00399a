"""A command in a pod's container, joined to a WebSocket: one thread that carries both ways.

It reads from a side only while the other takes what came before, so that either side can hold
the other up; as in the real server, a client whose input nobody reads gets no answer to pings.
"""

from __future__ import annotations

import io
import json
import secrets
import select
import socket
import ssl
import time
from contextlib import suppress
from typing import Protocol

from support.kubernetes.fault import Faults
from support.kubernetes.resource import Json
from support.kubernetes.runtime import Command, Runtime
from support.kubernetes.status import Refusal
from support.kubernetes.websocket import V5, ClosedError, WebSocket

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_ENOUGH = 1 << 20
"""Bytes that may wait for the client before the command is held up."""
_PIECE = 256 << 10
_NOT_STARTED = b"OCI runtime exec failed"
_GOODBYE_SECONDS = 30.0
"""How long a client may take to take what is left."""


class Handler(Protocol):
    """The connection as the server has it, after the handshake."""

    connection: ssl.SSLSocket
    rfile: io.BufferedReader


class Session:
    """One exec stream."""

    def __init__(
        self, handler: Handler, runtime: Runtime, faults: Faults, protocol: str, wanted: list[str]
    ) -> None:
        early = handler.rfile.peek(1) if handler.connection.pending() else b""
        self.protocol = protocol
        self.carried = 0
        """Bytes of the command's input and output that went through."""
        self.half_closed = False
        """Whether the client said that there is no more input."""
        self.over = False
        self.status: Json = {}
        """What was told at its end."""
        self.socket = WebSocket(handler.connection, early)
        self._runtime = runtime
        self._faults = faults
        self._wanted = wanted
        self._header = b""
        self._kind = 0
        self._left = 0
        self._first = True
        self._words = b""
        """What the engine says when it cannot start the command."""
        self._input: list[memoryview] = []
        self._stdin_over = "stdin" not in wanted
        lowest = STDOUT if "stdout" in wanted else STDERR if "stderr" in wanted else ERROR
        self.socket.send(lowest, b"")  # by which the client sees that it has begun

    def refuse(self, refusal: Refusal) -> None:
        """Tell that it cannot be, and end."""
        with suppress(ClosedError):
            self._tell(refusal.status())
        self._goodbye()

    def run(self, container: str, command: list[str]) -> None:
        """Run a command until it or the client ends."""
        if self._faults.exec_silent:
            self._say_nothing()
            return
        started = self._runtime.command(container, command, stdin="stdin" in self._wanted)
        with started.stream as engine:
            engine.setblocking(False)
            try:
                self._unpack(memoryview(started.early))
                if self._carry(engine):
                    self._end(started, command)
            except ClosedError:
                pass
            finally:
                self.over = True

    def _say_nothing(self) -> None:
        with suppress(ClosedError):
            self.socket.deaf = True
            while True:
                self.socket.flush()
                select.select([self.socket.connection], [], [], 0.5)
                self.socket.receive()

    def _carry(self, engine: socket.socket) -> bool:
        """Carry both ways; True when the command has ended."""
        client = self.socket
        while not self._cut():
            quiet = self._faults.exec_pause_after
            if self._faults.exec_deaf or (quiet is not None and self.carried >= quiet):
                self._say_nothing()
                return False
            client.flush()
            self._feed(engine)
            readers = [engine] if client.waiting < _ENOUGH else []
            writers: list[socket.socket] = [engine] if self._input else []
            hold = bool(self._input)
            if not hold:
                readers.append(client.connection)
            if client.waiting:
                writers.append(client.connection)
            ready = [] if not hold and client.connection.pending() else [1.0]
            readable, _, _ = select.select(readers, writers, [], *(ready or [0]))
            if client.connection in readable or (not hold and client.connection.pending()):
                for message in client.receive():
                    self._take(message)
            if engine in readable and not self._read(engine):
                return True
        return False

    def _cut(self) -> bool:
        limit = self._faults.exec_cut_after
        if limit is None or self.carried < limit:
            return False
        self._flush(time.monotonic() + _GOODBYE_SECONDS)
        with suppress(OSError):
            socket.socket.shutdown(self.socket.connection, socket.SHUT_RDWR)
        return True

    def _flush(self, deadline: float) -> None:
        """Send what waits, if the client takes it in time."""
        client = self.socket
        while client.waiting and time.monotonic() < deadline:
            client.flush()
            if client.waiting:
                select.select([], [client.connection], [], 0.5)

    def _take(self, message: bytes) -> None:
        """Take what the client sent."""
        if not message:
            return
        channel, data = message[0], memoryview(message)[1:]
        if channel == CLOSE and self.protocol == V5:
            if bytes(data) == bytes([STDIN]):
                self.half_closed = self._stdin_over = True
                self._input.append(memoryview(b""))
        elif channel == STDIN and data and not self._stdin_over:
            self._input.append(data)

    def _feed(self, engine: socket.socket) -> None:
        """Give the command its input, as much as it takes."""
        while self._input:
            piece = self._input[0]
            try:
                if not piece:
                    engine.shutdown(socket.SHUT_WR)
                    sent = 0
                else:
                    sent = engine.send(piece)
            except BlockingIOError:
                return
            except OSError:
                self._input.clear()  # the command has ended: its output says the rest
                return
            self.carried += sent
            if sent == len(piece):
                del self._input[0]
            else:
                self._input[0] = piece[sent:]

    def _read(self, engine: socket.socket) -> bool:
        try:
            data = engine.recv(_PIECE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._unpack(memoryview(data))
        return bool(data)

    def _unpack(self, data: memoryview) -> None:
        """Send the payloads of the engine's frames on."""
        while data:
            if not self._left:
                missing = 8 - len(self._header)
                self._header += bytes(data[:missing])
                data = data[missing:]
                if len(self._header) < 8:
                    return
                self._kind = self._header[0]
                self._left = int.from_bytes(self._header[4:], "big")
                self._header = b""
                continue
            piece = data[: self._left]
            self._left -= len(piece)
            data = data[len(piece) :]
            self._pass_on(bytes(piece))

    def _pass_on(self, piece: bytes) -> None:
        if self._first and piece.startswith(_NOT_STARTED):
            self._words = piece
        self._first = False
        if self._words:
            return
        channel = STDERR if self._kind == STDERR else STDOUT
        if ("stderr" if channel == STDERR else "stdout") in self._wanted:
            limit = self._faults.exec_cut_after
            if limit is not None:
                piece = piece[: max(0, limit - self.carried)]
            self.carried += len(piece)
            self.socket.send(channel, piece)

    def _end(self, started: Command, command: list[str]) -> None:
        code = self._runtime.exit_code(started.identity)
        if self._words:
            words = self._words.decode(errors="replace").strip()
            self._tell(_failed(words, doubled=self.protocol == V5))
        elif code:
            self._tell(_exited(code, command, relayed=self.protocol == V5))
        else:
            self._tell({"metadata": {}, "status": "Success"})
        self._goodbye()

    def _tell(self, status: Json) -> None:
        self.status = status
        self.socket.send(ERROR, json.dumps(status, separators=(",", ":")).encode())

    def _goodbye(self) -> None:
        """Send what is left, and close in good order."""
        client, deadline = self.socket, time.monotonic() + _GOODBYE_SECONDS
        with suppress(ClosedError):
            client.close()
            self._flush(deadline)
            while time.monotonic() < deadline:  # the client closes too, or lets go
                client.receive()
                select.select([client.connection], [], [], 0.5)


def _exited(code: int, command: list[str], *, relayed: bool) -> Json:
    words = f"error executing command [{' '.join(command)}], exit code {code}"
    if relayed:
        words = f"command terminated with exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {words}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _failed(words: str, *, doubled: bool) -> Json:
    words = words.removesuffix(": unknown")
    message = (
        "Internal error occurred: error executing command in container: failed to exec in "
        f'container: failed to start exec "{secrets.token_hex(32)}": {words}'
    )
    cause = message.removeprefix("Internal error occurred: ")
    if doubled:
        cause, message = message, f"Internal error occurred: {message}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "InternalError",
        "details": {"causes": [{"message": cause}]},
        "code": 500,
    }
