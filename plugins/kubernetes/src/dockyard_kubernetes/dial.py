"""Open byte streams to an API server: TCP, the proxy, TLS, and what went wrong in words."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from dockyard.engine.connect import KeepAlive, connect_tcp, secure
from dockyard.engine.stream import SocketStream
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard_kubernetes.credential import Pem, Shown
from dockyard_kubernetes.failure import (
    ClusterUnreachableError,
    KubeconfigError,
    NonsenseError,
    one_line,
)
from dockyard_kubernetes.kubeconfig import Access
from dockyard_kubernetes.proxy import Proxy, ProxyError, find_proxy, parse_proxy, pass_through

if TYPE_CHECKING:
    import ssl

_KEEP_ALIVE = KeepAlive(idle=5, interval=5, probes=3, unanswered=20)
"""A machine that lost its power, or a cable that was cut, is noticed within 20 s."""

_HINT = "check that the cluster runs and can be reached from here: kubectl cluster-info"


class Address(NamedTuple):
    """Where a server listens."""

    scheme: str
    host: str
    port: int
    authority: str
    """Host and port, as the URL has them."""
    prefix: str
    """The path before all others; no slash at its end."""


class Dialer:
    """Opens connections to one server. Threads may share it."""

    def __init__(self, access: Access, variables: Mapping[str, str]) -> None:
        """Prepare.

        Raises:
            KubeconfigError: The server's or the proxy's address is malformed.
        """
        self._access = access
        self.address = address = _parse_server(access)
        self._proxy: Proxy | None = None
        url, source = access.proxy, f"{access.source}, proxy-url"
        if not url:
            url = find_proxy(address.scheme, address.host, address.port, variables)
            source = f"the variable {address.scheme.upper()}_PROXY"
        if url:
            self._proxy = parse_proxy(url, source)
        self._lock = threading.Lock()
        self._context: tuple[Pem | None, ssl.SSLContext] | None = None

    def dial(self, shown: Shown, wait: Wait) -> SocketStream:
        """Connect.

        Raises:
            ClusterUnreachableError: It does not work; says why.
            CanceledError: It was canceled.
        """
        address = self.address
        first = self._proxy or address
        try:
            context = self._tls(shown) if address.scheme == "https" else None
            sock = connect_tcp(first.host, first.port, wait, _KEEP_ALIVE)
            try:
                if self._proxy is not None:
                    pass_through(self._proxy, sock, address.host, address.port, wait)
            except BaseException:
                sock.close()
                raise
            if context is None:
                return SocketStream(sock)
            return secure(context, sock, self._access.server_name or address.host, wait)
        except (OSError, OutOfTimeError) as error:
            raise self.unreachable(error, wait) from error

    def unreachable(self, error: Exception, wait: Wait) -> ClusterUnreachableError:
        """Say that the server cannot be reached, and why."""
        access = self._access
        place = f' (context "{access.context}")' if access.context else ""
        words, hint, transient = _explain(error, access, wait)
        if self._proxy is not None and not isinstance(error, ProxyError):
            words += f", by way of the proxy {self._proxy}"
        return ClusterUnreachableError(
            f"cannot reach the kubernetes API server at {access.server}{place}: {words}",
            hint=hint,
            transient=transient,
        )

    def _tls(self, shown: Shown) -> ssl.SSLContext:
        with self._lock:
            if self._context is None or self._context[0] is not shown.certificate:
                self._context = shown.certificate, make_context(self._access, shown)
            return self._context[1]


def make_context(access: Access, shown: Shown) -> ssl.SSLContext:
    """Prepare TLS.

    Raises:
        KubeconfigError: A certificate or key cannot be used.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Servers would choose HTTP/2, over which no connection can be upgraded.
    context.set_alpn_protocols(["http/1.1"])
    if not access.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif access.authority is None:
        context.load_default_certs()
    else:
        try:
            # Comments between certificates may be in any language.
            data = access.authority.data.decode("ascii", "ignore")
            context.load_verify_locations(cadata=data)
        except (ValueError, ssl.SSLError) as error:
            raise _unusable(access.authority, "it has no certificate in PEM form") from error
    if shown.certificate is not None and shown.key is not None:
        _load_pair(context, shown.certificate, shown.key)
    return context


