"""Connect to a socket file or over TCP, and put TLS on it: never without end, never with words.

What goes wrong is an ``OSError`` or :class:`~dockyard.engine.wait.OutOfTimeError`; whoever dials
knows what for, and says so.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.engine.stream import SocketStream
from dockyard.engine.wait import OutOfTimeError, Wait

if TYPE_CHECKING:
    import socket
    import ssl

    from dockyard.engine.stream import TLSStream

_LONGEST_PATH = 107
"""Bytes of a path that fit into a unix socket's address."""


class KeepAlive(NamedTuple):
    """When TCP asks a silent peer whether it is still there, in seconds."""

    idle: int = 30
    """Silence before it asks."""
    interval: int = 30
    """Between questions that nobody answers."""
    probes: int = 0
    """Unanswered questions that end the connection; 0 leaves it to the system."""
    unanswered: int = 0
    """How long what was sent may stay without a receipt; 0 leaves it to the system."""


AS_DOCKER = KeepAlive()


# --- unix ----------------------------------------------------------------------------------


def connect_unix(path: str, wait: Wait) -> SocketStream:
    """Connect to a socket file, or to the abstract socket that ``@NAME`` names.

    Raises:
        OSError: Nobody listens there.
        OutOfTimeError: Nobody took the connection in time.
        CanceledError: It was canceled.
    """
    if path.startswith("@"):
        return _connect_unix("\0" + path[1:], wait)
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        return _connect_unix(path, wait)
    # The kernel takes a short way to a long path: through a descriptor of its directory.
    directory, name = os.path.split(path)
    if not os.path.isdir("/proc/self/fd") or len(os.fsencode(name)) > 80:  # noqa: PTH112
        raise OSError(f"the path is longer than the {_LONGEST_PATH} bytes of a socket's address")
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _connect_unix(f"/proc/self/fd/{descriptor}/{name}", wait)
    finally:
        os.close(descriptor)


def _connect_unix(address: str, wait: Wait) -> SocketStream:
    import _socket  # what module socket is made of, and adds 3 ms to

    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        while True:
            try:
                sock.connect(address)
            except BlockingIOError:
                wait.pause(0.02)  # its queue is full, and no poll says when it is not
            else:
                return SocketStream(sock)
    except BaseException:
        sock.close()
        raise


# --- tcp -----------------------------------------------------------------------------------


def connect_tcp(
    host: str, port: int, wait: Wait, keepalive: KeepAlive = AS_DOCKER
) -> socket.socket:
    """Connect to the first of a name's addresses that answers; each gets its share of the time.

    Raises:
        OSError: None does; says what the last one said.
        OutOfTimeError: Nobody answered in time.
        CanceledError: It was canceled.
    """
    failure = OSError(f"{host} has no address")
    addresses = _addresses(host, port, wait)
    for number, (family, address) in enumerate(addresses):
        share = wait.left / (len(addresses) - number)
        try:
            return _connect_tcp(family, address, wait, share, keepalive)
        except OutOfTimeError:
            raise
        except OSError as error:
            failure = error
    raise failure


def _addresses(host: str, port: int, wait: Wait) -> list[tuple[int, tuple[Any, ...]]]:
    import socket
    import threading

    found: list[tuple[int, tuple[Any, ...]]] = []
    failures: list[OSError] = []
    done, told = socket.socketpair()

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend((family, address) for family, _, _, _, address in entries)
        except OSError as error:
            failures.append(error)
        except UnicodeError:
            failures.append(OSError(f"{host} is no name of a machine"))
        told.close()

    # The resolver knows no deadline, so it is left alone when it is slow.
    threading.Thread(target=look_up, name="dockyard-resolve", daemon=True).start()
    with done:
        wait.until_ready(done.fileno(), select.POLLIN)
    if failures:
        raise failures[0]
    return found


def _connect_tcp(
    family: int, address: tuple[Any, ...], wait: Wait, share: float, keepalive: KeepAlive
) -> socket.socket:
    import errno
    import socket

    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_alive(sock, keepalive)
        try:
            sock.connect(address)
        except BlockingIOError:
            ready = wait.until_ready(sock.fileno(), select.POLLOUT, share)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            number = number if ready else errno.ETIMEDOUT
            if number:
                raise OSError(number, os.strerror(number)) from None
    except BaseException:
        sock.close()
        raise
    return sock


def _keep_alive(sock: socket.socket, keepalive: KeepAlive) -> None:
    import socket

    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    settings = {
        "TCP_KEEPIDLE": keepalive.idle,
        "TCP_KEEPINTVL": keepalive.interval,
        "TCP_KEEPCNT": keepalive.probes,
        "TCP_USER_TIMEOUT": keepalive.unanswered * 1000,
    }
    for name, value in settings.items():
        if value and hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


# --- tls -----------------------------------------------------------------------------------


def secure(context: ssl.SSLContext, sock: socket.socket, name: str, wait: Wait) -> TLSStream:
    """Shake hands; takes the socket over, also when it fails.

    Args:
        context: What to trust and to show.
        sock: Connected.
        name: What the peer's certificate has to be for.
        wait: The deadline.

    Raises:
        OSError: One of the two did not like the other; often an ``ssl.SSLError``.
        OutOfTimeError: It took too long.
        CanceledError: It was canceled.
    """
    import ssl

    from dockyard.engine.stream import TLSStream

    try:
        _check_name(name)  # ssl would keep the socket open
        wrapped = context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
    except BaseException:
        sock.close()
        raise
    try:
        while True:
            try:
                wrapped.do_handshake()
            except ssl.SSLWantReadError:
                wait.until_ready(wrapped.fileno(), select.POLLIN)
            except ssl.SSLWantWriteError:
                wait.until_ready(wrapped.fileno(), select.POLLOUT)
            else:
                return TLSStream(wrapped)
    except BaseException:
        wrapped.close()
        raise


def _check_name(name: str) -> None:
    try:
        possible = bool(name.encode("idna"))
    except UnicodeError:
        possible = False
    if not possible:
        raise OSError(f'"{name}" is no name that a certificate could be for')
