"""One HTTP request to a token server: bounded, cancelable, without anything from outside.

``urllib`` is put together from the few handlers that are wanted: no ``file:`` and ``ftp:``
(the address comes from a registry), proxies from the variables that we were given.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from dockyard.cancellation import Cancellation
from dockyard.errors import CredentialError

if TYPE_CHECKING:
    import http.client
    import ssl
    import urllib.request

_MAX_ANSWER = 1 << 20


@frozen(kw_only=True)
class Answer:
    """What a server answered."""

    status: int
    reason: str
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@define(eq=False, kw_only=True)
class HttpClient:
    """Sends single requests."""

    variables: Mapping[str, str] = field(factory=dict, repr=False)
    """Where the proxies stand."""
    tls: ssl.SSLContext | None = None
    """Whom to trust; the system's authorities when not given."""
    patience: float = 15.0
    """Seconds without a sign of life from the server."""

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        cancel: Cancellation,
    ) -> Answer:
        """Send one request and read the answer, whatever its status.

        Headers are not repeated to a server that the answer redirects to: they may hold a
        password.

        Raises:
            CredentialError: The server cannot be reached or broke off; names what was asked.
            CanceledError: ``cancel`` was turned.
        """
        import http.client
        import urllib.error
        import urllib.request

        if not url.lower().startswith(("http://", "https://")):
            raise CredentialError(f"{method} {plain(url)}: only http and https are supported")
        try:
            request = urllib.request.Request(url, data=body, method=method)
            for name, value in headers.items():
                request.add_unredirected_header(name, value)
            with ExitStack() as stack:
                opener = self._opener(request, cancel, stack)
                response = stack.enter_context(opener.open(request, timeout=self.patience))
                data = response.read(_MAX_ANSWER + 1)
                cancel.check()
        except urllib.error.HTTPError as error:  # a redirect that may not be followed
            with error:
                return Answer(status=error.code, reason=str(error.msg), body=b"")
        except (OSError, http.client.HTTPException, ValueError) as error:
            cancel.check()
            raise CredentialError(f"{method} {plain(url)}: {_reason(error)}") from error
        if len(data) > _MAX_ANSWER:
            raise CredentialError(f"{method} {plain(url)}: the answer is larger than 1 MiB")
        return Answer(status=response.status, reason=response.reason, body=data)

    def _opener(
        self, request: urllib.request.Request, cancel: Cancellation, stack: ExitStack
    ) -> urllib.request.OpenerDirector:
        import http.client
        import urllib.request

        client = self

        def watch(connection: http.client.HTTPConnection) -> None:
            sock = connection.sock
            stack.callback(cancel.on_cancel(lambda: _break(sock)))

        class Plain(http.client.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                watch(self)

        class Secure(http.client.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                watch(self)

        def secure(host: str, **options: Any) -> Secure:  # noqa: ANN401  # passed on
            return Secure(host, context=client.tls, **options)

        class Open(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
            def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(Plain, req)

            def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(secure, req)

        class AnyStatus(urllib.request.BaseHandler):
            def http_error_default(
                self, _request: object, response: http.client.HTTPResponse, *_rest: object
            ) -> http.client.HTTPResponse:
                return response

        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(_proxies(self.variables, request.host)),
            Open(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPErrorProcessor(),
            AnyStatus(),
        ):
            opener.add_handler(handler)
        opener.addheaders = [("User-Agent", "dockyard")]
        return opener


def plain(url: str) -> str:
    """Give an address for a message: without user, password and query."""
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    path = path.partition("?")[0].partition("#")[0]
    text = f"{scheme}://{place.rpartition('@')[2].partition('?')[0]}{slash}{path}"
    return "".join(char for char in text if char.isprintable())[:200]


def _proxies(variables: Mapping[str, str], host: str) -> dict[str, str]:
    """Give the proxies for a host, as the usual variables say; lower case goes first."""

    def value(name: str) -> str:
        return variables.get(name) or variables.get(name.upper()) or ""

    everywhere = value("all_proxy")
    proxies = {scheme: value(f"{scheme}_proxy") or everywhere for scheme in ("http", "https")}
    if _goes_direct(host.lower(), value("no_proxy").lower()):
        return {}
    return {scheme: proxy for scheme, proxy in proxies.items() if proxy}


def _goes_direct(host: str, no_proxy: str) -> bool:
    """Tell whether ``no_proxy`` names a host, with or without its port, or a domain above it."""
    names = (host, host.rpartition(":")[0] or host)
    for entry in no_proxy.replace(" ", "").split(","):
        domain = entry.removeprefix("*").removeprefix(".")
        if entry == "*" or (domain and any(f".{name}".endswith(f".{domain}") for name in names)):
            return True
    return False


def _break(sock: Any) -> None:  # noqa: ANN401  # a plain socket or one with TLS
    """Wake whoever reads from the socket, in whichever thread.

    The plain socket's method, because TLS's own changes state that the reader is using.
    """
    import socket

    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None) or error
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return " ".join(str(text).split())[:200]
