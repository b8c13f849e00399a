"""The rules that a received listing has to keep (wire.md 5.5)."""

from __future__ import annotations

from dockyard.errors import TransferError
from dockyard.fsutil.name import display


class _Directory:
    __slots__ = ("last", "name")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.last = b""
        """The last name that was listed in it; every name is greater than the empty one."""


class Order:
    """Checks one path after the other: each plain, below a listed directory, and in order.

    What it lets through names exactly one place below the top, of which every directory above was
    listed as a directory and as nothing else.
    """

    def __init__(self) -> None:
        self._open = [_Directory(b"")]

    def check(self, path: bytes, *, is_directory: bool) -> None:
        """Take the next path of the listing.

        Raises:
            TransferError: It breaks a rule.
        """
        names = path.split(b"/")
        if any(name in (b"", b".", b"..") for name in names) or b"\0" in path:
            raise TransferError(f"the daemon sent a path that is not allowed: {display(path)}")
        *above, name = names
        if [directory.name for directory in self._open[1 : len(names)]] != above:
            raise TransferError(f"the daemon sent {display(path)} without the directory it is in")
        parent = self._open[len(above)]
        if name <= parent.last:
            before = b"/".join((*above, parent.last))
            raise TransferError(f"changes out of order: {display(path)} {display(before)}")
        parent.last = name
        del self._open[len(names) :]
        if is_directory:
            self._open.append(_Directory(name))
