"""Sends a root to the daemon: serves one ``FileSync.DiffCopy`` call (wire.md 5.3).

It is one state machine, driven from two sides. The daemon's packets ask for files by their number
in the listing; the connection, when it has room, pulls the next bytes. Those are in turn a piece
of the listing, while the walk goes on, and content that was asked for already.

The daemon is not trusted. It gets what stands in the listing and was a regular file when listed,
once, and is read by opening each directory on the way without following a link.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import NamedTuple

from dockyard.errors import DockyardError, TransferError
from dockyard.fsutil.root import Root
from dockyard.fsutil.source import Content, Source, open_source
from dockyard.fsutil.stat import is_regular
from dockyard.fsutil.walk import Entry
from dockyard.wire import packet as packets
from dockyard.wire.errors import WireError
from dockyard.wire.grpc import Code, ServerCall, frame
from dockyard.wire.loop import Loop
from dockyard.wire.packet import (
    END_PACKET,
    FIN_PACKET,
    Packet,
    data_header,
    err_packet,
    parse_packet,
    stat_packet,
)
from dockyard.wire.transport import Buffer

_LISTING = 32 << 10
"""Bytes of listing that are packed together."""
_BATCH = 128 << 10
"""Bytes of small files that are packed together; a file of this size is not small."""
_OVERHEAD = 24
"""Bytes that go with each small file besides its content, about."""
_CHUNK = 1 << 20
"""Bytes of a large file in one message. Old daemons refuse messages of more than 4 MiB."""
_PATIENCE = 0.05
"""Seconds of reading after which others on this thread get a turn."""


class Sender:
    """Serves one call, to its end.

    ``on_error`` is called with what went wrong on our side, before the daemon learns of it: our
    words are better than those in which the daemon reports it later.
    """

    def __init__(
        self,
        call: ServerCall,
        root: Root,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        follow: Sequence[str] = (),
        loop: Loop,
    ) -> None:
        """Prepare to serve a call.

        Args:
            call: The call; the sender ends it.
            root: What to send.
            include: If not empty, patterns of what to send; the rest is not.
            exclude: Patterns of what not to send.
            follow: Paths that are included with all that their links lead to.
            loop: The call's loop.
        """
        self.on_error: Callable[[DockyardError], None] | None = None
        self._call = call
        self._root = root
        self._filters = (include, exclude, follow)
        self._loop = loop
        self._source: Source | None = None
        self._listing = Listing()
        self._entries: Iterator[Entry | None] = iter(())
        self._listed = False
        self._list_next = False
        self._wanted: deque[int] = deque()
        self._large: _Large | None = None
        self._buffer: memoryview | None = None
        self._fin_received = False
        self._over = False

    def start(self) -> None:
        """Begin to serve; what is wrong with the root ends the call, never this method."""
        self._call.on_message = self._on_message
        self._call.on_half_close = self._on_half_close
        self._call.on_cancel = self._on_cancel
        include, exclude, follow = self._filters
        try:
            self._source = open_source(self._root, include=include, exclude=exclude, follow=follow)
        except DockyardError as exc:
            self._fail(exc)
            return
        self._entries = self._source.entries()
        self._call.set_source(self._pull)

    # --- what the daemon says ----------------------------------------------------------

    def _on_message(self, message: memoryview) -> None:
        if self._over:
            return
        try:
            self._on_packet(parse_packet(message))
        except WireError as exc:
            self._fail(TransferError(f"the daemon sent a malformed packet: {exc}"))
        except TransferError as exc:
            self._fail(exc)

    def _on_packet(self, packet: Packet) -> None:
        match packet.type:
            case packets.REQ:
                self._listing.take(packet.id)
                self._wanted.append(packet.id)
                self._call.wake()
            case packets.FIN:
                self._fin_received = True
                self._call.wake()
            case packets.ERR:
                text = bytes(packet.data).decode("utf-8", "replace")
                self._end(Code.UNKNOWN, f"error from receiver: {text}")
            case _:
                raise TransferError(f"the daemon sent a packet of type {packet.type} to a sender")

    def _on_half_close(self) -> None:
        if not self._over and not self._fin_received:
            self._end(Code.UNKNOWN, "the receiver ended the transfer before it was complete")

    def _on_cancel(self) -> None:
        self._over = True
        self._release()

    # --- what is sent ------------------------------------------------------------------

    def _pull(self, _budget: int) -> Sequence[Buffer] | None:
        """Give whole messages; the connection keeps what it has no room for yet."""
        if self._over:
            return None
        try:
            return self._next()
        except DockyardError as exc:
            self._fail(exc)
            return None

    def _next(self) -> Sequence[Buffer]:
        """Take turns between listing and content, so that both flow from the start."""
        self._list_next = not self._list_next
        if not self._listed and (self._list_next or not (self._wanted or self._large)):
            buffers = self._next_listing()
        elif self._large:
            buffers = self._next_chunk(self._large)
        elif self._wanted:
            buffers = self._next_files()
        elif self._fin_received:
            self._end(Code.OK)
            return [frame(len(FIN_PACKET)), FIN_PACKET]
        else:
            return ()
        if not buffers:
            self._loop.call_soon(self._call.wake)
        return buffers

    def _next_listing(self) -> Sequence[Buffer]:
        """Walk on until there is enough to send, or time is up."""
        parts: list[bytes] = []
        size = 0
        end = monotonic() + _PATIENCE
        for entry in self._entries:
            if entry is None:
                if monotonic() > end:
                    break
                continue
            packet = _stat_packet(entry)
            self._listing.add(entry)
            parts += (frame(len(packet)), packet)
            size += len(packet)
            if size >= _LISTING:
                break
        else:
            self._listed = True
            parts += (frame(len(END_PACKET)), END_PACKET)
        return [b"".join(parts)] if parts else ()

    def _next_files(self) -> Sequence[Buffer]:
        """Read small files until there is enough to send, time is up, or a large one comes."""
        parts: list[bytes] = []
        size = 0
        end = monotonic() + _PATIENCE
        while self._wanted and size < _BATCH and monotonic() < end:
            number = self._wanted.popleft()
            content = self._open(number)
            if content and content.size >= _BATCH:
                self._large = _Large(number, content)
                break
            data = b""
            if content:
                # From here on it is closed wherever the transfer ends.
                self._large = _Large(number, content)
                data = content.read(content.size + 1)
            if data:
                head = data_header(number, len(data))
                parts += (frame(len(head) + len(data)), head, data)
            if content and len(data) != content.size:
                break  # it grew or shrank since it was opened: any amount may be to come
            self._close_file()
            last = data_header(number, 0)
            parts += (frame(len(last)), last)
            size += len(data) + _OVERHEAD
        return [b"".join(parts)] if parts else ()

    def _next_chunk(self, large: _Large) -> Sequence[Buffer]:
        """Read a piece of a large file into the buffer; all that was in it is sent by now."""
        buffer = self._buffer = self._buffer or memoryview(bytearray(_CHUNK))
        size = 0
        ended = False
        while size < _CHUNK and not ended:
            got = large.content.read_into(buffer[size:])
            size += got
            ended = not got
        buffers: list[Buffer] = []
        if size:
            head = data_header(large.number, size)
            buffers += (frame(len(head) + size) + head, buffer[:size])
        if ended:
            self._close_file()
            last = data_header(large.number, 0)
            buffers.append(frame(len(last)) + last)
        return buffers

    def _open(self, number: int) -> Content | None:
        """Open a file; None for what is only listed as one."""
        path = self._listing.path(number)
        return self._source.open(path) if path and self._source else None

    def _close_file(self) -> None:
        if self._large:
            self._large.content.close()
            self._large = None

    # --- how it ends -------------------------------------------------------------------

    def _fail(self, error: DockyardError) -> None:
        if self._over:
            return
        if self.on_error:
            self.on_error(error)
        self._call.send(err_packet(str(error)))
        self._end(Code.UNKNOWN, str(error))

    def _end(self, code: Code, message: str = "") -> None:
        self._over = True
        self._release()
        self._call.finish(code, message)

    def _release(self) -> None:
        """Let go of every descriptor and of the memory; doing it twice does nothing."""
        self._entries = iter(())
        self._wanted.clear()
        self._buffer = None
        self._close_file()
        if self._source:
            self._source.close()
            self._source = None


class _Large(NamedTuple):
    """A file that is being sent piece by piece."""

    number: int
    content: Content


class Listing:
    """Remembers what stands under which number, in few bytes for each."""

    _OTHER, _FILE, _EMPTY, _TAKEN = range(4)

    def __init__(self) -> None:
        self._kinds = bytearray()
        self._ends = array("Q")
        self._paths = bytearray()

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, entry: Entry) -> None:
        """Give the entry the next number."""
        kind = self._OTHER
        if is_regular(entry.mode):
            kind = self._FILE if entry.readable else self._EMPTY
            self._paths += entry.path if entry.readable else b""
        self._kinds.append(kind)
        self._ends.append(len(self._paths))

    def take(self, number: int) -> None:
        """Mark a file as asked for.

        Raises:
            TransferError: There is no such file, or it was asked for before.
        """
        if number >= len(self._kinds) or self._kinds[number] not in (self._FILE, self._EMPTY):
            raise TransferError(
                f"the daemon asked for a file that it was not offered: invalid file id {number}"
            )
        self._kinds[number] = self._TAKEN

    def path(self, number: int) -> bytes:
        """Give the path of a file; empty if there is nothing to read behind it."""
        start = self._ends[number - 1] if number else 0
        return bytes(self._paths[start : self._ends[number]])


def _stat_packet(entry: Entry) -> bytes:
    major, minor = entry.device
    return stat_packet(
        entry.path, entry.mode, entry.size, entry.mtime_ns, entry.link, major, minor, entry.xattrs
    )
