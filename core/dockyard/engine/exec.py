"""Run commands in an engine's containers, and talk to them over byte streams.

The engine sends the command's output in frames: a byte for what it is, three zero bytes, the
length (4 bytes, big-endian), and the payload. What the command reads is sent as it is.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.engine.http import request, upgrade
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import DockyardError, EngineError, EngineUnreachableError

if TYPE_CHECKING:
    from dockyard.engine.endpoint import EngineEndpoint
    from dockyard.engine.stream import Buffer, SocketStream

TIMEOUT = 20.0
"""Seconds that the engine may take to start a command."""

_HEADER = 8
_STDOUT = 0x01000000
_STDERR = 0x02000000
_ENGINE = 0x03000000
"""First half of a frame's header: an error of the engine itself."""

_KEPT_ERRORS = 8 << 10
_KEPT_OUTPUT = 64 << 10
_KEPT_BEGINNING = 1 << 10
_PIECE = 64 << 10
_LAST_LINES = 5
_LAST_WORDS_SECONDS = 1.0
_LONGEST_LINE = 1000
NOT_STARTED = (126, 127)
"""Exit codes that the engine makes up for a command that it cannot start."""

_JSON = (("Content-Type", "application/json"),)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class ExecResult(NamedTuple):
    """How a command ended, and the end of what it wrote."""

    code: int
    """126 or 127 when it could not be started: then ``stdout`` says why, in the engine's words."""
    stdout: bytes
    stderr: bytes


class ExecStream:
    """The standard input and output of a command in a container.

    A :class:`dockyard.driver.ByteStream`. Standard error is kept for :meth:`last_words`.
    """

    def __init__(
        self, endpoint: EngineEndpoint, identity: str, stream: SocketStream, kept: int
    ) -> None:
        self._endpoint = endpoint
        self._identity = identity
        self._stream = stream
        self._kept = kept
        self._header = b""
        """The beginning of a header whose rest has not come yet."""
        self._kind = 0
        self._left = 0
        """Bytes of the current frame's payload that have not come yet."""
        self._beginning = b""
        self._errors = bytearray()
        self._fault = ""

    @property
    def errors(self) -> bytes:
        """The end of what the command wrote to standard error so far."""
        return bytes(self._errors)

    def fileno(self) -> int:
        return self._stream.fileno()

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Read standard output into the buffer, as a socket would.

        Frames are received into the buffer too, and the payloads are then moved together in it.

        Raises:
            OSError: The connection broke, or what came is no frame.
        """
        if self._fault:
            raise OSError(self._fault)
        view = memoryview(buffer)
        while True:
            count = self._stream.recv_into(view)
            if not count:
                return 0
            size = self._unpack(view, count)
            if size:
                self._beginning = self._beginning or bytes(view[: min(size, _KEPT_BEGINNING)])
                return size
            # Only headers or standard error. The descriptor tells when there is more, except of
            # what was read from it already.
            if not self._stream.pending():
                raise BlockingIOError

    def sendmsg(self, buffers: Sequence[Buffer], /) -> int:
        return self._stream.sendmsg(buffers)

    def pending(self) -> int:
        return self._stream.pending()

    def half_close(self) -> None:
        """End the command's standard input, where the connection can (TLS cannot)."""
        self._stream.half_close()

    def close(self) -> None:
        self._stream.close()

    def last_words(self) -> str:
        """Say how the command ended, and what it wrote to standard error at last.

        Asks the engine, for a moment, and never raises.
        """
        code = None
        with contextlib.suppress(DockyardError, OutOfTimeError):
            code = self._await_end(Wait(_LAST_WORDS_SECONDS), None)
        parts = [self._stream.last_words(), *shown_lines(bytes(self._errors))[-_LAST_LINES:]]
        if code in NOT_STARTED:
            parts += shown_lines(self._beginning)[:1]
        if code is not None:
            parts.append(f"exit code {code}")
        return "; ".join(filter(None, parts))

    def collect(
        self, command: Sequence[str], wait: Wait, cancel: Cancellation | None
    ) -> ExecResult:
        """Read everything until the command ends.

        Raises:
            EngineUnreachableError: The engine is gone.
            EngineError: It does not end in time, or the connection breaks.
            CanceledError: ``cancel`` was turned.
        """
        name = " ".join(command)
        try:
            output = self._read_all(wait)
            code = self._await_end(wait, cancel)
        except (OutOfTimeError, EngineUnreachableError) as error:
            if wait.left:
                raise
            raise EngineError(f"{name!r} did not end within {wait.seconds:g} s") from error
        except OSError as error:
            raise EngineError(f"the connection to {name!r} broke: {error}") from error
        return ExecResult(code=code, stdout=output, stderr=self.errors)

    def _unpack(self, view: memoryview, count: int) -> int:
        """Move the standard output in what was received to the front, and give its size."""
        at = size = 0
        while at < count:
            if not self._left:
                at += self._take_header(view[at : min(count, at + _HEADER)])
                continue
            end = min(count, at + self._left)
            self._left -= end - at
            if self._kind != _STDOUT:
                self._errors += view[at:end]
                del self._errors[: -self._kept]
            else:
                if size != at:
                    view[size : size + end - at] = view[at:end]
                size += end - at
            at = end
        return size

    def _take_header(self, data: memoryview) -> int:
        """Take what is there of a frame's header, and give how much that is."""
        taken = _HEADER - len(self._header)
        header = self._header + data[:taken]
        if len(header) < _HEADER:
            self._header = header
            return len(data)
        self._header = b""
        self._kind = int.from_bytes(header[:4], "big")
        self._left = int.from_bytes(header[4:], "big")
        if self._kind not in (_STDOUT, _STDERR, _ENGINE):
            self._fault = f"the docker engine sent {header!r} instead of a frame"
            raise OSError(self._fault)
        return taken

    def _read_all(self, wait: Wait) -> bytes:
        import select

        output = bytearray()
        piece = bytearray(_PIECE)
        while True:
            if not self._stream.pending():
                wait.until_ready(self._stream.fileno(), select.POLLIN)
            try:
                count = self.recv_into(piece)
            except BlockingIOError:
                continue
            if not count:
                return bytes(output)
            output += memoryview(piece)[:count]
            del output[:-_KEPT_OUTPUT]

    def _await_end(self, wait: Wait, cancel: Cancellation | None) -> int:
        """Give the command's exit code, once it ended: a moment after its output did.

        Raises:
            EngineError: The engine does not tell.
            OutOfTimeError: It does not end in time.
        """
        pause = 0.005
        while True:
            path = f"/exec/{self._identity}/json"
            state = request(self._endpoint, "GET", path, timeout=wait.left, cancel=cancel).json()
            code = state.get("ExitCode") if isinstance(state, dict) else None
            if isinstance(code, int) and not state.get("Running"):
                return code
            wait.pause(pause)
            pause *= 2


