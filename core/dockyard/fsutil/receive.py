"""Receives a directory from the daemon: serves one ``FileSend.DiffCopy`` call (wire.md 5.4).

The daemon announces entries in order; regular files are asked for by their number in the listing,
a bounded number at a time, and arrive in pieces that may alternate. The daemon is not trusted:
whatever it announces, only places below the destination are written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from dockyard.errors import DockyardError, TransferError
from dockyard.fsutil.name import display
from dockyard.fsutil.order import Order
from dockyard.fsutil.stat import MODE_DIR, MODE_SYMLINK, is_regular
from dockyard.fsutil.write import PartialFile, TreeWriter
from dockyard.wire import packet as packets
from dockyard.wire.errors import WireError
from dockyard.wire.grpc import Code, ServerCall, frame
from dockyard.wire.packet import (
    FIN_PACKET,
    Packet,
    Stat,
    err_packet,
    parse_packet,
    req_packet,
)
from dockyard.wire.transport import Buffer

_MOST_WANTED = 64
"""Files that were asked for and are not complete; each may hold a descriptor."""


class Receiver:
    """Serves one call, to its end. Several may write to one destination side by side."""

    def __init__(
        self,
        call: ServerCall,
        dest: Path,
        *,
        on_done: Callable[[BaseException | None], None],
        mirror: bool = False,
    ) -> None:
        """Prepare to serve a call.

        Args:
            call: The call; the receiver ends it.
            dest: The directory to write to; made if it is missing.
            mirror: Whether everything else in the directory is removed when all is written.
            on_done: Called once: with None when all is written, otherwise with what went wrong.
        """
        self._call = call
        self._dest = dest
        self._on_done = on_done
        self._writer: TreeWriter | None = None
        self._kept: dict[bytes, set[bytes]] | None = {b"": set()} if mirror else None
        self._order = Order()
        self._count = 0
        self._announced: dict[int, Stat] = {}
        self._linkable: set[bytes] = set()
        self._hard_links: list[tuple[bytes, bytes]] = []
        self._unasked: deque[int] = deque()
        self._asked: dict[int, PartialFile | None] = {}
        self._listed = False
        self._fin_sent = False
        self._over = False

    def start(self) -> None:
        """Begin to serve; what is wrong with the destination ends the call, never this method."""
        self._call.on_message = self._on_message
        self._call.on_half_close = self._on_half_close
        self._call.on_cancel = self._on_cancel
        try:
            self._writer = TreeWriter(self._dest, no_links=self._kept is not None)
        except DockyardError as exc:
            self._fail(exc)
            return
        self._call.set_source(self._pull)

    # --- what the daemon says ----------------------------------------------------------

    def _on_message(self, message: memoryview) -> None:
        if self._over or self._writer is None:
            return
        try:
            self._on_packet(parse_packet(message), self._writer)
        except WireError as exc:
            self._fail(TransferError(f"the daemon sent a malformed packet: {exc}"))
        except DockyardError as exc:
            self._fail(exc)

    def _on_packet(self, packet: Packet, writer: TreeWriter) -> None:
        match packet.type:
            case packets.DATA:
                self._on_data(packet.id, packet.data, writer)
            case packets.STAT if packet.stat:
                self._on_entry(packet.stat, writer)
            case packets.STAT:
                self._on_end_of_listing(writer)
            case packets.FIN:
                self._on_fin()
            case packets.ERR:
                text = bytes(packet.data).decode("utf-8", "replace")
                raise TransferError(f"error from sender: {text}")
            case _:
                raise TransferError(f"the daemon sent a packet of type {packet.type} to a receiver")

    def _on_entry(self, entry: Stat, writer: TreeWriter) -> None:
        if self._listed:
            raise TransferError("the daemon went on with a listing that it had ended")
        is_directory = bool(entry.mode & MODE_DIR)
        self._order.check(entry.path, is_directory=is_directory)
        if self._kept is not None:
            self._keep(self._kept, entry.path, is_directory=is_directory)
        number = self._count
        self._count += 1
        if is_directory:
            writer.directory(entry)
        elif entry.mode & MODE_SYMLINK:
            if not entry.linkname or b"\0" in entry.linkname:
                raise TransferError(f"the daemon sent a link without target: {display(entry.path)}")
            writer.link(entry)
        elif entry.linkname:
            self._on_hard_link(entry)
        elif is_regular(entry.mode):
            self._linkable.add(entry.path)
            self._announced[number] = entry
            self._unasked.append(number)
            self._call.wake()
        else:
            writer.node(entry)

    @staticmethod
    def _keep(kept: dict[bytes, set[bytes]], path: bytes, *, is_directory: bool) -> None:
        parent, _, name = path.rpartition(b"/")
        kept[parent].add(name)
        if is_directory:
            kept[path] = set()

    def _on_hard_link(self, entry: Stat) -> None:
        """Remember a link until its file is complete."""
        if entry.linkname not in self._linkable:
            raise TransferError(
                f"the daemon sent {display(entry.path)} as a link to "
                f"{display(entry.linkname)}, which is no file that it sent before"
            )
        self._hard_links.append((entry.path, entry.linkname))

    def _on_data(self, number: int, data: memoryview, writer: TreeWriter) -> None:
        if number not in self._asked:
            raise TransferError(f"the daemon sent data that nobody asked for: file id {number}")
        file = self._asked[number]
        if file is None:
            file = self._asked[number] = writer.begin(self._announced[number])
        if data:
            writer.append(file, data)
            return
        writer.complete(file)
        del self._asked[number], self._announced[number]
        if self._unasked:
            self._call.wake()
        self._finish_if_complete(writer)

    def _on_end_of_listing(self, writer: TreeWriter) -> None:
        if self._listed:
            raise TransferError("the daemon ended its listing twice")
        self._listed = True
        self._finish_if_complete(writer)

    def _finish_if_complete(self, writer: TreeWriter) -> None:
        if not self._listed or self._announced:
            return
        for path, target in self._hard_links:
            writer.hard_link(path, target)
        if self._kept is not None:
            writer.prune(self._kept)
        writer.finish()
        self._call.wake()

    def _on_fin(self) -> None:
        if not self._fin_sent:
            raise TransferError("the daemon ended the transfer before it was complete")
        self._close()
        self._call.finish(Code.OK)
        self._call.wake()
        self._on_done(None)

    def _on_half_close(self) -> None:
        self._fail(TransferError("the daemon ended the transfer before it was complete"))

    def _on_cancel(self) -> None:
        if self._fin_sent and not self._over:
            # All is written. A daemon that is told so may be done, and end the call, before its own
            # FIN gets here.
            self._close()
            self._on_done(None)
            return
        self._fail(TransferError("the daemon broke off the transfer"))

    # --- what is sent ------------------------------------------------------------------

    def _pull(self, budget: int) -> Sequence[Buffer] | None:
        """Ask for files, as many as may be under way, and say when all is done."""
        if self._over:
            return None
        parts: list[bytes] = []
        size = 0
        while self._unasked and len(self._asked) < _MOST_WANTED and size < budget:
            number = self._unasked.popleft()
            self._asked[number] = None
            packet = req_packet(number)
            parts += (frame(len(packet)), packet)
            size += len(packet) + 5
        if self._listed and not self._announced and not self._fin_sent:
            self._fin_sent = True
            parts += (frame(len(FIN_PACKET)), FIN_PACKET)
        return [b"".join(parts)] if parts else ()

    # --- how it ends -------------------------------------------------------------------

    def _fail(self, error: DockyardError) -> None:
        if self._over:
            return
        self._close()
        self._call.send(err_packet(str(error)))
        self._call.finish(Code.UNKNOWN, str(error))
        self._on_done(error)

    def _close(self) -> None:
        """Let go of everything; what is not complete is removed."""
        self._over = True
        if self._writer:
            for file in self._asked.values():
                if file:
                    self._writer.discard(file)
            self._writer.close()
        self._asked.clear()
        self._announced.clear()
        self._unasked.clear()
