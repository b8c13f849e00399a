"""Open a byte stream to a Docker Engine, wherever it is: a socket file, TCP, TLS, or ssh.

Every error says first ``failed to connect to the docker API at HOST``, then why, and what to do
about it in its hint. Nothing here waits longer than it was told to.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from dockyard.cancellation import Cancellation
from dockyard.engine.connect import connect_tcp, connect_unix, secure
from dockyard.engine.context import split_tcp
from dockyard.engine.endpoint import EngineEndpoint, TLSFiles
from dockyard.engine.stream import PipeStream, SocketStream
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import EndpointError, EngineUnreachableError

if TYPE_CHECKING:
    import ssl

TIMEOUT = 20.0
"""Seconds that reaching an engine may take."""

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
                    return connect_unix(address, wait)
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


# --- tcp and tls ---------------------------------------------------------------------------


def _dial_tcp(endpoint: EngineEndpoint, address: str, wait: Wait, protocol: str) -> SocketStream:
    try:
        host, port, _ = split_tcp(address)
    except ValueError as error:
        raise EndpointError(f"invalid engine address {endpoint.host}: {error}") from error
    # Files first: a missing certificate is no reason to knock at the engine's door.
    context = None if endpoint.tls is None else _tls_context(endpoint, endpoint.tls, protocol)
    sock = connect_tcp(host or "localhost", port or (2376 if context else 2375), wait)
    if context is None:
        return SocketStream(sock)
    return secure(context, sock, host or "localhost", wait)


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
            # Without a password OpenSSL would ask for one on the terminal, and wait.
            context.load_cert_chain(files.cert, files.key or None, password=lambda: b"")
    except OSError as error:
        what = error.strerror if not isinstance(error, ssl.SSLError) else "no usable PEM file"
        raise unreachable(
            endpoint, f"certificate file {wanted} cannot be used: {(what or '').lower()}"
        ) from error
    return context


# --- ssh -----------------------------------------------------------------------------------


def ssh_command(host: str, *, timeout: float = TIMEOUT) -> list[str]:
    """Give the command that reaches ``ssh://[USER@]HOST[:PORT][/SOCKET]``, as docker does.

    Raises:
        EndpointError: The address has parts that ssh cannot be given, such as a password.
    """
    import shlex

    from dockyard.engine.ssh import ssh_login

    command, path = ssh_login(host, timeout=timeout)
    command.append("docker")
    if path:
        command += ["--host", shlex.quote(f"unix://{path}")]
    return [*command, "system", "dial-stdio"]
