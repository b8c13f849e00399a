"""The daemon's end of a file transfer, over a real connection, with every liberty to misbehave."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dockyard.engine.stream import SocketStream
from dockyard.fsutil.receive import Receiver
from dockyard.fsutil.root import DirectoryRoot, Root
from dockyard.fsutil.send import Sender
from dockyard.wire import packet as packets
from dockyard.wire.errors import CallError, WireError
from dockyard.wire.grpc import Call, Channel, Handler, Limits, Server, ServerCall
from dockyard.wire.loop import Loop
from dockyard.wire.packet import FIN_PACKET, Stat, parse_packet, req_packet

METHOD = "/test/DiffCopy"
LIMITS = Limits()
SECONDS = 45
"""For so long it is waited for what comes at once, unless the machine is busy."""


class Daemon:
    """A client whose call is served by the code under test."""

    def __init__(self, loop: Loop, channel: Channel) -> None:
        self._loop = loop
        self.stats: list[Stat] = []
        self.listed = False
        self.requested: list[int] = []
        self.contents: dict[int, bytes] = defaultdict(bytes)
        self.complete: set[int] = set()
        self.pieces: list[int] = []
        self.got_fin = False
        self.error_text: str | None = None
        self.ended = False
        self.status: WireError | None = None
        self.call: Call = channel.start(METHOD, on_message=self._on_message, on_end=self._on_end)

    def _on_message(self, message: memoryview) -> None:
        packet = parse_packet(message)
        if packet.type == packets.STAT and packet.stat:
            self.stats.append(packet.stat)
        elif packet.type == packets.STAT:
            self.listed = True
        elif packet.type == packets.REQ:
            self.requested.append(packet.id)
        elif packet.type == packets.FIN:
            self.got_fin = True
        elif packet.type == packets.ERR:
            self.error_text = bytes(packet.data).decode()
        elif packet.data:
            self.contents[packet.id] += packet.data
            self.pieces.append(len(packet.data))
        else:
            self.complete.add(packet.id)

    def _on_end(self, error: WireError | None) -> None:
        self.ended = True
        self.status = error

    def say(self, *messages: bytes) -> None:
        for message in messages:
            self.call.send(message)

    def wait(self, until: Callable[[], bool]) -> None:
        assert self._loop.run(lambda: until() or self.ended, timeout=SECONDS), "nothing came"

    def wait_end(self) -> str:
        """Wait for the end of the call; give its status' message, empty for OK."""
        assert self._loop.run(lambda: self.ended, timeout=SECONDS), "the call did not end"
        if self.status is None:
            return ""
        assert isinstance(self.status, CallError), self.status
        return self.status.message

    # --- against a sender --------------------------------------------------------------

    @property
    def paths(self) -> list[str]:
        return [stat.path.decode() for stat in self.stats]

    def number(self, path: str) -> int:
        return self.paths.index(path)

    def wait_listing(self) -> None:
        self.wait(lambda: self.listed)

    def fetch(self, *paths: str) -> None:
        """Ask for files and wait until they are complete, or the call ends."""
        numbers = [self.number(path) for path in paths]
        self.say(*(req_packet(number) for number in numbers))
        self.wait(lambda: self.complete.issuperset(numbers))

    def fetch_all(self) -> dict[str, bytes]:
        """Do what a good daemon does, to the end; give all contents."""
        self.wait_listing()
        wanted = [s.path.decode() for s in self.stats if not s.mode & 0x8F280000 and not s.linkname]
        self.fetch(*wanted)
        self.say(FIN_PACKET)
        assert self.wait_end() == ""
        assert self.got_fin
        return {path: self.contents[self.number(path)] for path in wanted}


@contextmanager
def connected(handler: Handler, limits: Limits = LIMITS) -> Iterator[tuple[Loop, Daemon]]:
    """Connect a daemon with a server that serves its call by ``handler``."""
    loop = Loop()
    ours, theirs = socket.socketpair()
    server = Server(loop, SocketStream(ours), {METHOD: handler})
    channel = Channel(loop, SocketStream(theirs), limits=limits)
    try:
        yield loop, Daemon(loop, channel)
    finally:
        channel.close()
        server.close()
        loop.close()


@contextmanager
def sending(
    root: Root | Path,
    *,
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    follow: tuple[str, ...] = (),
    errors: list[Exception] | None = None,
    limits: Limits = LIMITS,
) -> Iterator[Daemon]:
    """Have a sender serve a daemon."""
    holder: list[Loop] = []
    source = DirectoryRoot(path=root) if isinstance(root, Path) else root

    def handler(call: ServerCall) -> None:
        sender = Sender(
            call, source, include=include, exclude=exclude, follow=follow, loop=holder[0]
        )
        if errors is not None:
            sender.on_error = errors.append
        sender.start()

    with connected(handler, limits) as (loop, daemon):
        holder.append(loop)
        yield daemon


@contextmanager
def receiving(
    dest: Path, outcome: list[BaseException | None], *, mirror: bool = False
) -> Iterator[Daemon]:
    """Have a receiver serve a daemon; ``outcome`` gets what it reports."""

    def handler(call: ServerCall) -> None:
        Receiver(call, dest, mirror=mirror, on_done=outcome.append).start()

    with connected(handler) as (_, daemon):
        yield daemon
