"""The way to an API server: TLS right and wrong, client certificates, proxies."""

from __future__ import annotations

import base64
import os
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from dockyard_kubernetes.cluster import ClusterUnreachableError, open_cluster
from dockyard_kubernetes.failure import KubeconfigError
from dockyard_kubernetes.proxy import find_proxy, parse_proxy
from support.api_peer import Api, Line, Request
from support.peer import answering, read_head, with_tls
from support.port import free_port


def answer(_: Request, line: Line) -> None:
    line.json({"ok": True})


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def refused(api: Api, url: str, **more: object) -> ClusterUnreachableError:
    cluster = open_cluster(api.node(url, **more))
    with pytest.raises(ClusterUnreachableError) as caught:
        cluster.get("/version")
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert not caught.value.transient
    return caught.value


# --- tls -----------------------------------------------------------------------------------


def test_a_servers_certificate_is_verified(api: Api) -> None:
    url = api.serve(answer, tls=True)

    assert open_cluster(api.node(url)).get("/version") == {"ok": True}


def test_a_certificate_of_another_ca_is_refused(api: Api) -> None:
    other = trustme.CA().cert_pem.bytes()
    cluster = {"certificate-authority-data": encoded(other)}

    error = refused(api, api.serve(answer, tls=True), cluster=cluster)

    assert "its certificate is not accepted: " in str(error)
    assert '(context "here")' in str(error)
    assert "certificate-authority" in (error.hint or "")
    assert not api.requests


def test_without_a_ca_the_systems_are_trusted(api: Api) -> None:
    cluster = {"certificate-authority-data": ""}

    assert "not accepted" in str(refused(api, api.serve(answer, tls=True), cluster=cluster))


def test_a_certificate_for_another_name_is_refused_unless_that_is_named(api: Api) -> None:
    script = with_tls(api.context(name="api.example"), api.script(answer))
    url = f"https://127.0.0.1:{api.peer(script)}"

    error = refused(api, url)

    assert "IP address mismatch" in str(error) or "ip address mismatch" in str(error)
    assert "tls-server-name" in (error.hint or "")
    node = api.node(url, cluster={"tls-server-name": "api.example"})
    with closing(open_cluster(node)) as named:
        assert named.get("/version") == {"ok": True}


def test_verification_can_be_switched_off(api: Api) -> None:
    cluster = {"certificate-authority-data": "", "insecure-skip-tls-verify": True}

    found = open_cluster(api.node(api.serve(answer, tls=True), cluster=cluster)).get("/version")

    assert found == {"ok": True}


