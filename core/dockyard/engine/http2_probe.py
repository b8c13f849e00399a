"""Find out, in a few bytes, whether the peer of a new connection speaks HTTP/2, or gRPC.

The core's own HTTP/2 is for talking; this is for finding out whether there is anybody to talk to,
below it, without its machinery. What a probe has written to a connection makes it useless for
anybody else, except for :func:`hear_settings`, which only listens.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.engine.stream import SocketStream
from dockyard.engine.wait import OutOfTimeError, Wait

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_NO_SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
_HEAD = 9
"""Bytes in front of each frame: three of length, type, flags, four of stream."""
_LARGEST = 16 << 10
"""Bytes of payload that a peer may send when it was told nothing else."""

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _GOAWAY = 0, 1, 3, 4, 7
_END_STREAM, _END_HEADERS = 1, 4
_NO_MESSAGE = bytes(5)
"""A gRPC message without content."""


class NoAnswerError(OSError):
    """What answers is not what was looked for; says in a few words what it is instead."""


class _Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def speaks_http2(stream: SocketStream, wait: Wait) -> bool:
    """Say whether the peer greets as HTTP/2 does, after having been greeted so.

    Raises:
        OSError: The connection broke.
        OutOfTimeError: It said nothing.
        CanceledError: It was canceled.
    """
    stream.sendmsg([_PREFACE + _NO_SETTINGS])  # a few bytes on a new connection always fit
    return _is_greeting(_read(stream, wait, _HEAD))


def hear_settings(stream: SocketStream, wait: Wait) -> None:
    """Wait for the greeting of a peer that speaks first, as gRPC servers do; nothing is used up.

    Raises:
        NoAnswerError: What it says is no HTTP/2.
        OSError: The connection broke.
        OutOfTimeError: It said nothing, which a peer may do that waits to be greeted.
        CanceledError: It was canceled.
    """
    heard = _read(stream, wait, _HEAD)
    if not _is_greeting(heard):
        raise NoAnswerError(_what(heard))
    stream.unread(heard)


def ask(stream: SocketStream, wait: Wait, method: str, authority: str) -> None:
    """Call a gRPC method that takes an empty request and gives one message, and await that.

    Args:
        stream: A new connection.
        wait: The deadline.
        method: ``/package.Service/Method``.
        authority: The name that the peer is called by.

    Raises:
        NoAnswerError: It speaks something else, or the call failed.
        OSError: The connection broke.
        OutOfTimeError: It did not answer in time.
        CanceledError: It was canceled.
    """
    headers = _headers(method, authority)
    stream.sendmsg(
        [
            _PREFACE + _NO_SETTINGS,
            _frame(_HEADERS, _END_HEADERS, 1, headers),
            _frame(_DATA, _END_STREAM, 1, _NO_MESSAGE),
        ]
    )
    for frame in _frames(stream, wait):
        if frame.kind == _GOAWAY:
            raise NoAnswerError("it says goodbye")
        if frame.stream != 1:
            continue
        if frame.kind == _DATA and _is_message(frame.payload):
            return
        if frame.kind in (_DATA, _RST_STREAM) or frame.flags & _END_STREAM:
            raise NoAnswerError("it speaks HTTP/2, but does not answer as BuildKit does")


def _headers(method: str, authority: str) -> bytes:
    """Write a request's headers with names from HPACK's static table and plain values."""
    return b"".join(
        [
            b"\x83\x86",  # :method POST, :scheme http
            b"\x04" + _text(method),  # :path
            b"\x01" + _text(authority),  # :authority
            b"\x0f\x10" + _text("application/grpc"),  # content-type
            b"\x00" + _text("te") + _text("trailers"),
        ]
    )


def _text(value: str) -> bytes:
    data = value.encode()[:126]  # one byte of length holds no more; names are shorter
    return bytes([len(data)]) + data


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def _frames(stream: SocketStream, wait: Wait) -> Iterator[_Frame]:
    head = _read(stream, wait, _HEAD)
    if not _is_greeting(head):
        raise NoAnswerError(_what(head))
    while True:
        if len(head) < _HEAD:
            raise NoAnswerError("it hung up before it answered")
        size = int.from_bytes(head[:3], "big")
        if size > _LARGEST:
            raise NoAnswerError("what it says is no HTTP/2")
        payload = _read(stream, wait, size)
        if not wait.left:
            raise OutOfTimeError  # who never stops talking is ready at all times
        number = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        yield _Frame(head[3], head[4], number, payload)
        head = _read(stream, wait, _HEAD)


def _read(stream: SocketStream, wait: Wait, size: int) -> bytes:
    """Read so many bytes, or fewer when they are the end."""
    received = bytearray()
    while len(received) < size:
        if not stream.pending():
            wait.until_ready(stream.fileno(), select.POLLIN)
        piece = bytearray(size - len(received))
        try:
            count = stream.recv_into(piece)
        except BlockingIOError:
            continue
        if not count:
            break
        received += piece[:count]
    return bytes(received)


def _is_greeting(head: bytes) -> bool:
    return len(head) == _HEAD and head[3] == _SETTINGS and head[5:] == bytes(4)


def _is_message(payload: bytes) -> bool:
    """Tell a gRPC message's beginning from a web page."""
    return payload[:1] in (b"\0", b"\1") and payload[1:2] in (b"", b"\0")


def _what(heard: bytes) -> str:
    if not heard:
        return "it hung up without a word"
    if heard.startswith(b"HTTP/"):
        return "it speaks HTTP/1, not gRPC"
    if heard[:2] == b"\x15\x03":
        return "it expects TLS"
    return "what it says is no HTTP/2"
