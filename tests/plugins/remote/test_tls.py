"""TLS right and wrong: a real daemon behind a terminator, and everybody's certificates."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from dockyard.buildkit.client import Client
from dockyard.cancellation import Cancellation
from dockyard.driver import Node, State
from dockyard.errors import BootstrapError, ConnectError
from dockyard_remote import plugin
from support.peer import answering, closing, silent
from support.remote_buildkit import server_context, terminate_tls

from .conftest import MakeNode, Memory, StartRelay, nothing_left, peer

DAY = timedelta(days=1)


class Files:
    """Certificates and keys, as files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> str:
        return str(self._folder / name)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Make what the cases name: two CAs, and what they have signed."""
    folder = tmp_path_factory.mktemp("tls")
    ours, others = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(folder / "ca")
    others.cert_pem.write_to_path(folder / "other-ca")
    now = datetime.now(UTC)

    def issue(
        name: str,
        authority: trustme.CA,
        *names: str,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> None:
        made = authority.issue_cert(*names, not_before=not_before, not_after=not_after)
        made.private_key_pem.write_to_path(folder / f"{name}-key")
        for blob in made.cert_chain_pems:
            blob.write_to_path(folder / name, append=True)

    issue("server", ours, "127.0.0.1", "localhost")
    issue("named", ours, "bk.example", "*.pool.example")
    issue("other-server", others, "127.0.0.1")
    issue("expired", ours, "127.0.0.1", not_before=now - 9 * DAY, not_after=now - DAY)
    issue("early", ours, "127.0.0.1", not_before=now + DAY, not_after=now + 9 * DAY)
    issue("client", ours, "client@example.org")
    issue("other-client", others, "client@example.org")
    issue("expired-client", ours, "c@example.org", not_before=now - 9 * DAY, not_after=now - DAY)
    (folder / "nonsense").write_text("no PEM\n")
    key = load_pem_private_key((folder / "client-key").read_bytes(), None)
    (folder / "locked-key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    )
    return Files(folder)


class Case(NamedTuple):
    """What the daemon shows and asks for, what the builder is given, and what comes of it."""

    server: str = "server"
    asks: bool = True
    """Whether the daemon wants a client certificate of our CA."""
    options: Mapping[str, str] = {"cacert": "ca", "cert": "client", "key": "client-key"}
    servername: str = ""
    words: str = ""
    """What the error says, with ``{name}`` for a file's path; empty when all is well."""
    hint: str = ""


ONLY_CA = {"cacert": "ca"}


def pair(cert: str, key: str) -> Mapping[str, str]:
    return {"cacert": "ca", "cert": cert, "key": key}


CASES = {
    "mutual": Case(),
    "one-sided": Case(asks=False, options=ONLY_CA),
    "a certificate that nobody asked for": Case(asks=False),
    "another name, given": Case(server="named", servername="bk.example"),
    "a name by wildcard": Case(server="named", servername="a.pool.example"),
    "missing CA file": Case(
        options={"cacert": "none"},
        words="could not use cacert {none}: it cannot be read: no such file or directory",
        hint="the driver option cacert names the file",
    ),
    "missing certificate file": Case(
        options=pair("none", "client-key"),
        words="could not use cert {none}: it cannot be read: no such file or directory",
    ),
    "missing key file": Case(
        options=pair("client", "none"),
        words="could not use key {none}: it cannot be read: no such file or directory",
    ),
    "a directory for a key": Case(
        options=pair("client", "."),
        words="could not use key {.}: it cannot be read: is a directory",
    ),
    "CA that is no PEM": Case(
        options={"cacert": "nonsense"},
        words="could not use cacert {nonsense}: it has no certificate in PEM form",
    ),
    "certificate that is no PEM": Case(
        options=pair("nonsense", "client-key"),
        words="could not use cert {nonsense}: it has no certificate in PEM form",
    ),
    "key that is no PEM": Case(
        options=pair("client", "nonsense"),
        words="could not use key {nonsense}: it has no private key in PEM form",
    ),
    "key of another certificate": Case(
        options=pair("client", "server-key"),
        words="could not use key {server-key}: it does not belong to the certificate {client}",
    ),
    "key with a password": Case(
        options=pair("client", "locked-key"),
        words="could not use key {locked-key}: it is protected by a password, which cannot be "
        "given",
    ),
    "daemon of another CA": Case(
        server="other-server",
        asks=False,
        words="its certificate is not signed by the CA in {ca} (",
        hint="cacert has to be the CA that signed the daemon's certificate",
    ),
    "another CA's file": Case(
        options={"cacert": "other-ca"},
        words="its certificate is not signed by the CA in {other-ca} (",
    ),
    "another name": Case(
        server="named",
        words='its certificate is not for "127.0.0.1" but for bk.example, *.pool.example',
        hint="--driver-opt servername=bk.example",
    ),
    "another name, given wrongly": Case(
        servername="elsewhere.example",
        words='its certificate is not for "elsewhere.example" but for 127.0.0.1, localhost',
    ),
    "expired": Case(server="expired", words="its certificate or its CA's has expired"),
    "not yet valid": Case(server="early", words="its certificate or its CA's is not valid yet"),
    "no client certificate": Case(
        options=ONLY_CA,
        words="it requires a client certificate (certificate required)",
        hint="--driver-opt cert=",
    ),
    "client of another CA": Case(
        options=pair("other-client", "other-client-key"),
        words="it refused the client certificate {other-client} (unknown ca)",
        hint="signed by a CA that the daemon was told of",
    ),
    "expired client": Case(
        options=pair("expired-client", "expired-client-key"),
        words="it refused the client certificate {expired-client} (certificate expired)",
    ),
}


