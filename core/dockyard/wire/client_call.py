"""One gRPC call as the side sees it that made it."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.wire import frames
from dockyard.wire.call import Call
from dockyard.wire.connection import Connection
from dockyard.wire.errors import CallError, WireError
from dockyard.wire.fields import Metadata, check_headers, not_grpc, to_metadata
from dockyard.wire.frames import ViolationError
from dockyard.wire.hpack import Header
from dockyard.wire.status import Code, code_of_reset, decode_details, parse_code, percent_decode

_BODY_SHOWN = 1024


class ClientCall(Call):
    """A call that we made."""

    __slots__ = ("_answered", "_body", "_failure", "on_end", "on_headers")

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.on_end: Callable[[WireError | None], None] | None = None
        self.on_headers: Callable[[Metadata], None] | None = None
        self._answered = False
        self._failure: CallError | None = None  # the response is none of gRPC
        self._body = b""  # and this is how its text begins

    def cancel(self, code: Code = Code.CANCELLED) -> None:
        """End the call at once; ``on_end`` gets a CallError with ``code``."""
        if not self.closed:
            super().cancel(code)
            late = code is Code.DEADLINE_EXCEEDED
            why = "no answer came in time" if late else "the call was canceled here"
            self._finish(CallError(code, why))

    def headers_received(self, headers: list[Header], ended: bool) -> None:
        status = check_headers(headers, (b":status",), trailers=self._answered).get(b":status")
        if status is not None:
            if not status.isdigit() or len(status) != 3:
                raise ViolationError(frames.PROTOCOL_ERROR, f"a response of status {status!r}")
            if status[:1] == b"1" and not ended:
                return
            self._answered = True
            self._failure = not_grpc(int(status), headers)
            if not ended and self._failure is None and self.on_headers is not None:
                self.on_headers(to_metadata(headers))
        elif not ended:
            raise ViolationError(frames.PROTOCOL_ERROR, "trailers that do not end the stream")
        if ended:
            self._finish(self._status(headers))

    def reset_received(self, code: int) -> None:
        self._finish(
            CallError(
                code_of_reset(code), f"the server reset the stream: {frames.error_name(code)}"
            )
        )

    def connection_lost(self, error: WireError) -> None:
        self._finish(error)

    def _takes(self, data: memoryview) -> bool:
        if not self._answered:
            raise ViolationError(frames.PROTOCOL_ERROR, "DATA before HEADERS")
        if self._failure is not None and len(self._body) < _BODY_SHOWN:
            self._body += data[:_BODY_SHOWN]
        return self._failure is None

    def _peer_ended(self) -> None:
        self._finish(
            self._http_failure()
            or CallError(Code.INTERNAL, "the server ended the call without a status")
        )

    def _status(self, headers: list[Header]) -> WireError | None:
        fields = dict(headers)
        if b"grpc-status" not in fields:
            return self._http_failure() or CallError(
                Code.UNKNOWN, "the server ended the call without a status"
            )
        code = parse_code(fields[b"grpc-status"])
        if code is not Code.OK:
            return CallError(
                code,
                percent_decode(fields.get(b"grpc-message", b"")),
                decode_details(fields.get(b"grpc-status-details-bin", b"")),
            )
        if self._inside_message():
            return CallError(Code.INTERNAL, "the server ended the call inside a message")
        return None

    def _http_failure(self) -> CallError | None:
        if self._failure is not None and self._body:
            text = self._body[:_BODY_SHOWN].decode("utf-8", "replace").strip()
            return CallError(self._failure.code, f"{self._failure.message}: {text}")
        return self._failure

    def _finish(self, error: WireError | None) -> None:
        on_end, self.on_end = self.on_end, None
        self.on_message = self.on_headers = None
        if on_end is not None:
            on_end(error)
