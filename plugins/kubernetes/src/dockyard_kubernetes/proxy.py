"""The proxy on the way to a cluster: which one there is, and how a connection is put through it."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from dockyard.engine.response import MalformedError, ResponseParser
from dockyard.engine.wait import Wait
from dockyard_kubernetes.failure import KubeconfigError, one_line

if TYPE_CHECKING:
    import socket

_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}
_SOCKS_REFUSALS = {
    1: "it failed",
    2: "its rules do not allow it",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "it took too long",
}


class ProxyError(OSError):
    """The proxy does not put us through."""


class Proxy(NamedTuple):
    """A proxy, and who we are to it."""

    scheme: str
    host: str
    port: int
    username: str
    password: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def __repr__(self) -> str:
        return str(self)  # no password


def find_proxy(scheme: str, host: str, port: int, variables: Mapping[str, str]) -> str:
    """Give the URL of the proxy that the environment has for a server; empty when it is direct.

    As Go's programs take it: in either case, and never for this machine itself.
    """
    name = f"{scheme}_proxy"
    url = variables.get(name.upper()) or variables.get(name, "")
    if not url or _is_local(host):
        return ""
    excepted = variables.get("NO_PROXY") or variables.get("no_proxy", "")
    return "" if any(_covers(item.strip(), host, port) for item in excepted.split(",")) else url


def parse_proxy(url: str, source: str) -> Proxy:
    """Read a proxy's URL.

    Raises:
        KubeconfigError: It is malformed, or of a kind that cannot be used.
    """
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", "", None
    if not host:
        raise KubeconfigError(f"the proxy's address from {source} is malformed", hint=_HINT)
    if scheme not in _PORTS:
        raise KubeconfigError(
            f"the proxy from {source} is a {scheme} proxy, which is not supported", hint=_HINT
        )
    return Proxy(
        scheme,
        host,
        port or _PORTS[scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


_HINT = "it has the form http://[USER:PASSWORD@]HOST:PORT or socks5://HOST:PORT"


def pass_through(proxy: Proxy, sock: socket.socket, host: str, port: int, wait: Wait) -> None:
    """Have the proxy connect a socket, which is connected to it, to a server.

    Raises:
        ProxyError: It refuses.
        OSError: The connection broke.
        OutOfTimeError: It took too long.
        CanceledError: It was canceled.
    """
    if proxy.scheme == "http":
        _connect(proxy, sock, host, port, wait)
    else:
        _socks(proxy, sock, host, port, wait)


def _connect(proxy: Proxy, sock: socket.socket, host: str, port: int, wait: Wait) -> None:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", "User-Agent: dockyard"]
    if proxy.username or proxy.password:
        from dockyard_kubernetes.credential import basic

        lines.append(f"Proxy-Authorization: {basic(proxy.username, proxy.password)}")
    _send(sock, "\r\n".join([*lines, "\r\n"]).encode(), wait)
    parser = ResponseParser(without_body=True)
    try:
        while parser.head is None:
            # Byte by byte at first would be exact; but the server speaks only when spoken to.
            data = _receive(sock, 4096, wait)
            parser.feed(data) if data else parser.end()
    except MalformedError as error:
        raise ProxyError(f"the proxy {proxy} gives no HTTP answer: {error}") from error
    head = parser.head
    if not 200 <= head.status < 300:
        words = one_line(f"{head.status} {head.reason}")
        raise ProxyError(f"the proxy {proxy} refuses to connect to {authority}: {words}")
    if parser.leftover:
        raise ProxyError(f"the proxy {proxy} sends more than its answer")


def _socks(proxy: Proxy, sock: socket.socket, host: str, port: int, wait: Wait) -> None:
    with_password = bool(proxy.username or proxy.password)
    _send(sock, b"\x05\x02\x00\x02" if with_password else b"\x05\x01\x00", wait)
    version, method = _exactly(sock, 2, wait)
    if version != 5 or method not in (0, 2) or (method == 2 and not with_password):
        raise ProxyError(f"the proxy {proxy} wants a login that it was not given")
    if method == 2:
        user, password = proxy.username.encode()[:255], proxy.password.encode()[:255]
        login = bytes([1, len(user)]) + user + bytes([len(password)]) + password
        _send(sock, login, wait)
        if _exactly(sock, 2, wait)[1]:
            raise ProxyError(f"the proxy {proxy} refuses the login")
    name = host.encode("idna")
    head = bytes([5, 1, 0, 3, len(name)])
    _send(sock, head + name + port.to_bytes(2, "big"), wait)
    _, code, _, kind = _exactly(sock, 4, wait)
    if code:
        words = _SOCKS_REFUSALS.get(code, f"code {code}")
        raise ProxyError(f"the proxy {proxy} does not connect to {host}:{port}: {words}")
    size = {1: 4, 4: 16}.get(kind)
    _exactly(sock, (_exactly(sock, 1, wait)[0] if size is None else size) + 2, wait)


def _send(sock: socket.socket, data: bytes, wait: Wait) -> None:
    while data:
        wait.until_ready(sock.fileno(), select.POLLOUT)
        data = data[sock.send(data) :]


def _receive(sock: socket.socket, most: int, wait: Wait) -> bytes:
    wait.until_ready(sock.fileno(), select.POLLIN)
    return sock.recv(most)


def _exactly(sock: socket.socket, size: int, wait: Wait) -> bytes:
    data = b""
    while len(data) < size:
        part = _receive(sock, size - len(data), wait)
        if not part:
            raise ProxyError("the proxy hung up")
        data += part
    return data


def _is_local(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _covers(pattern: str, host: str, port: int) -> bool:
    """Tell whether an item of ``NO_PROXY`` names a server."""
    import ipaddress

    if pattern == "*":
        return True
    if not pattern:
        return False
    address = None
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
    if address is not None:
        with contextlib.suppress(ValueError):
            return address in ipaddress.ip_network(pattern, strict=False)
    name, colon, number = pattern.rpartition(":")
    if colon and number.isdigit():
        if int(number) != port:
            return False
        pattern = name
    pattern = pattern.lower().removeprefix("*").strip("[]")
    host = host.lower()
    if pattern.startswith("."):
        return host.endswith(pattern)
    return host == pattern or (address is None and host.endswith(f".{pattern}"))
