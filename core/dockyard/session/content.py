"""The content service: a daemon reads and writes blobs in stores of ours (wire.md 4.7).

Exporters that are asked for no archive (``tar=false``) write into a store, and caches in local
directories are written to and read from one. Each call says which it means. All of the work on a
blob is done by threads, one piece of a call after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from dockyard.errors import DockyardError
from dockyard.session.content_store import Blob, ContentStore, checked
from dockyard.session.content_write import Writing
from dockyard.session.service import Worker, refuse, unary
from dockyard.session.turns import Turns
from dockyard.wire.codec import CodecError, decode, encode
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code, Handler, ServerCall, frame
from dockyard.wire.loop import Loop
from dockyard.wire.messages import (
    CONTENT_ABORT_REQUEST,
    CONTENT_INFO_REQUEST,
    CONTENT_INFO_RESPONSE,
    CONTENT_LIST_STATUSES_RESPONSE,
    CONTENT_STATUS_REQUEST,
    READ_CONTENT_REQUEST,
    READ_CONTENT_RESPONSE,
)
from dockyard.wire.transport import Buffer

_SERVICE = "/containerd.services.content.v1.Content/"
_STORE_KEY = "buildkit-attachable-store-id"
_PIECE = 1 << 20
_AHEAD = 2
"""Pieces that are read before the daemon takes them."""


class ContentStores:
    """Offers stores, by the name that the daemon calls each by."""

    def __init__(self, stores: Mapping[str, ContentStore]) -> None:
        self.failed: BaseException | None = None
        self._stores = dict(stores)

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        worker = Worker(loop)

        def write(store: ContentStore, call: ServerCall) -> None:
            Writing(loop, call, store, self._fail).start()

        def read(store: ContentStore, call: ServerCall) -> None:
            _Reading(loop, call, store, self._fail).start()

        def info(store: ContentStore, call: ServerCall) -> None:
            worker.unary(lambda request, _cancel: self._info(store, request))(call)

        return {
            _SERVICE + "Write": self._for_store(write),
            _SERVICE + "Read": self._for_store(read),
            _SERVICE + "Info": self._for_store(info),
            _SERVICE + "Status": self._for_store(_without_store(_no_status)),
            _SERVICE + "ListStatuses": self._for_store(_without_store(_no_statuses)),
            _SERVICE + "Abort": self._for_store(_without_store(_nothing_to_abort)),
        }

    def _for_store(self, handler: Callable[[ContentStore, ServerCall], None]) -> Handler:
        def handle(call: ServerCall) -> None:
            name = call.get(_STORE_KEY)
            store = self._stores.get(name or "")
            if name is None:
                call.finish(Code.INVALID_ARGUMENT, f"{_STORE_KEY} is missing")
            elif store is None:
                call.finish(Code.NOT_FOUND, f"content store {name[:200]} not found")
            else:
                handler(store, call)

        return handle

    def _info(self, store: ContentStore, request: bytes) -> bytes:
        digest = checked(decode(CONTENT_INFO_REQUEST, request).get("digest", ""))
        try:
            blob = store.open(digest)
        except DockyardError as error:
            self._fail(error)
            raise
        try:
            return encode(CONTENT_INFO_RESPONSE, {"info": {"digest": digest, "size": blob.size}})
        finally:
            blob.close()

    def _fail(self, error: BaseException) -> None:
        """Keep an error of our own; a refusal is the daemon's to report."""
        if isinstance(error, DockyardError):
            self.failed = self.failed or error


class _Reading:
    """One part of a blob that is being sent; a little of it is read ahead."""

    def __init__(
        self,
        loop: Loop,
        call: ServerCall,
        store: ContentStore,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._call = call
        self._store = store
        self._fail = fail
        self._turns = Turns(loop, self._close)
        self._request: Mapping[str, Any] | None = None
        self._blob: Blob | None = None
        self._offset = 0
        self._end = 0
        self._pieces: deque[tuple[int, bytes]] = deque()
        self._read_all = False

    def start(self) -> None:
        self._call.on_message = self._on_message
        self._call.on_half_close = self._on_half_close
        self._call.on_cancel = self._turns.stop

    def _on_message(self, message: memoryview) -> None:
        if self._request is not None:
            self._refuse(CallError(Code.INVALID_ARGUMENT, "more than one request in a call"))
            return
        try:
            self._request = decode(READ_CONTENT_REQUEST, message)
        except CodecError as error:
            self._refuse(error)

    def _on_half_close(self) -> None:
        if self._turns.over:
            return
        if self._request is None:
            self._refuse(CallError(Code.INVALID_ARGUMENT, "a call without a request"))
            return
        self._turns.do(partial(self._open, self._request), self._opened)

    def _opened(self, _result: None, error: BaseException | None) -> None:
        if error is not None:
            self._refuse(error)
            return
        self._call.set_source(self._next)
        self._go_on()

    def _go_on(self) -> None:
        if self._turns.free and not self._read_all and len(self._pieces) < _AHEAD:
            self._turns.do(self._read, self._have_read)

    def _have_read(self, data: bytes | None, error: BaseException | None) -> None:
        if error is not None:
            self._refuse(error)
            return
        if data:
            self._pieces.append((self._offset, data))
            self._offset += len(data)
            self._go_on()
        else:
            self._read_all = True
            self._turns.stop()
            self._call.finish()
        self._call.wake()

    def _next(self, _budget: int) -> Sequence[Buffer] | None:
        if not self._pieces:
            return None if self._read_all else ()
        offset, data = self._pieces.popleft()
        self._go_on()
        message = encode(READ_CONTENT_RESPONSE, {"offset": offset, "data": data})
        return [frame(len(message)), message]

    def _refuse(self, error: BaseException) -> None:
        self._turns.stop()
        self._fail(error)
        refuse(self._call, error)

    # --- in a thread ---------------------------------------------------------------------------

    def _open(self, request: Mapping[str, Any]) -> None:
        self._blob = self._store.open(checked(request.get("digest", "")))
        whole = self._blob.size
        self._offset = max(0, request.get("offset", 0))
        if self._offset > whole:
            message = f"offset {self._offset} in a blob of {whole} bytes"
            raise CallError(Code.OUT_OF_RANGE, message)
        size = request.get("size", 0)
        self._end = min(whole, self._offset + size) if size > 0 else whole

    def _read(self) -> bytes:
        size = min(_PIECE, self._end - self._offset)
        if size <= 0:
            return b""
        assert self._blob is not None
        data = self._blob.read(self._offset, size)
        if not data:
            raise CallError(Code.DATA_LOSS, "the blob became shorter while it was read")
        return data

    def _close(self) -> None:
        if self._blob is not None:
            self._blob.close()


def _without_store(
    answer: Callable[[bytes], bytes],
) -> Callable[[ContentStore, ServerCall], None]:
    handler = unary(answer)
    return lambda _store, call: handler(call)


def _no_status(request: bytes) -> bytes:
    ref = decode(CONTENT_STATUS_REQUEST, request).get("ref", "")
    raise CallError(Code.NOT_FOUND, f"ingest {ref}: not found")


def _nothing_to_abort(request: bytes) -> bytes:
    ref = decode(CONTENT_ABORT_REQUEST, request).get("ref", "")
    raise CallError(Code.NOT_FOUND, f"ingest {ref}: not found")


def _no_statuses(_request: bytes) -> bytes:
    return encode(CONTENT_LIST_STATUSES_RESPONSE, {})
