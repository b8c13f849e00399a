"""The ssh agents that a daemon may talk to: one behind a socket, or keys held by this process.

Of the agent protocol two requests are let through: which keys there are, and to sign with one.
Everything else, such as to add, remove or lock keys, is refused here.
"""

from __future__ import annotations

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dockyard.cancellation import Cancellation
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import AgentError
from dockyard.fsutil.name import reason
from dockyard.session.ssh_key import KeyFormatError, PrivateKey, text

if TYPE_CHECKING:
    import socket

MAX_MESSAGE = 256 << 10
"""Bytes of one request or answer; what OpenSSH's own agent takes."""
DIAL = 2.0
"""Seconds that an agent may take to let us in."""
ANSWER = 120.0
"""Seconds for one answer: a person may have to confirm it, or to touch a token."""

FAILURE = b"\x05"
_LIST = 11
_LIST_ANSWER = b"\x0c"
_SIGN = 13
_SIGN_ANSWER = b"\x0e"


class Conversation(Protocol):
    """One connection to an agent. Its methods are called from one thread at a time."""

    def answer(self, request: bytes, cancel: Cancellation) -> bytes:
        """Give the answer to one request, both without their length.

        Raises:
            AgentError: There is none.
            CanceledError: ``cancel`` was turned.
        """
        ...

    def close(self) -> None:
        """End it."""
        ...


class Agent(Protocol):
    """Something that holds keys."""

    def converse(self) -> Conversation:
        """Begin a conversation; contacts nobody yet."""
        ...


class Requests:
    """Cuts what a daemon sends into requests."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes | memoryview) -> None:
        self._data += data

    def next(self) -> bytes | None:
        """Give the next request without its length; None when it is not there yet.

        Raises:
            AgentError: It is empty or too long.
        """
        if len(self._data) < 4:
            return None
        try:
            size = _checked(self._data)
        except ValueError as error:
            raise AgentError(f"a step sends to its ssh agent {error}") from error
        if len(self._data) < 4 + size:
            return None
        request = bytes(self._data[4 : 4 + size])
        del self._data[: 4 + size]
        return request


class KeyAgent:
    """Keys that this process holds for as long as the build runs."""

    def __init__(self, keys: Sequence[PrivateKey]) -> None:
        self._keys = {key.blob: key for key in keys}

    def converse(self) -> Conversation:
        return self

    def answer(self, request: bytes, cancel: Cancellation) -> bytes:
        cancel.check()
        if request == bytes([_LIST]):
            entries = [text(blob) + text(b"") for blob in self._keys]
            return _LIST_ANSWER + len(entries).to_bytes(4, "big") + b"".join(entries)
        if request[0] == _SIGN:
            return self._sign(request[1:])
        return FAILURE

    def close(self) -> None:
        """Nothing is held open."""

    def _sign(self, body: bytes) -> bytes:
        try:
            blob, rest = _take(body)
            data, rest = _take(rest)
            signature = self._keys[blob].sign(data, int.from_bytes(rest[:4], "big"))
        except (KeyError, _ShortError, KeyFormatError):
            return FAILURE
        return _SIGN_ANSWER + text(signature)


class SocketAgent:
    """An agent of the user's, behind a socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def converse(self) -> Conversation:
        return _SocketConversation(self._path)


class _SocketConversation:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def answer(self, request: bytes, cancel: Cancellation) -> bytes:
        if request[0] not in {_LIST, _SIGN}:
            return FAILURE
        with self._explained():
            if self._socket is None:
                self._socket = _dial(self._path, cancel)
            with Wait(ANSWER, cancel) as wait:
                _send(self._socket, text(request), wait)
                size = _checked(_receive(self._socket, 4, wait))
                return _receive(self._socket, size, wait)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OutOfTimeError as error:
            raise AgentError(f"the ssh agent at {self._path} does not answer") from error
        except (OSError, ValueError) as error:
            why = reason(error)
            raise AgentError(f"the ssh agent at {self._path} cannot be used: {why}") from error


# --- the socket -----------------------------------------------------------------------------


def _dial(path: Path, cancel: Cancellation) -> socket.socket:
    """Connect; a queue that is full is waited for a little while."""
    import socket

    dialed = socket.socket(socket.AF_UNIX)
    try:
        dialed.setblocking(False)
        with Wait(DIAL, cancel) as wait:
            while True:
                try:
                    dialed.connect(str(path))
                except BlockingIOError:
                    wait.pause(0.05)
                else:
                    return dialed
    except BaseException:
        dialed.close()
        raise


def _send(sock: socket.socket, data: bytes, wait: Wait) -> None:
    view = memoryview(data)
    while view:
        wait.until_ready(sock.fileno(), select.POLLOUT)
        view = view[sock.send(view) :]


def _receive(sock: socket.socket, size: int, wait: Wait) -> bytes:
    data = b""
    while len(data) < size:
        wait.until_ready(sock.fileno(), select.POLLIN)
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("it hung up")
        data += piece
    return data


# --- the protocol ---------------------------------------------------------------------------


class _ShortError(Exception):
    """A request ends too early."""


def _take(data: bytes) -> tuple[bytes, bytes]:
    """Give the first text in some bytes, and what follows."""
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 + size:
        raise _ShortError
    return data[4 : 4 + size], data[4 + size :]


def _checked(data: bytes | bytearray) -> int:
    """Give the length that stands in front of a message."""
    size = int.from_bytes(data[:4], "big")
    if not 0 < size <= MAX_MESSAGE:
        # Without its number: a daemon could make endless many different errors.
        raise ValueError("a message that is empty or too long")
    return size
