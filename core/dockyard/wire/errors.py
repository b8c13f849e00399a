"""What can go wrong on a connection. Nothing else escapes from this package."""

from __future__ import annotations

from dockyard.wire.status import Code


class WireError(Exception):
    """Base of all errors of this package."""


class PeerError(WireError):
    """The peer broke the rules of HTTP/2 or gRPC, or speaks neither; the connection is closed.

    ``code`` is the HTTP/2 error code that it was told.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class ConnectionLost(WireError):  # noqa: N818 (what happened, not who is to blame)
    """The stream ended, or the peer went away, or it does not answer any more."""


class CallError(WireError):
    """A call ended with a status other than OK.

    ``message`` is the peer's; ``details`` is a serialised ``google.rpc.Status``, or empty.
    """

    def __init__(self, code: Code, message: str = "", details: bytes = b"") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return f"{self.code.go_name}: {self.message}" if self.message else self.code.go_name