def test_a_server_without_tls_is_told_apart(api: Api) -> None:
    def plain(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert "it speaks no TLS" in str(refused(api, f"https://127.0.0.1:{api.peer(plain)}"))


def test_a_server_with_tls_that_is_asked_without_is_told_apart(api: Api) -> None:
    words = b"Client sent an HTTP request to an HTTPS server."
    head = b"HTTP/1.0 400 Bad Request\r\n\r\n"
    port = api.peer(answering(head + words))

    with pytest.raises(Exception, match="HTTP request to an HTTPS server"):
        open_cluster(api.node(f"http://127.0.0.1:{port}")).get("/version")


# --- client certificates -------------------------------------------------------------------


def test_a_client_certificate_is_shown_and_leaves_no_file(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    pair = api.authority.issue_cert("me@example.org")
    user = {
        "client-certificate-data": encoded(pair.cert_chain_pems[0].bytes()),
        "client-key-data": encoded(pair.private_key_pem.bytes()),
    }

    found = open_cluster(api.node(api.serve(answer, tls=True, clients=True), user=user))

    assert found.get("/version") == {"ok": True}
    assert not os.listdir(tmp_path / "tmp")  # noqa: PTH208


def test_a_missing_client_certificate_is_told(api: Api) -> None:
    error = refused(api, api.serve(answer, tls=True, clients=True), user={})

    assert "certificate required" in str(error)
    assert "client certificate" in (error.hint or "")


@pytest.mark.parametrize("case", ["mismatch", "no certificate", "no key", "password"])
def test_an_unusable_client_certificate_is_told(api: Api, case: str) -> None:
    pair, other = (api.authority.issue_cert(f"{name}@example.org") for name in "ab")
    certificate = pair.cert_chain_pems[0].bytes()
    key = pair.private_key_pem.bytes()
    locked = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    found, words = {
        "mismatch": ((certificate, other.private_key_pem.bytes()), "does not belong to the"),
        "no certificate": ((b"x", key), "is no usable pair in PEM form"),
        "no key": ((certificate, b"x"), "is no usable pair in PEM form"),
        "password": ((certificate, locked), "protected by a password"),
    }[case]
    user = {"client-certificate-data": encoded(found[0]), "client-key-data": encoded(found[1])}

    error = refused(api, api.serve(answer, tls=True), user=user)

    assert isinstance(error, KubeconfigError)
    assert words in str(error)
    assert "client-" in str(error)


def test_a_ca_may_have_comments_in_any_language(api: Api) -> None:
    url = api.serve(answer, tls=True)
    data = "# Raíz\n".encode() + api.authority.cert_pem.bytes()
    node = api.node(url, cluster={"certificate-authority-data": encoded(data)})

    assert open_cluster(node).get("/version") == {"ok": True}


def test_an_unusable_ca_is_told(api: Api) -> None:
    cluster = {"certificate-authority-data": encoded(b"no certificate")}

    error = refused(api, api.serve(answer, tls=True), cluster=cluster)

    assert "certificate-authority from certificate-authority-data in" in str(error)
    assert "no certificate in PEM form" in str(error)


# --- addresses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "server", ["https://", "ftp://h", "https://h:99999", "https://a b", "x://"]
)
def test_a_malformed_server_address_is_told(api: Api, server: str) -> None:
    with pytest.raises(KubeconfigError, match="malformed server address") as caught:
        open_cluster(api.node(server))

    assert server in str(caught.value)


def test_a_password_in_the_servers_address_is_not_shown(api: Api) -> None:
    with pytest.raises(KubeconfigError, match="has a user name in it$") as caught:
        open_cluster(api.node("https://me:secret@h"))

    assert "secret" not in repr(caught.value)


def test_an_address_without_a_scheme_is_understood(api: Api) -> None:
    url = api.serve(answer).removeprefix("http://")
    secure = api.serve(answer, tls=True).removeprefix("https://")
    authority = {"certificate-authority-data": encoded(api.authority.cert_pem.bytes())}

    assert open_cluster(api.node(url)).get("/version") == {"ok": True}
    assert open_cluster(api.node(secure, cluster=authority)).get("/version") == {"ok": True}


def test_a_name_that_nobody_knows_is_told(api: Api) -> None:
    cluster = open_cluster(api.node("https://nowhere.invalid:6443"))

    with pytest.raises(ClusterUnreachableError, match="its name cannot be resolved: "):
        cluster.get("/version", timeout=50)


@pytest.mark.parametrize("token", ["a\nb", "a\r\nX: y", "☃"])
def test_a_token_that_fits_into_no_header_is_told_without_it(api: Api, token: str) -> None:
    cluster = open_cluster(api.node(api.serve(answer, tls=True), user={"token": token}))

    with pytest.raises(KubeconfigError, match="header Authorization cannot be sent") as caught:
        cluster.get("/version")

    assert token not in str(caught.value)


# --- proxies -------------------------------------------------------------------------------


class HttpProxy:
    """Puts connections through to one server, whatever they ask for."""

    def __init__(self, api: Api, url: str, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        self._target = int(url.rpartition(":")[2])
        self._answer = answer
        self.heads: list[str] = []
        self.url = f"127.0.0.1:{api.peer(self._serve)}"

    def _serve(self, connection: socket.socket) -> None:
        self.heads.append(read_head(connection).decode())
        connection.sendall(self._answer)
        splice(connection, self._target)


def splice(connection: socket.socket, port: int) -> None:
    """Pass bytes on both ways until one end is over."""
    with socket.create_connection(("127.0.0.1", port)) as other:

        def pass_on(one: socket.socket, two: socket.socket) -> None:
            with suppress(OSError):
                while data := one.recv(1 << 16):
                    two.sendall(data)
            with suppress(OSError):
                two.shutdown(socket.SHUT_WR)

        back = threading.Thread(target=pass_on, args=(other, connection))
        back.start()
        pass_on(connection, other)
        back.join(10)


def test_the_kubeconfigs_proxy_is_used_with_its_password(api: Api) -> None:
    url = api.serve(answer, tls=True)
    proxy = HttpProxy(api, url)
    node = api.node(url, cluster={"proxy-url": f"http://me:p%40ss@{proxy.url}"})

    assert open_cluster(node).get("/version") == {"ok": True}

    first, _, rest = proxy.heads[0].partition("\r\n")
    assert first == f"CONNECT {url.removeprefix('https://')} HTTP/1.1"
    assert f"Proxy-Authorization: Basic {encoded(b'me:p@ss')}" in rest
    assert "authorization: bearer" not in rest.lower()


def test_the_environments_proxy_is_used_for_servers_elsewhere(api: Api) -> None:
    url = api.serve(answer, tls=True)
    proxy = HttpProxy(api, url)
    variables = {"HTTPS_PROXY": proxy.url}
    cluster = {"tls-server-name": "127.0.0.1"}
    node = api.node("https://10.255.255.1:6443", cluster=cluster, variables=variables)

    assert open_cluster(node).get("/version") == {"ok": True}

    assert proxy.heads[0].startswith("CONNECT 10.255.255.1:6443 HTTP/1.1\r\n")


def test_a_proxy_that_refuses_is_told_without_its_password(api: Api) -> None:
    url = api.serve(answer)
    proxy = HttpProxy(api, url, b"HTTP/1.1 407 Login needed\r\nContent-Length: 2\r\n\r\nno")

    error = refused(api, url, cluster={"proxy-url": f"http://me:secret@{proxy.url}"})

    assert f"the proxy http://{proxy.url} refuses to connect to 127.0.0.1" in str(error)
    assert "407 Login needed" in str(error)
    assert "secret" not in str(error)


def test_a_proxy_that_is_not_there_is_named(api: Api) -> None:
    port = free_port()
    url = api.serve(answer)
    cluster = open_cluster(
        api.node(url, cluster={"proxy-url": f"http://u:secret@127.0.0.1:{port}"})
    )

    with pytest.raises(ClusterUnreachableError) as caught:
        cluster.get("/version")

    assert f"connection refused, by way of the proxy http://127.0.0.1:{port}" in str(caught.value)
    assert "secret" not in str(caught.value)


def socks(target: int, *, login: bool, code: int = 0) -> Callable[[socket.socket], None]:
    """Be a SOCKS5 proxy that puts through to a port."""

    def serve(connection: socket.socket) -> None:
        connection.recv(16)
        connection.sendall(b"\x05\x02" if login else b"\x05\x00")
        if login:
            if connection.recv(100) != b"\x01\x02me\x04word":
                return
            connection.sendall(b"\x01\x00")
        asked = connection.recv(300)
        assert asked[:5] == b"\x05\x01\x00\x03\x09"
        assert asked[5:14] == b"127.0.0.1"
        connection.sendall(bytes([5, code, 0, 1]) + bytes(6))
        if not code:
            splice(connection, target)

    return serve


@pytest.mark.parametrize("login", [False, True])
def test_a_socks_proxy_is_used(api: Api, login: bool) -> None:
    url = api.serve(answer, tls=True)
    port = api.peer(socks(int(url.rpartition(":")[2]), login=login))
    who = "me:word@" if login else ""
    node = api.node(url, cluster={"proxy-url": f"socks5://{who}127.0.0.1:{port}"})

    assert open_cluster(node).get("/version") == {"ok": True}


@pytest.mark.parametrize(
    ("login", "code", "words"),
    [
        (False, 5, "does not connect to 127.0.0.1:.*: connection refused"),
        (True, 0, "wants a login"),
    ],
)
def test_a_socks_proxy_that_refuses_is_told(api: Api, login: bool, code: int, words: str) -> None:
    url = api.serve(answer)
    port = api.peer(socks(1, login=login, code=code))

    error = refused(api, url, cluster={"proxy-url": f"socks5://127.0.0.1:{port}"})

    with pytest.raises(ClusterUnreachableError, match=words):
        raise error


@pytest.mark.parametrize(
    ("host", "excepted", "direct"),
    [
        ("h.example", "", False),
        ("h.example", "*", True),
        ("h.example", "other, example", True),
        ("h.example", ".example", True),
        ("example", ".example", False),
        ("example", "example", True),
        ("h.example", "*.example", True),
        ("notexample", "example", False),
        ("H.Example", "h.example:6443", True),
        ("h.example", "h.example:443", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("localhost", "", True),
        ("127.0.0.1", "", True),
    ],
)
def test_no_proxy_excepts_what_go_excepts(host: str, excepted: str, direct: bool) -> None:
    variables = {"https_proxy": "http://p:1", "NO_PROXY": excepted}

    assert (find_proxy("https", host, 6443, variables) == "") is direct
    assert find_proxy("http", host, 6443, variables) == ""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://p:1", "is a https proxy, which is not supported"),
        ("http://", "address from there is malformed"),
        ("http://u:secret@p:x", "address from there is malformed"),
    ],
)
def test_an_unusable_proxy_is_told(url: str, words: str) -> None:
    with pytest.raises(KubeconfigError, match=words) as caught:
        parse_proxy(url, "there")

    assert "secret" not in f"{caught.value}{caught.value.hint}"


def test_a_proxy_is_shown_without_its_password() -> None:
    proxy = parse_proxy("socks5://me:secret@p", "there")

    assert (str(proxy), repr(proxy)) == ("socks5://p:1080", "socks5://p:1080")
