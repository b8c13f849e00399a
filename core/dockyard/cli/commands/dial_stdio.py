"""``dial-stdio``: join standard input and output to the connection to a builder's BuildKit."""

from __future__ import annotations

import errno
import os
import select
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from dockyard.cli.invocation import Invocation
from dockyard.cli.parser import Command, CommandParser, Options
from dockyard.errors import BuilderError, ConnectionLostError, InputError
from dockyard.platforms import Platform, parse_list

if TYPE_CHECKING:
    from dockyard.building.workbench import Workbench
    from dockyard.cancellation import Cancellation
    from dockyard.driver import ByteStream, Connection, Node, Progress

_PIECE = 64 << 10
_SURE_TO_FIT = 4096
"""Bytes that a pipe takes at once when it says that it takes any: POSIX asks for no less."""
_LAST_WORDS = 5.0
"""Seconds of silence from BuildKit that end all, once there is nothing more to send."""


def _flags(parser: CommandParser) -> None:
    parser.text("platform", help="Target platform: this is used for node selection")
    parser.text(
        "progress",
        default="none",
        help='Set type of progress output ("auto", "none", "plain", "rawjson", "tty")',
    )


def _run(invocation: Invocation, options: Options) -> int:
    from dockyard.building.run import open_builder, usable_nodes
    from dockyard.building.workbench import Workbench
    from dockyard.cli.watch import watch
    from dockyard.progress import MODES

    if options.progress not in MODES:
        raise InputError(
            f"invalid progress mode {options.progress}", hint=f"the modes are {', '.join(MODES)}"
        )
    environment = invocation.environment
    text = options.platform or environment.get("DOCKER_DEFAULT_PLATFORM")
    platforms = parse_list([text] if text else [])
    workbench = Workbench.of(environment, invocation.manager)
    sticky_key = str(environment.working_directory)
    builder = open_builder(workbench, invocation.builder, sticky_key=sticky_key)
    nodes = usable_nodes(builder)
    ends = (
        descriptor_of(invocation.stdin, "input"),
        descriptor_of(invocation.stdout, "output"),
    )

    def proxy(progress: Progress, cancel: Cancellation) -> None:
        with progress.step("Proxying to builder") as step:
            with step.status("Dialing builder"):
                connection = _dial(workbench, nodes, platforms, progress, cancel)
            try:
                _Joint(connection, *ends).run(cancel)
            finally:
                connection.close()

    watch(invocation, builder, proxy, mode=options.progress)
    return 0


def descriptor_of(stream: TextIO | None, what: str) -> int:
    """Give the descriptor of a standard stream.

    Raises:
        InputError: It has none: it was closed before the program started.
    """
    try:
        if stream is not None:
            return stream.fileno()
    except (OSError, ValueError):
        pass
    raise InputError(f"standard {what} is closed", hint="a gRPC client has to be on both ends")


def _dial(
    workbench: Workbench,
    nodes: list[Node],
    platforms: tuple[Platform, ...],
    progress: Progress,
    cancel: Cancellation,
) -> Connection:
    """Boot the node for the platform, or the first one, and open a connection to it."""
    from dockyard.builder.resolver import resolve, resolve_declared

    if not nodes:
        raise BuilderError("no nodes available")
    manager = workbench.manager
    shares = resolve_declared(platforms, [node.platforms for node in nodes])
    if shares is None:
        available = [
            (*node.platforms, *_worker_platforms(workbench, node, progress, cancel))
            if len(nodes) > 1
            else ()
            for node in nodes
        ]
        shares = resolve(platforms, available)
    node = nodes[shares[0].node]
    manager.bootstrap(node, progress, cancel)
    return manager.connect(node, cancel)


def _worker_platforms(
    workbench: Workbench, node: Node, progress: Progress, cancel: Cancellation
) -> list[Platform]:
    workbench.manager.bootstrap(node, progress, cancel)
    try:
        workers = workbench.links.get(node, cancel).client.workers()
    finally:
        workbench.links.close(node)
    return [platform for worker in workers for platform in worker.platforms]


