"""The content service: a daemon reads and writes blobs in stores of ours (wire.md 4.7).

Exporters that are asked for no archive (``tar=false``) write into a store, and caches in local
directories are written to and read from one. Each call says which it means. All of the work on a
blob is done by threads, one piece of a call after the other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from dockyard.errors import DockyardError
from dockyard.session.content_store import (
    Announcement,
    Blob,
    ContentStore,
    Ingest,
    is_digest,
)
from dockyard.session.service import Worker, refuse, unary
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
    WRITE_ACTION_COMMIT,
    WRITE_ACTION_STAT,
    WRITE_ACTION_WRITE,
    WRITE_CONTENT_REQUEST,
    WRITE_CONTENT_RESPONSE,
)
from dockyard.wire.transport import Buffer

T = TypeVar("T")

_SERVICE = "/containerd.services.content.v1.Content/"
_STORE_KEY = "buildkit-attachable-store-id"
_PIECE = 1 << 20
_AHEAD = 2
"""Pieces that are read before the daemon takes them."""
_MUCH = 4 << 20
"""Bytes that wait to be written, above which the daemon gets no more room."""


class ContentStores:
    """Offers stores, by the name that the daemon calls each by."""

    def __init__(self, stores: Mapping[str, ContentStore]) -> None:
        self.failed: BaseException | None = None
        self._stores = dict(stores)

    def handlers(self, loop: Loop) -> Mapping[str, Handler]:
        worker = Worker(loop)

        def write(store: ContentStore, call: ServerCall) -> None:
            _Writing(loop, call, store, self._fail).start()

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
        digest = _checked(decode(CONTENT_INFO_REQUEST, request).get("digest", ""))
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


class _Turns:
    """The work of one call, done by threads, one piece after the other."""

    def __init__(self, loop: Loop, end: Callable[[], None]) -> None:
        """Begin.

        Args:
            loop: The loop of the call.
            end: Lets go of what the work holds, without waiting for anything. Called once, when
                the call is over and no piece of work runs, by whichever thread knows it first.
        """
        self._loop = loop
        self._end = end
        self._lock = threading.Lock()
        self._busy = False
        self._working = False
        self._over = False

    @property
    def free(self) -> bool:
        """Whether a piece of work can begin."""
        return not (self._busy or self._over)

    @property
    def over(self) -> bool:
        return self._over

    def do(
        self, work: Callable[[], T], done: Callable[[T | None, BaseException | None], None]
    ) -> None:
        """Do a piece of work; ``done`` is called unless all was over before it ended."""

        def job() -> T:
            try:
                return work()
            finally:
                with self._lock:
                    self._working = False
                    ended = self._over
                if ended:  # the loop may not run any more
                    self._end()

        def after(result: T | None, error: BaseException | None) -> None:
            self._busy = False
            if not self._over:
                done(result, error)

        self._busy = self._working = True
        self._loop.in_thread(job, after)

    def stop(self) -> None:
        """Do no more; the call is over."""
        with self._lock:
            ends_now = not (self._over or self._working)
            self._over = True
        if ends_now:
            self._end()


class _Writing:
    """One blob that is being written, by requests that are answered one by one."""

    def __init__(
        self,
        loop: Loop,
        call: ServerCall,
        store: ContentStore,
        fail: Callable[[BaseException], None],
    ) -> None:
        import hashlib

        self._call = call
        self._store = store
        self._fail = fail
        self._turns = _Turns(loop, self._abort)
        self._requests: deque[Mapping[str, Any]] = deque()
        self._waiting = 0
        self._ended = False
        self._announced = Announcement("", 0, "")
        self._ingest: Ingest | None = None
        self._new_hash = hashlib.sha256
        self._hash = hashlib.sha256()
        self._written = 0
        self._stamp = {"seconds": int(time.time())}

    def start(self) -> None:
        self._call.on_message = self._on_message
        self._call.on_half_close = self._on_half_close
        self._call.on_cancel = self._turns.stop

    def _on_message(self, message: memoryview) -> None:
        if self._turns.over:
            return
        try:
            request = decode(WRITE_CONTENT_REQUEST, message)
        except CodecError as error:
            self._refuse(error)
            return
        self._requests.append({**request, "data": bytes(request.get("data", b""))})
        self._waiting += len(message)
        if self._waiting > _MUCH:
            self._call.pause()
        self._go_on()

    def _on_half_close(self) -> None:
        self._ended = True
        self._go_on()

    def _go_on(self) -> None:
        if not self._turns.free:
            return
        if self._requests:
            self._turns.do(partial(self._take, self._requests[0]), self._took)
        elif self._ended:
            self._turns.stop()  # what is not committed is dropped
            self._call.finish()

    def _took(self, answer: dict[str, Any] | None, error: BaseException | None) -> None:
        if error is not None or answer is None:
            self._refuse(error or RuntimeError("no answer"))
            return
        self._waiting -= len(self._requests.popleft()["data"])
        self._call.send(encode(WRITE_CONTENT_RESPONSE, answer))
        if answer["action"] == WRITE_ACTION_COMMIT:
            self._turns.stop()
            self._call.finish()
            return
        if not self._requests:
            self._waiting = 0
            self._call.resume()
        self._go_on()

    def _refuse(self, error: BaseException) -> None:
        self._turns.stop()
        self._fail(error)
        refuse(self._call, error)

    # --- in a thread ---------------------------------------------------------------------------

    def _take(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a request asks for, and give what to answer."""
        self._announce(request)
        action = request.get("action", WRITE_ACTION_STAT)
        if self._ingest is None:
            self._ingest = self._store.begin(self._announced)
        self._check_size(self._announced.total)
        digest = ""
        if action in (WRITE_ACTION_WRITE, WRITE_ACTION_COMMIT):
            self._write(self._ingest, request)
        elif action != WRITE_ACTION_STAT:
            raise CallError(Code.INVALID_ARGUMENT, f"unknown action {action}")
        if action == WRITE_ACTION_COMMIT:
            digest = self._commit(self._ingest)
        return {
            "action": action,
            "started_at": self._stamp,
            "updated_at": self._stamp,
            "offset": self._written,
            "total": self._announced.total,
            "digest": digest,
        }

    def _announce(self, request: Mapping[str, Any]) -> None:
        """Take in what the requests say of the blob; only the first has to say anything."""
        before, ref = self._announced, request.get("ref", "")
        if not (before.ref or ref):
            raise CallError(Code.INVALID_ARGUMENT, "the first request has to name a ref")
        if before.ref and ref and ref != before.ref:
            raise CallError(Code.INVALID_ARGUMENT, f"the ref changed from {before.ref} to {ref}")
        total, expected = request.get("total", 0), request.get("expected", "")
        if total < 0:
            raise CallError(Code.INVALID_ARGUMENT, f"invalid size {total}")
        self._announced = Announcement(
            before.ref or ref,
            total or before.total,
            _checked(expected) if expected else before.expected,
        )

    def _write(self, ingest: Ingest, request: Mapping[str, Any]) -> None:
        offset, data = request.get("offset", 0), request["data"]
        if offset and offset != self._written:
            raise CallError(
                Code.OUT_OF_RANGE, f"offset {offset} where {self._written} bytes are written"
            )
        if not offset and data and self._written:
            ingest.restart()
            self._hash = self._new_hash()
            self._written = 0
        self._check_size(self._written + len(data))
        if data:
            ingest.write(data)
            self._hash.update(data)
            self._written += len(data)

    def _commit(self, ingest: Ingest) -> str:
        ref, total, expected = self._announced
        digest = f"sha256:{self._hash.hexdigest()}"
        if total and total != self._written:
            message = f"{ref} has {self._written} bytes instead of {total}"
            raise self._store.refusal(Code.FAILED_PRECONDITION, message)
        if expected not in ("", digest):
            message = f"{ref} has the digest {digest} instead of {expected}"
            raise self._store.refusal(Code.FAILED_PRECONDITION, message)
        ingest.commit(digest)
        return digest

    def _check_size(self, size: int) -> None:
        limit = self._store.limit(self._announced)
        if size > limit:
            most = f"{limit >> 20} MiB" if limit and not limit % (1 << 20) else f"{limit} bytes"
            message = f"{self._announced.ref} is longer than {most}"
            raise self._store.refusal(Code.RESOURCE_EXHAUSTED, message)

    def _abort(self) -> None:
        if self._ingest is not None:
            self._ingest.abort()


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
        self._turns = _Turns(loop, self._close)
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
        self._blob = self._store.open(_checked(request.get("digest", "")))
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


def _checked(digest: str) -> str:
    if not is_digest(digest):
        raise CallError(Code.INVALID_ARGUMENT, f"invalid digest {digest[:100]!r}")
    return digest


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