def _load_pair(context: ssl.SSLContext, certificate: Pem, key: Pem) -> None:
    import ssl

    def refuse() -> bytes:
        raise _unusable(key, "it is protected by a password, which cannot be given")

    try:
        with _as_file(certificate.data + b"\n" + key.data) as path:
            # Without a password OpenSSL would ask for one on the terminal, and wait.
            context.load_cert_chain(path, password=refuse)
    except (ValueError, ssl.SSLError) as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            words = f"it does not belong to the certificate from {certificate.source}"
            raise _unusable(key, words) from error
        words = f"with the key from {key.source} it is no usable pair in PEM form"
        raise _unusable(certificate, words) from error


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """Give a path to read the data from; module ``ssl`` takes keys from files only.

    It lies in memory, where the system can do that, and nowhere afterwards.
    """
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):  # noqa: PTH112
        descriptor = os.memfd_create("dockyard", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.name


def _unusable(pem: Pem, words: str) -> KubeconfigError:
    return KubeconfigError(
        f"{pem.kind} from {pem.source} cannot be used: {words}",
        hint="kubectl config view shows what the kubeconfig names",
    )


def _parse_server(access: Access) -> Address:
    from urllib.parse import urlsplit

    url = access.server
    if "://" not in url:
        secure_ = access.authority is not None or not access.verify
        url = f"{'https' if secure_ else 'http'}://{url}"
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", "", None
    if "@" in url:
        raise KubeconfigError(
            f"the server address in {access.source} has a user name in it",
            hint="it has the form https://HOST:PORT; who you are is said under users",
        )
    if scheme not in ("http", "https") or not host or not url.isascii() or " " in url:
        raise KubeconfigError(
            f"malformed server address {access.server!r} in {access.source}",
            hint="it has the form https://HOST:PORT",
        )
    port = port or (443 if scheme == "https" else 80)
    return Address(scheme, host, port, parts.netloc, parts.path.rstrip("/"))


# --- words ---------------------------------------------------------------------------------


def _explain(error: Exception, access: Access, wait: Wait) -> tuple[str, str, bool]:
    """Say what happened, what to do about it, and whether trying again may help."""
    if isinstance(error, OutOfTimeError):
        return f"no answer within {wait.seconds:g} s", _HINT, True
    if isinstance(error, ProxyError):
        return str(error), "check the proxy, and NO_PROXY", False
    if isinstance(error, NonsenseError):
        return str(error), "check the server's address, and proxies on the way", False
    if type(error).__module__ == "ssl":
        return _explain_tls(error, access)
    if type(error).__name__ == "gaierror":
        words = (getattr(error, "strerror", None) or str(error)).lower()
        return f"its name cannot be resolved: {words}", _HINT, "temporary" in words
    words = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
    return one_line(words), _HINT, True


def _explain_tls(error: Exception, access: Access) -> tuple[str, str, bool]:
    verify = getattr(error, "verify_message", None)
    if verify:
        hint = "the kubeconfig has to have the cluster's certificate-authority"
        if "mismatch" in verify or "not valid for" in verify:
            hint = "use a server address that the certificate is for, or set tls-server-name"
        elif "expired" in verify or "not yet valid" in verify:
            hint = "renew the certificate; check the clocks"
        return f"its certificate is not accepted: {verify.rstrip('.').lower()}", hint, False
    reason = getattr(error, "reason", None) or str(error)
    alert = reason.partition("ALERT_")[2].lower().replace("_", " ")
    if alert == "internal error":
        return f"TLS failed: {alert}", _HINT, True
    if alert:
        return (
            f"it refused us in the TLS handshake: {alert}",
            "check the client certificate in the kubeconfig; it may have expired",
            False,
        )
    hung_up = type(error).__name__ in ("SSLEOFError", "SSLZeroReturnError")
    words = "it hung up during TLS" if hung_up else "it speaks no TLS"
    return (
        f"{words} ({one_line(reason).lower()})",
        _HINT + f"; {access.server} may be wrong",
        hung_up,
    )
