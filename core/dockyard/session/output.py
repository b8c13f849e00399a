"""Results that end on this machine: the daemon sends archives and directory trees (wire.md 4.2).

Both come by the same method; which one a call carries depends on the exporter that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dockyard.errors import DockyardError, TransferError
from dockyard.session.service import refuse
from dockyard.session.sink import FileSink, Sink, StreamSink, check_directory, check_file
from dockyard.wire.codec import CodecError
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code, Handler, ServerCall
from dockyard.wire.loop import Loop
from dockyard.wire.tunnel import unwrap

_EXPORTER_ID = "buildkit-attachable-exporter-id"
_METADATA = "exporter-md-"
_ONE_TREE = "buildkit-exporter-multi-platform"

_MUCH = 4 << 20
"""Bytes that wait to be written, above which the daemon gets no more room."""


class FileTarget(NamedTuple):
    """One file: an archive. It appears under its name when it is whole; one there is replaced."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def check(self) -> None:
        check_file(self.path)


class StreamTarget(NamedTuple):
    """A binary stream that is open already, such as the standard output."""

    stream: BinaryIO
    closes: bool = False
    """Whether the stream is closed when everything was written. Closing may block: an engine
    that loads what it reads may answer only then, and an error that it raises ends the build."""

    def __str__(self) -> str:
        return "the loading engine" if self.closes else "the output stream"

    def check(self) -> None:
        """Nothing can be known before it is written to."""


class DirectoryTarget(NamedTuple):
    """A directory; what is in it stays, and is replaced where the result has the same names."""

    path: Path
    mirror: bool = False
    """Whether nothing else is left in it. That needs a daemon that sends the result as one tree."""

    def __str__(self) -> str:
        return str(self.path)

    def check(self) -> None:
        check_directory(self.path)


Done = Callable[[BaseException | None], None]
Target = FileTarget | StreamTarget | DirectoryTarget


class Outputs:
    """Takes results, by the number of their exporter in the request."""

    def __init__(self, targets: Mapping[int, Target]) -> None:
        """Take where each result goes.

        Raises:
            OutputError: A target cannot be written, as far as that can be seen.
        """
        self.failed: BaseException | None = None
        self.metadata: dict[int, dict[str, str]] = {}
        """What the daemon said of each result before it sent it."""
        self._targets = dict(targets)
        self._written: set[int] = set()
        self._whole: set[int] = set()
        for target in self._targets.values():
            target.check()

    @property
    def missing(self) -> list[Target]:
        """The targets whose result has not come, or not all of it."""
        return [target for number, target in self._targets.items() if number not in self._whole]

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        return {"/moby.filesync.v1.FileSend/DiffCopy": partial(self._receive, loop)}

    def _receive(self, loop: Loop, call: ServerCall) -> None:
        try:
            number, target = self._find(call)
        except CallError as error:
            refuse(call, error)
            return
        self.metadata.setdefault(number, {}).update(
            (name.removeprefix(_METADATA), value)
            for name, value in call.metadata
            if name.startswith(_METADATA)
        )
        done = partial(self._done, call, number)
        match target:
            case DirectoryTarget():
                from dockyard.fsutil.receive import Receiver

                # Several calls may carry parts of one tree at the same time (multi-platform).
                Receiver(call, target.path, mirror=target.mirror, on_done=done).start()
            case FileTarget():
                _Archive(loop, call, FileSink(target.path), done)
            case StreamTarget():
                sink = StreamSink(target.stream, closes=target.closes)
                _Archive(loop, call, sink, done)

    def _find(self, call: ServerCall) -> tuple[int, Target]:
        text = call.get(_EXPORTER_ID) or "0"
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise CallError(Code.INVALID_ARGUMENT, f"invalid exporter id {text!r}")
        number = int(text)
        target = self._targets.get(number)
        if target is None:
            raise CallError(Code.UNKNOWN, f"exporter {number} not found")
        if isinstance(target, DirectoryTarget):
            self._check_mirror(call, target)
        else:
            if number in self._written:
                raise CallError(Code.FAILED_PRECONDITION, f"exporter {number} was written already")
            self._written.add(number)
        return number, target

    def _check_mirror(self, call: ServerCall, target: DirectoryTarget) -> None:
        if target.mirror and call.get(_ONE_TREE) != "1":
            error = TransferError(
                "local exporter mode=delete requires a BuildKit daemon with multi-platform local "
                "export support",
                hint="BuildKit 0.31 and newer have it",
            )
            self.failed = self.failed or error
            raise CallError(Code.UNKNOWN, str(error))

    def _done(self, call: ServerCall, number: int, error: BaseException | None) -> None:
        if error is None:
            self._whole.add(number)
        # When the daemon gave up, it knows why, and we don't.
        if isinstance(error, DockyardError) and not call.closed:
            self.failed = self.failed or error


class _Archive:
    """One call that carries an archive, written by a thread so that the loop never waits.

    What arrives while the thread is busy is written together in its next turn.
    """

    def __init__(self, loop: Loop, call: ServerCall, sink: Sink, done: Done) -> None:
        self._loop = loop
        self._call = call
        self._sink = sink
        self._done = done
        self._pending = bytearray()
        self._busy = False
        self._ended = False
        self._over = False
        call.on_message = self._on_message
        call.on_half_close = self._on_half_close
        call.on_cancel = self._on_cancel

    def _on_message(self, message: memoryview) -> None:
        if self._over:
            return
        try:
            self._pending += unwrap(message)
        except CodecError as error:
            self._fail(TransferError(f"the daemon sent a malformed archive: {error}"))
            return
        if len(self._pending) > _MUCH:
            self._call.pause()
        self._go_on()

    def _on_half_close(self) -> None:
        self._ended = True
        self._go_on()

    def _on_cancel(self) -> None:
        if not self._over:
            self._over = True
            self._sink.abort()

    def _go_on(self) -> None:
        if self._busy or self._over:
            return
        if self._pending:
            data, self._pending = self._pending, bytearray()
            self._busy = True
            self._loop.in_thread(partial(self._sink.write, data), self._wrote)
            self._call.resume()
        elif self._ended:
            self._busy = True
            self._loop.in_thread(self._sink.commit, self._committed)

    def _wrote(self, _result: None, error: BaseException | None) -> None:
        self._busy = False
        if error is not None:
            self._fail(error)
        else:
            self._go_on()

    def _committed(self, _result: None, error: BaseException | None) -> None:
        if error is not None:
            self._fail(error)
        elif not self._over:
            self._over = True
            self._done(None)
            # No message goes back: for the daemon the status alone says that all was written.
            self._call.finish()

    def _fail(self, error: BaseException) -> None:
        if not self._over:
            self._over = True
            self._sink.abort()
            self._done(error)
            refuse(self._call, error)