class _Joint:
    """Copies bytes both ways until one side ends; one thread, one poll.

    The descriptors are others' as well, so they stay blocking: they are only read when there is
    something, and only written as much as is sure to fit.
    """

    def __init__(self, connection: Connection, source: int, sink: int) -> None:
        self._connection = connection
        self._stream: ByteStream = connection.stream
        self._source = source
        self._sink = _Sink(sink)
        self._upward = b""
        self._downward = memoryview(b"")
        self._buffer = bytearray(_PIECE)
        self._source_ended = False
        self._half_closed = False
        self._stream_ended = False
        self._sink_gone = False

    def run(self, cancel: Cancellation) -> None:
        """Copy until the end.

        Raises:
            ConnectionLostError: The connection broke.
            CanceledError: ``cancel`` was turned.
        """
        bell, ringer = os.pipe()
        forget = cancel.on_cancel(lambda: _ring(ringer))
        try:
            while not self._sink_gone and not (self._stream_ended and not self._downward):
                ready = self._wait(bell)
                cancel.check()
                if ready is None:
                    return
                self._turn(ready)
        finally:
            forget()
            os.close(bell)
            os.close(ringer)
            self._sink.close()

    def _wait(self, bell: int) -> dict[int, int] | None:
        """Wait until something can be done; None when BuildKit has nothing more to say."""
        if self._stream.pending() and not self._downward:
            return {self._stream.fileno(): select.POLLIN}
        poll = select.poll()
        poll.register(bell, select.POLLIN)
        # A sink that nobody reads from any more shows without being asked.
        poll.register(self._sink.fd, select.POLLOUT if self._downward else 0)
        if not self._source_ended and not self._upward:
            poll.register(self._source, select.POLLIN)
        wanted = 0 if self._downward or self._stream_ended else select.POLLIN
        wanted |= select.POLLOUT if self._upward else 0
        if wanted:
            poll.register(self._stream.fileno(), wanted)
        patience = _LAST_WORDS * 1000 if self._half_closed and not self._downward else None
        return dict(poll.poll(patience)) or None

    def _turn(self, ready: dict[int, int]) -> None:
        if self._sink.fd in ready:
            if self._downward:
                self._put()
            else:
                self._sink_gone = True
        if self._source in ready:
            self._take()
        if self._stream.fileno() in ready:
            self._exchange(ready[self._stream.fileno()])

    def _take(self) -> None:
        """Read from standard input."""
        with suppress(OSError):  # whoever wrote to it is gone
            self._upward = os.read(self._source, _PIECE)
        if self._upward:
            self._exchange(select.POLLOUT)
        else:
            self._source_ended = True
            self._half_close()

    def _half_close(self) -> None:
        if self._source_ended and not self._upward and not self._half_closed:
            self._half_closed = True
            self._stream.half_close()

    def _exchange(self, events: int) -> None:
        """Read from and write to the stream, as far as it goes."""
        try:
            if self._upward and events & ~select.POLLIN:
                self._send()
            if not self._downward and not self._stream_ended and events & ~select.POLLOUT:
                self._receive()
        except OSError as error:
            if error.errno == errno.EPIPE:
                # It takes nothing more, but what it said before is still to come.
                self._upward, self._source_ended = b"", True
                return
            words = self._connection.diagnostics() if self._connection.diagnostics else ""
            raise ConnectionLostError(
                f"lost the connection to BuildKit: {words or error.strerror or error}"
            ) from error

    def _send(self) -> None:
        with suppress(BlockingIOError):
            self._upward = self._upward[self._stream.sendmsg([self._upward]) :]
        self._half_close()

    def _receive(self) -> None:
        with suppress(BlockingIOError):
            count = self._stream.recv_into(self._buffer)
            self._stream_ended = not count
            self._downward = memoryview(self._buffer)[:count]

    def _put(self) -> None:
        """Write to standard output."""
        try:
            with suppress(BlockingIOError):
                self._downward = self._downward[self._sink.write(self._downward) :]
        except (BrokenPipeError, ConnectionResetError):
            self._sink_gone = True


class _Sink:
    """A descriptor of others that is written to without waiting, though it is blocking."""

    def __init__(self, fd: int) -> None:
        import socket

        self.fd = fd
        is_socket = stat.S_ISSOCK(os.fstat(fd).st_mode)
        self._socket = socket.socket(fileno=os.dup(fd)) if is_socket else None

    def write(self, data: memoryview) -> int:
        """Write some of the data, after a poll said that some can be."""
        if self._socket is None:
            return os.write(self.fd, data[:_SURE_TO_FIT])
        import socket

        return self._socket.send(data, socket.MSG_DONTWAIT)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


def _ring(ringer: int) -> None:
    with suppress(OSError):  # nobody waits any more
        os.write(ringer, b"\0")


COMMAND = Command(flags=_flags, run=_run)
