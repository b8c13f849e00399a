"""How much a peer may ask of us."""

from __future__ import annotations

from typing import NamedTuple

MAX_MESSAGE = 16 << 20
"""The largest gRPC message, in bytes; BuildKit's own limit on both sides."""


class Limits(NamedTuple):
    """The bounds of one connection. A peer that exceeds one is disconnected, with a reason."""

    message: int = MAX_MESSAGE
    """Bytes of one gRPC message."""
    headers: int = 16 << 20
    """Bytes of one header list. Large: a failed build's trailers embed the Dockerfile."""
    continuations: int = 4096
    """CONTINUATION frames of one header list."""
    streams: int = 1000
    """Streams that a client may have open; more are refused. Ours must not starve health checks."""
    frame: int = 256 << 10
    """Bytes of one frame. A message within one frame is handed on without being copied."""
    stream_window: int = 8 << 20
    """Bytes that a peer may send on one stream before we give it more window; at least 65535."""
    connection_window: int = 64 << 20
    """The same for all its streams together."""
    buffered: int = 256 << 20
    """Bytes of unfinished messages and of request headers, all streams together."""
    queued_replies: int = 1000
    """Answers to control frames (PING, SETTINGS, refused streams) that wait to be sent."""
    churn: int = 2000
    """Streams reset by the peer, and frames that carry nothing, allowed in a burst."""
    churn_rate: float = 500.0
    """The same, per second, after a burst."""
    keepalive_timeout: float = 20.0
    """Seconds that a peer has to answer a keepalive PING."""


DEFAULT_LIMITS = Limits()
