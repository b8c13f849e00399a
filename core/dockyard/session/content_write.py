"""Writing one blob into a store of ours: the content service's call ``Write``."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dockyard.session.content_store import Announcement, ContentStore, Ingest, checked
from dockyard.session.service import refuse
from dockyard.session.turns import Turns
from dockyard.wire.codec import CodecError, decode, encode
from dockyard.wire.errors import CallError
from dockyard.wire.grpc import Code, ServerCall
from dockyard.wire.loop import Loop
from dockyard.wire.messages import (
    WRITE_ACTION_COMMIT,
    WRITE_ACTION_STAT,
    WRITE_ACTION_WRITE,
    WRITE_CONTENT_REQUEST,
    WRITE_CONTENT_RESPONSE,
)

_MUCH = 4 << 20
"""Bytes that wait to be written, above which the daemon gets no more room."""


class Writing:
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
        self._turns = Turns(loop, self._abort)
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
            checked(expected) if expected else before.expected,
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
