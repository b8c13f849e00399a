"""Open a byte stream to a Docker Engine, wherever it is: a socket file, TCP, TLS, or ssh.

Every error says first ``failed to connect to the docker API at HOST``, then why, and what to do
about it in its hint. Nothing here waits longer than it was told to.
"""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING, Any

from dockyard.cancellation import Cancellation
from dockyard.engine.context import split_tcp
from dockyard.engine.endpoint import EngineEndpoint, TLSFiles
from dockyard.engine.stream import PipeStream, SocketStream
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import EndpointError, EngineUnreachableError

if TYPE_CHECKING:
    import socket
    import ssl

TIMEOUT = 20.0
"""Seconds that reaching an engine may take."""

_LONGEST_PATH = 107
"""Bytes of a path that fit into a unix socket's address."""
_KEEPALIVE = 30
"""Seconds of silence after which TCP asks whether the peer is still there, as docker does."""
_RUNNING_HINT = "check that the address is right and that the docker daemon is running"


def dial(
    endpoint: EngineEndpoint,
    *,
    timeout: float = TIMEOUT,
    cancel: Cancellation | None = None,
    protocol: str = "http/1.1",
) -> SocketStream:
    """Open a byte stream to the engine.

    An ``ssh://`` engine is only known to be there when it has answered.

    Args:
        endpoint: Where the engine is.
        timeout: Seconds it may take.
        cancel: Ends it earlier.
        protocol: What is going to be spoken, for TLS to agree on.

    Raises:
        EngineUnreachableError: Nobody answers there; says why.
        EndpointError: The address makes no sense, or is of a kind that cannot be dialled here.
        CanceledError: ``cancel`` was turned.
    """
    scheme, _, address = endpoint.host.partition("://")
    with Wait(timeout, cancel) as wait:
        try:
            match scheme:
                case "unix":
                    return _dial_unix(address, wait)
                case "tcp":
                    return _dial_tcp(endpoint, address, wait, protocol)
                case "ssh":
                    return PipeStream(ssh_command(endpoint.host, timeout=timeout))
        except OutOfTimeError as error:
            raise unreachable(endpoint, f"no answer within {timeout:g} s", _RUNNING_HINT) from error
        except OSError as error:
            raise _explained(endpoint, address, error) from error
    raise _refused(endpoint, scheme)


def unreachable(
    endpoint: EngineEndpoint, reason: str, hint: str | None = None
) -> EngineUnreachableError:
    """Make the error that says that an engine cannot be reached, and why."""
    return EngineUnreachableError(
        f"failed to connect to the docker API at {endpoint.host}; {reason}", hint=hint
    )


def _refused(endpoint: EngineEndpoint, scheme: str) -> EndpointError:
    if scheme == "npipe":
        return EndpointError(f"{endpoint.host} is a named pipe, which only Windows has")
    if scheme == "fd":
        return EndpointError(f"{endpoint.host} is for the daemon to listen on, not to connect to")
    return EndpointError(f"{endpoint.host} is no address of a docker engine")


def _explained(endpoint: EngineEndpoint, address: str, error: OSError) -> EngineUnreachableError:
    if endpoint.host.startswith("ssh:"):
        missing = isinstance(error, FileNotFoundError)
        reason = "the program ssh is not installed" if missing else _words(error)
        return unreachable(endpoint, reason, "install an ssh client")
    if error.errno in (errno.EACCES, errno.EPERM) and endpoint.host.startswith("unix:"):
        group = _group_of(address)
        return unreachable(
            endpoint,
            "permission denied",
            f"only root and the group {group} may use it: sudo usermod -aG {group} $USER, "
            "then log in again",
        )
    return unreachable(endpoint, _words(error), _hint(endpoint, error))


def _hint(endpoint: EngineEndpoint, error: OSError) -> str:
    if endpoint.tls is None or type(error).__module__ != "ssl":
        return _RUNNING_HINT
    return "check the certificates, and that the engine expects TLS on this port"


def _words(error: OSError) -> str:
    """Say in one line what the system said."""
    verify = getattr(error, "verify_message", None)
    if verify:
        return f"the engine's certificate is not accepted: {verify.rstrip('.')}"
    if type(error).__module__ == "ssl":
        return f"TLS failed: {getattr(error, 'reason', None) or error}"
    return (error.strerror or str(error) or type(error).__name__).lower()