def node_for(case: Case, files: Files, make_node: MakeNode, endpoint: str) -> Node:
    options = {name: files[file] for name, file in case.options.items()}
    if case.servername:
        options["servername"] = case.servername
    return make_node(endpoint, **options)


@pytest.mark.parametrize("name", CASES)
def test_tls(
    relay: StartRelay, make_node: MakeNode, memory: Memory, files: Files, name: str
) -> None:
    case = CASES[name]
    client_ca = Path(files["ca"]) if case.asks else None
    context = server_context(Path(files[case.server]), Path(files[f"{case.server}-key"]), client_ca)
    script = terminate_tls(context, relay(unix=True).endpoint)
    started = time.monotonic()

    with nothing_left(), peer(script) as endpoint:
        node = node_for(case, files, make_node, endpoint)
        found = plugin.dockyard_status(node)

        if not case.words:
            assert found.state is State.RUNNING, found.reason
            client = Client(plugin.dockyard_connect(node, Cancellation()))
            assert client.workers()
            client.close()
            return
        words = re.sub("{(.*?)}", lambda name: files[name[1]], case.words)
        assert found.state is State.INACTIVE
        assert found.reason.startswith(words)
        for call in (
            lambda: plugin.dockyard_connect(node, Cancellation()),
            lambda: plugin.dockyard_bootstrap(node, memory, Cancellation()),
        ):
            with pytest.raises((ConnectError, BootstrapError)) as caught:
                call()
            start = f"failed to connect to BuildKit at {endpoint}: {words}"
            assert str(caught.value).startswith(start)
            assert case.hint in (caught.value.hint or "")
    assert time.monotonic() - started < 15


def test_an_unreadable_key_says_so(make_node: MakeNode, files: Files) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        options = {}
        for option, file in {"cacert": "ca", "cert": "client", "key": "client-key"}.items():
            shutil.copy(files[file], folder / option)
            options[option] = str(folder / option)
        (folder / "key").chmod(0)

        with nobody():
            found = plugin.dockyard_status(make_node("tcp://127.0.0.1:1", **options))

    key = options["key"]
    assert found.reason == f"could not use key {key}: it cannot be read: permission denied"


@contextmanager
def nobody() -> Iterator[None]:
    """Be somebody who may not read everything, and may read the other files."""
    who = os.geteuid()
    if who == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(who)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no answer within 5 s"),
        (lambda one: one.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "it speaks no TLS"),
        (lambda one: one.sendall(b"\0\0\0\x04\0\0\0\0\0"), "it speaks no TLS"),
        (closing, "it hung up during the TLS handshake"),
        (silent, "no answer within 5 s"),
    ],
    ids=["waits for a request", "HTTP/1", "plain gRPC", "hangs up", "silent"],
)
def test_a_peer_without_tls(make_node: MakeNode, files: Files, script: object, words: str) -> None:
    with nothing_left(), peer(script) as endpoint:  # type: ignore[arg-type]  # a script
        found = plugin.dockyard_status(make_node(endpoint, cacert=files["ca"]))

    assert found.reason in (words, "connection reset by peer")


def test_a_daemon_behind_tls_says_so_to_who_comes_without(
    relay: StartRelay, make_node: MakeNode, files: Files
) -> None:
    context = server_context(Path(files["server"]), Path(files["server-key"]), None)

    with peer(terminate_tls(context, relay(unix=True).endpoint)) as endpoint:
        found = plugin.dockyard_status(make_node(endpoint))

    # Some say so with an alert, others hang up.
    expected = ("it expects TLS", "it hung up without a word", "connection reset by peer")
    assert found.reason in expected


def test_tls_works_on_a_socket_file(
    relay: StartRelay, make_node: MakeNode, files: Files, tmp_path: Path
) -> None:
    context = server_context(Path(files["server"]), Path(files["server-key"]), None)
    script = terminate_tls(context, relay(unix=True).endpoint)

    with nothing_left(), peer(script, tmp_path / "s") as endpoint:
        node = make_node(endpoint, cacert=files["ca"], servername="localhost")

        assert plugin.dockyard_status(node).state is State.RUNNING


def test_verification_cannot_be_switched_off(files: Files, make_node: MakeNode) -> None:
    from dockyard_remote.reach import target_of
    from dockyard_remote.tls import make_context

    settings = target_of(make_node("tcp://b:1", cacert=files["ca"])).tls
    assert settings is not None
    context = make_context(settings)

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] == 1


@pytest.mark.usefixtures("unhurried")
def test_the_server_name_is_what_the_daemon_is_called(
    relay: StartRelay, make_node: MakeNode, files: Files
) -> None:
    context = server_context(Path(files["named"]), Path(files["named-key"]), None)
    seen: list[str | None] = []

    def note(_socket: object, name: str | None, _context: object) -> None:
        seen.append(name)

    context.sni_callback = note
    script = terminate_tls(context, relay(unix=True).endpoint)

    with peer(script) as endpoint:
        node = make_node(endpoint, cacert=files["ca"], servername="bk.example")
        connection = plugin.dockyard_connect(node, Cancellation())
        connection.close()

    assert connection.authority == "bk.example"
    assert seen == ["bk.example"]


def test_nothing_of_the_files_is_kept(make_node: MakeNode, files: Files) -> None:
    node = make_node("tcp://127.0.0.1:1", cacert=files["ca"])
    with socket.create_server(("127.0.0.1", 0)):
        plugin.dockyard_status(node)

    assert set(node.cache) == {"doubted"}
