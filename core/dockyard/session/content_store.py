"""Places for blobs that a daemon may write and read by the content service (wire.md 4.7).

What is asked of a store, and the one for an image that shall go into an engine: it keeps what
describes the image in memory, and says of each layer that it is there already, because who needs
one reads it from the daemon later, and most are needed by nobody.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code

_WANTED = ("config-", "manifest-", "index-", "attestation-", "intoto-")
_MAX_BLOB = 4 << 20
_MAX_BLOBS = 64
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Announcement(NamedTuple):
    """What a daemon says of a blob before it writes it."""

    ref: str
    """The name of the attempt; its first word says what the blob is."""
    total: int
    """The size; 0 when it was not said."""
    expected: str
    """The digest; empty when it was not said."""


class Ingest(Protocol):
    """One blob that is being written. The methods block; each raises ``OutputError``."""

    def write(self, data: bytes) -> None:
        """Add bytes."""
        ...

    def restart(self) -> None:
        """Forget all bytes."""
        ...

    def commit(self, digest: str) -> None:
        """Keep the bytes, which have this digest, as a blob."""
        ...

    def abort(self) -> None:
        """Leave nothing behind. Safe to call twice, and after commit; raises nothing."""
        ...


class Blob(Protocol):
    """One blob that is being read. The methods block."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, size: int) -> bytes:
        """Give bytes; none at the end.

        Raises:
            OutputError: They cannot be read.
        """
        ...

    def close(self) -> None: ...


class ContentStore(Protocol):
    """A place for blobs. The methods block, and may be called from several threads.

    What they refuse is a ``CallError``; what the machine refuses is an ``OutputError``.
    """

    def open(self, digest: str) -> Blob:
        """Open a blob, which has to be closed; the error NOT_FOUND says that it is not there."""
        ...

    def begin(self, announced: Announcement) -> Ingest:
        """Begin to write a blob; the error ALREADY_EXISTS says that nobody needs to."""
        ...

    def limit(self, announced: Announcement) -> int:
        """Give how many bytes a blob may have."""
        ...

    def refusal(self, code: Code, message: str) -> CallError:
        """Make the error that a blob is refused with."""
        ...


class ExportStore:
    """Keeps the small blobs of one export in memory; they are few, and their sizes bounded."""

    def __init__(self) -> None:
        self.problem = ""
        """Why the daemon's writing was refused, the first time; an export that is too unusual
        for us can be asked for as an archive instead, so that it is no error of the build."""
        self.blobs: dict[str, bytes] = {}
        """What was written, by digest, in the order in which it was."""
        self.refs: dict[str, str] = {}
        """The name under which each was written; its first word says what it is."""

    def open(self, digest: str) -> Blob:
        data = self.blobs.get(digest)
        if data is None:
            raise not_found(digest)
        return _MemoryBlob(data)

    def begin(self, announced: Announcement) -> Ingest:
        if not announced.ref.startswith(_WANTED) or announced.expected in self.blobs:
            raise already_exists(announced.expected)
        return _MemoryIngest(self, announced.ref)

    def limit(self, _announced: Announcement) -> int:
        return _MAX_BLOB

    def add(self, ref: str, digest: str, data: bytes) -> None:
        """Keep a blob that was checked."""
        if len(self.blobs) >= _MAX_BLOBS:
            raise self.refusal(Code.RESOURCE_EXHAUSTED, f"more than {_MAX_BLOBS} blobs")
        self.blobs[digest] = data
        self.refs[digest] = ref

    def refusal(self, code: Code, message: str) -> CallError:
        self.problem = self.problem or message
        return CallError(code, message)


class _MemoryIngest:
    def __init__(self, store: ExportStore, ref: str) -> None:
        self._store = store
        self._ref = ref
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        self._data += data

    def restart(self) -> None:
        self._data.clear()

    def commit(self, digest: str) -> None:
        self._store.add(self._ref, digest, bytes(self._data))

    def abort(self) -> None:
        self._data = bytearray()


class _MemoryBlob:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    def close(self) -> None:
        """There is nothing to let go of."""


def is_digest(text: str) -> bool:
    """Say whether a text names content by its digest, in the way that we can check."""
    return _DIGEST.fullmatch(text) is not None


def checked(digest: str) -> str:
    """Give a digest that a daemon sent.

    Raises:
        CallError: It is none.
    """
    if not is_digest(digest):
        raise CallError(Code.INVALID_ARGUMENT, f"invalid digest {digest[:100]!r}")
    return digest


def not_found(digest: str) -> CallError:
    """Make the error for a blob that is not there."""
    return CallError(Code.NOT_FOUND, f"content {digest}: not found")


def already_exists(digest: str) -> CallError:
    """Make the error for a blob that is there and need not be written."""
    return CallError(Code.ALREADY_EXISTS, f"content {digest}: already exists")