def _group_of(path: str) -> str:
    import grp

    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name  # noqa: PTH116  # text, may be abstract
    except (OSError, KeyError):
        return "docker"


# --- unix ----------------------------------------------------------------------------------


def _dial_unix(path: str, wait: Wait) -> SocketStream:
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


# --- tcp and tls ---------------------------------------------------------------------------


def _dial_tcp(endpoint: EngineEndpoint, address: str, wait: Wait, protocol: str) -> SocketStream:
    try:
        host, port, _ = split_tcp(address)
    except ValueError as error:
        raise EndpointError(f"invalid engine address {endpoint.host}: {error}") from error
    # Files first: a missing certificate is no reason to knock at the engine's door.
    context = None if endpoint.tls is None else _tls_context(endpoint, endpoint.tls, protocol)
    sock = _connect_first(host or "localhost", port or (2376 if context else 2375), wait)
    if context is None:
        return SocketStream(sock)
    return _secured(context, sock, host or "localhost", wait)


def _connect_first(host: str, port: int, wait: Wait) -> socket.socket:
    """Connect to the first of a name's addresses that answers."""
    failure = OSError(f"{host} has no address")
    for family, address in _addresses(host, port, wait):
        try:
            return _connect_tcp(family, address, wait)
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


def _connect_tcp(family: int, address: tuple[Any, ...], wait: Wait) -> socket.socket:
    import socket

    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), _KEEPALIVE)
        try:
            sock.connect(address)
        except BlockingIOError:
            wait.until_ready(sock.fileno(), select.POLLOUT)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                raise OSError(number, os.strerror(number)) from None
    except BaseException:
        sock.close()
        raise
    return sock


def _tls_context(endpoint: EngineEndpoint, files: TLSFiles, protocol: str) -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Engines would choose HTTP/2, over which no connection can be upgraded.
    context.set_alpn_protocols([protocol])
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    wanted = files.ca or files.cert
    try:
        if files.ca:
            context.load_verify_locations(cafile=files.ca)
        elif files.verify:
            context.load_default_certs()
        if files.cert or files.key:
            wanted = files.cert or files.key
            context.load_cert_chain(files.cert, files.key or None)
    except OSError as error:
        what = error.strerror if not isinstance(error, ssl.SSLError) else "no usable PEM file"
        raise unreachable(
            endpoint, f"certificate file {wanted} cannot be used: {(what or '').lower()}"
        ) from error
    return context


def _secured(context: ssl.SSLContext, sock: socket.socket, host: str, wait: Wait) -> SocketStream:
    import ssl

    from dockyard.engine.stream import TLSStream

    try:
        wrapped = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
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


# --- ssh -----------------------------------------------------------------------------------


def ssh_command(host: str, *, timeout: float = TIMEOUT) -> list[str]:
    """Give the command that reaches ``ssh://[USER@]HOST[:PORT][/SOCKET]``, as docker does.

    Raises:
        EndpointError: The address has parts that ssh cannot be given, such as a password.
    """
    import math
    import shlex

    def refuse(reason: str) -> EndpointError:
        return EndpointError(f"invalid ssh address {shown}: {reason}")

    address = host.removeprefix("ssh://")
    user, at, rest = address.rpartition("@")
    shown = f"ssh://{rest}"
    if ":" in user:
        raise refuse("a password cannot be given; use keys or an agent")
    for character, what in (("?", "a query"), ("#", "a fragment")):
        if character in address:
            raise refuse(f"{what} makes no sense in it")
    try:
        name, port, path = split_tcp(rest)
    except ValueError as error:
        raise refuse(str(error)) from error
    if not name or (at and not user):
        raise refuse("the host or the user is missing")
    command = ["ssh", "-T", "-o", f"ConnectTimeout={math.ceil(timeout)}"]
    command += ["-l", user] if user else []
    command += ["-p", str(port)] if port else []
    command += ["--", name, "docker"]
    if path.strip("/"):
        command += ["--host", shlex.quote(f"unix://{path}")]
    return [*command, "system", "dial-stdio"]
