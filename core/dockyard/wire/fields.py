"""gRPC's headers: what they must look like, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence

from dockyard.wire import frames
from dockyard.wire.errors import CallError
from dockyard.wire.frames import ViolationError
from dockyard.wire.hpack import Header
from dockyard.wire.status import Code, code_of_http

Metadata = Sequence[tuple[str, str]]

CONTENT_TYPE = (b"content-type", b"application/grpc")

_NOT_METADATA = frozenset((b"content-type", b"grpc-status", b"grpc-message", b"grpc-encoding"))
_FORBIDDEN = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def is_regular(header: Header) -> bool:
    """Whether a header is none of those that must come first."""
    return not header[0].startswith(b":")


def make_header(name: str, value: str) -> Header:
    """Make a header of a piece of metadata.

    Raises:
        ValueError: It cannot be sent.
    """
    if not name or not name.isascii() or name[0] == ":" or not value.isprintable():
        raise ValueError(f"{name!r}: {value!r} cannot be sent as metadata")
    return name.lower().encode(), value.encode()


def to_metadata(headers: list[Header]) -> Metadata:
    """Give the headers that are not HTTP's or gRPC's own."""
    # Old daemons send values that are plain UTF-8, or, in file names, anything.
    return tuple(
        (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
        for name, value in headers
        if name[:1] != b":" and name not in _NOT_METADATA
    )


def is_grpc(headers: list[Header]) -> bool:
    """Whether a header list says that gRPC messages follow."""
    return dict(headers).get(b"content-type", b"").startswith(b"application/grpc")


def not_grpc(status: int, headers: list[Header]) -> CallError | None:
    """Say what is wrong with a response that is none of gRPC."""
    if status != 200:
        return CallError(code_of_http(status), f"the server answered with HTTP status {status}")
    fields = dict(headers)
    if is_grpc(headers) or b"grpc-status" in fields:
        return None
    kind = fields.get(b"content-type", b"").decode("latin-1")
    return CallError(Code.UNKNOWN, f"the server's answer is not gRPC but {kind!r}")


def check_headers(
    headers: list[Header], wanted: tuple[bytes, ...], *, trailers: bool
) -> dict[bytes, bytes]:
    """Check that a header list is well-formed; give its pseudo-headers.

    Raises:
        ViolationError: It is not.
    """
    pseudo: dict[bytes, bytes] = {}
    regular = False
    for name, value in headers:
        if name[:1] == b":":
            known = name in wanted or (name == b":authority" and b":path" in wanted)
            if trailers or regular or not known or name in pseudo:
                raise ViolationError(frames.PROTOCOL_ERROR, f"the header {name!r} in a wrong place")
            pseudo[name] = value
        else:
            regular = True
            if not name or name != name.lower() or name in _FORBIDDEN:
                raise ViolationError(frames.PROTOCOL_ERROR, f"the header {name[:64]!r}")
        if b"\0" in value or b"\n" in value or b"\r" in value:
            raise ViolationError(frames.PROTOCOL_ERROR, f"a line break in the header {name[:64]!r}")
    if not trailers and not all(name in pseudo for name in wanted):
        raise ViolationError(frames.PROTOCOL_ERROR, "a header list that lacks a pseudo-header")
    return pseudo


def format_timeout(seconds: float) -> str:
    """Write ``grpc-timeout``."""
    milliseconds = max(1, int(seconds * 1000))
    if milliseconds < 10**8:
        return f"{milliseconds}m"
    return f"{min(milliseconds // 1000, 10**8 - 1)}S"


def parse_timeout(text: str) -> float:
    """Read ``grpc-timeout`` as seconds.

    Raises:
        ViolationError: It is malformed.
    """
    digits, unit = text[:-1], text[-1:]
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 8 or unit not in _UNITS:
        raise ViolationError(frames.PROTOCOL_ERROR, f"a grpc-timeout of {text[:32]!r}")
    return int(digits) * _UNITS[unit]