def open_exec(
    endpoint: EngineEndpoint,
    container: str,
    command: Sequence[str],
    *,
    timeout: float = TIMEOUT,
    cancel: Cancellation | None = None,
) -> ExecStream:
    """Start a command in a running container, and give the stream to and from it.

    That the command cannot be started is only known from the stream: it ends, and
    :meth:`ExecStream.last_words` says why.

    Raises:
        EngineUnreachableError: No engine answers.
        EngineError: The engine refuses: there is no such container (``status`` 404), or it does
            not run (409).
        CanceledError: ``cancel`` was turned.
    """
    return _start(endpoint, container, command, Wait(timeout), cancel)


def run_exec(
    endpoint: EngineEndpoint,
    container: str,
    command: Sequence[str],
    *,
    timeout: float = TIMEOUT,
    cancel: Cancellation | None = None,
) -> ExecResult:
    """Run a command without input in a running container, and give what came of it.

    Args:
        endpoint: The engine.
        container: Name or id.
        command: The program, looked up in the container's ``PATH``, and its arguments.
        timeout: Seconds that all of it may take. What takes longer is left alone, not ended.
        cancel: Ends the waiting earlier.

    Raises:
        EngineUnreachableError: No engine answers.
        EngineError: The engine refuses, as for :func:`open_exec`, or the time is over.
        CanceledError: ``cancel`` was turned.
    """
    with Wait(timeout, cancel) as wait:
        stream = _start(endpoint, container, command, wait, cancel, talking=False)
        with contextlib.closing(stream):
            return stream.collect(command, wait, cancel)


def shown_lines(output: bytes) -> list[str]:
    """Give the lines that have something in them, fit for a terminal."""
    lines = (" ".join(line.split()) for line in output.decode(errors="replace").splitlines())
    short = (line[:_LONGEST_LINE] for line in lines if line)
    return ["".join(c if c.isprintable() else "?" for c in line) for line in short]


def _start(
    endpoint: EngineEndpoint,
    container: str,
    command: Sequence[str],
    wait: Wait,
    cancel: Cancellation | None,
    *,
    talking: bool = True,
) -> ExecStream:
    """Start the command; ``talking`` says whether it gets a standard input."""
    import json

    if not _NAME.fullmatch(container):  # no container can have it; and it would change the path
        raise EngineError(f"No such container: {container}", status=404)
    settings = {
        "AttachStdin": talking,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "Cmd": list(command),
    }
    made = request(
        endpoint,
        "POST",
        f"/containers/{container}/exec",
        headers=_JSON,
        body=json.dumps(settings).encode(),
        timeout=wait.left,
        cancel=cancel,
    ).json()
    identity = made.get("Id") if isinstance(made, dict) else None
    if not isinstance(identity, str) or not _NAME.fullmatch(identity):
        raise EngineError(f"the docker engine gives no id for a command in {container}")
    stream = upgrade(
        endpoint,
        f"/exec/{identity}/start",
        protocol="tcp",
        headers=_JSON,
        body=b'{"Detach":false,"Tty":false}',
        timeout=wait.left,
        cancel=cancel,
    )
    kept = _KEPT_ERRORS if talking else _KEPT_OUTPUT
    return ExecStream(endpoint, identity, stream, kept)
