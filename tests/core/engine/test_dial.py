"""Opening byte streams to engines: socket files, TCP, TLS, ssh."""

from __future__ import annotations

import _socket
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing as closed_at_end
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme

from dockyard.cancellation import Cancellation
from dockyard.engine.dial import dial, ssh_command
from dockyard.engine.endpoint import EngineEndpoint, TLSFiles
from dockyard.engine.http import request, upgrade
from dockyard.errors import CanceledError, EndpointError, EngineUnreachableError
from support.peer import Peers, answering, closing, silent, with_tls

PING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


def failure(endpoint: EngineEndpoint, timeout: float = 50) -> EngineUnreachableError:
    """Dial, and give the error that this is."""
    with pytest.raises(EngineUnreachableError) as caught:
        dial(endpoint, timeout=timeout).close()
    start = f"failed to connect to the docker API at {endpoint.host}; "
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)
    return caught.value


def ping(endpoint: EngineEndpoint) -> bytes:
    return request(endpoint, "GET", "/_ping").body


# --- socket files --------------------------------------------------------------------------


def test_a_missing_socket_file_says_so_and_asks_for_the_daemon(tmp_path: Path) -> None:
    error = failure(EngineEndpoint(host=f"unix://{tmp_path}/none"))

    assert str(error).endswith("; no such file or directory")
    assert error.hint == "check that the address is right and that the docker daemon is running"


def test_a_socket_file_that_nobody_listens_on_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "s"))

    assert str(failure(EngineEndpoint(host=f"unix://{tmp_path}/s"))).endswith("connection refused")


def test_a_file_that_is_no_socket_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("")

    failure(EngineEndpoint(host=f"unix://{tmp_path}/s"))


def test_no_permission_names_the_group_that_has_it(
    peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may do everything, so the refusal is the one thing here that is not real.
    endpoint = peers.unix(silent)
    path = Path(endpoint.host.removeprefix("unix://"))
    os.chown(path, -1, 0)

    class Refused(_socket.socket):
        def connect(self, address: object, /) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_socket, "socket", Refused)
    error = failure(endpoint)

    assert str(error).endswith("; permission denied")
    assert error.hint is not None
    assert "usermod -aG root $USER" in error.hint


def test_a_path_longer_than_an_address_is_reached_all_the_same(peers: Peers) -> None:
    short = peers.unix(answering(PING))
    deep = peers.directory / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    os.link(short.host.removeprefix("unix://"), deep / "docker.sock")

    assert ping(EngineEndpoint(host=f"unix://{deep}/docker.sock")) == b"OK"


def test_a_name_longer_than_an_address_is_refused_in_words(tmp_path: Path) -> None:
    error = failure(EngineEndpoint(host=f"unix://{tmp_path}/{'n' * 120}"))

    assert "longer than the 107 bytes" in str(error)


def test_an_abstract_socket_is_reached() -> None:
    name = f"dockyard-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()

        dial(EngineEndpoint(host=f"unix://@{name}")).close()


def test_a_full_queue_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    path = tmp_path / "s"
    waiting: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        for _ in range(2):
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
            if waiting[-1].connect_ex(str(path)):
                break

        error = failure(EngineEndpoint(host=f"unix://{path}"), timeout=0.1)

    for client in waiting:
        client.close()
    assert str(error).endswith("; no answer within 0.1 s")


# --- tcp -----------------------------------------------------------------------------------


def test_an_engine_is_reached_over_tcp(peers: Peers) -> None:
    assert ping(peers.tcp(answering(PING))) == b"OK"


def test_a_name_is_looked_up(peers: Peers) -> None:
    endpoint = peers.tcp(answering(PING))

    assert ping(attrs.evolve(endpoint, host=endpoint.host.replace("127.0.0.1", "localhost")))


def test_the_path_in_an_address_comes_before_every_request(peers: Peers) -> None:
    requests: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        requests.append(connection.recv(1000))
        connection.sendall(PING)

    endpoint = peers.tcp(serve)
    ping(attrs.evolve(endpoint, host=f"{endpoint.host}/base/"))

    assert requests[0].startswith(b"GET /base/_ping HTTP/1.1\r\nHost: 127.0.0.1:")


def test_a_closed_port_is_refused() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # so that nobody else takes it; nobody listens all the same

        error = failure(EngineEndpoint(host=f"tcp://127.0.0.1:{held.getsockname()[1]}"))

    assert str(error).endswith("connection refused")


def test_a_name_without_an_address_says_so() -> None:
    error = failure(EngineEndpoint(host="tcp://no-such-host.invalid:2375"))

    assert "name" in str(error)


@pytest.mark.parametrize("name", ["a" * 70, "a..b"])
def test_an_impossible_name_is_an_error_of_ours(name: str) -> None:
    failure(EngineEndpoint(host=f"tcp://{name}.invalid:2375"))


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_: object, **__: object) -> None:
        release.wait(30)
        raise OSError("too late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    started = time.monotonic()
    error = failure(EngineEndpoint(host="tcp://slow:2375"), timeout=0.1)
    release.set()

    assert time.monotonic() - started < 25
    assert str(error).endswith("; no answer within 0.1 s")


def test_canceling_ends_dialing(monkeypatch: pytest.MonkeyPatch) -> None:
    cancel, release = Cancellation(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        cancel.cancel()
        release.wait(30)
        raise OSError("too late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(CanceledError):
        dial(EngineEndpoint(host="tcp://slow:2375"), cancel=cancel)
    release.set()


# --- tls -----------------------------------------------------------------------------------


@attrs.frozen
class Certificates:
    """What an engine and its clients have."""

    server: ssl.SSLContext
    files: TLSFiles


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    client = authority.issue_cert("client")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client.private_key_pem.write_to_path(tmp_path / "key.pem")
    client.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return Certificates(
        server,
        TLSFiles(
            ca=str(tmp_path / "ca.pem"),
            cert=str(tmp_path / "cert.pem"),
            key=str(tmp_path / "key.pem"),
        ),
    )


def test_an_engine_is_reached_with_certificates_on_both_sides(
    peers: Peers, certificates: Certificates
) -> None:
    endpoint = peers.tcp(with_tls(certificates.server, answering(PING)))

    assert ping(attrs.evolve(endpoint, tls=certificates.files)) == b"OK"


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_tls_agrees_on_the_protocol_that_is_going_to_be_spoken(
    peers: Peers, certificates: Certificates, protocol: str
) -> None:
    agreed: list[str | None] = []

    def serve(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        agreed.append(connection.selected_alpn_protocol())
        connection.sendall(b"!")
        silent(connection)

    endpoint = peers.tcp(with_tls(certificates.server, serve))
    with closed_at_end(
        dial(attrs.evolve(endpoint, tls=certificates.files), protocol=protocol)
    ) as stream:
        assert stream.fileno() > 0

        while not agreed:
            os.sched_yield()

    assert agreed == [protocol]


def test_a_connection_is_upgraded_inside_tls(peers: Peers, certificates: Certificates) -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nframes"
    endpoint = peers.tcp(with_tls(certificates.server, answering(switching)))

    with closed_at_end(upgrade(attrs.evolve(endpoint, tls=certificates.files), "/grpc")) as stream:
        buffer = bytearray(100)

        assert buffer[: stream.recv_into(buffer)] == b"frames"


def test_an_unknown_authority_is_not_trusted(
    peers: Peers, certificates: Certificates, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    endpoint = peers.tcp(with_tls(certificates.server, answering(PING)))
    files = attrs.evolve(certificates.files, ca=str(tmp_path / "other.pem"))

    error = failure(attrs.evolve(endpoint, tls=files))

    assert "; the engine's certificate is not accepted: " in str(error)


def test_without_verification_any_certificate_will_do(
    peers: Peers, certificates: Certificates
) -> None:
    endpoint = peers.tcp(with_tls(certificates.server, answering(PING)))
    files = attrs.evolve(certificates.files, ca="", verify=False)

    assert ping(attrs.evolve(endpoint, tls=files)) == b"OK"


def test_a_certificate_for_another_name_is_not_accepted(
    peers: Peers, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = peers.tcp(with_tls(certificates.server, answering(PING)))
    port = int(endpoint.host.rpartition(":")[2])
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry])

    error = failure(EngineEndpoint(host=f"tcp://elsewhere:{port}", tls=certificates.files))

    assert "Hostname mismatch" in str(error)


def test_plain_text_where_tls_is_expected_says_so(peers: Peers, certificates: Certificates) -> None:
    endpoint = peers.tcp(lambda connection: connection.sendall(PING))

    error = failure(attrs.evolve(endpoint, tls=certificates.files))

    assert "; TLS failed: " in str(error)
    assert error.hint == "check the certificates, and that the engine expects TLS on this port"


def test_a_handshake_that_nobody_answers_ends_at_the_deadline(
    peers: Peers, certificates: Certificates
) -> None:
    endpoint = attrs.evolve(peers.tcp(silent), tls=certificates.files)

    assert str(failure(endpoint, timeout=0.1)).endswith("; no answer within 0.1 s")


def test_a_peer_that_hangs_up_in_the_handshake_is_unreachable(
    peers: Peers, certificates: Certificates
) -> None:
    failure(attrs.evolve(peers.tcp(closing), tls=certificates.files))


@pytest.mark.parametrize(("part", "content"), [("ca", None), ("ca", ""), ("cert", None)])
def test_a_certificate_file_that_cannot_be_used_is_named(
    certificates: Certificates, tmp_path: Path, part: str, content: str | None
) -> None:
    broken = tmp_path / "broken.pem"
    if content is not None:
        broken.write_text(content)
    changed: dict[str, Any] = {part: str(broken)}
    files = attrs.evolve(certificates.files, **changed)

    error = failure(EngineEndpoint(host="tcp://127.0.0.1:1", tls=files))

    assert f"certificate file {broken} cannot be used" in str(error)


def test_a_key_with_a_password_is_no_reason_to_ask_on_the_terminal(
    certificates: Certificates, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(Path(certificates.files.key).read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a password"),
        )
    )
    files = attrs.evolve(certificates.files, key=str(locked))

    error = failure(EngineEndpoint(host="tcp://127.0.0.1:1", tls=files))

    assert "cannot be used" in str(error)


# --- ssh -----------------------------------------------------------------------------------

FAKE_SSH = """\
#!{python}
import os, socket, sys, threading

with open({log!r}, "a") as log:
    log.write(repr(sys.argv[1:]) + "\\n")
{body}
"""

PUMP = """
engine = socket.socket(socket.AF_UNIX)
engine.connect({path!r})

def up():
    while data := os.read(0, 1 << 16):
        engine.sendall(data)
    engine.shutdown(socket.SHUT_WR)

threading.Thread(target=up, daemon=True).start()
while data := engine.recv(1 << 16):
    os.write(1, data)
"""


@pytest.fixture
def fake_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program called ssh before all others; its body goes into ``ssh.py``'s place."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return directory / "ssh"


def write_ssh(program: Path, body: str) -> Path:
    log = program.parent / "log"
    program.write_text(FAKE_SSH.format(python=sys.executable, log=str(log), body=body))
    program.chmod(0o755)
    return log


@pytest.mark.parametrize(
    ("host", "arguments"),
    [
        ("ssh://host", ["--", "host", "docker", "system", "dial-stdio"]),
        (
            "ssh://me@host:2222",
            ["-l", "me", "-p", "2222", "--", "host", "docker", "system", "dial-stdio"],
        ),
        (
            "ssh://host/run/d.sock",
            ["--", "host", "docker", "--host", "unix:///run/d.sock", "system", "dial-stdio"],
        ),
        (
            "ssh://host/a;b",
            ["--", "host", "docker", "--host", "'unix:///a;b'", "system", "dial-stdio"],
        ),
        ("ssh://-oX=y", ["--", "-oX=y", "docker", "system", "dial-stdio"]),
        ("ssh://[fe80::1]:22", ["-p", "22", "--", "fe80::1", "docker", "system", "dial-stdio"]),
    ],
)
def test_ssh_is_told_what_the_address_says(host: str, arguments: list[str]) -> None:
    assert ssh_command(host, timeout=20) == ["ssh", "-T", "-o", "ConnectTimeout=20", *arguments]


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("ssh://me:secret@host", "a password cannot be given"),
        ("ssh://host?x=1", "a query makes no sense"),
        ("ssh://host#x", "a fragment makes no sense"),
        ("ssh://", "the host or the user is missing"),
        ("ssh://@host", "the host or the user is missing"),
        ("ssh://host:port", "the port is no number"),
    ],
)
def test_what_ssh_cannot_be_told_is_refused(host: str, reason: str) -> None:
    with pytest.raises(EndpointError, match=reason) as caught:
        dial(EngineEndpoint(host=host))

    assert "secret" not in str(caught.value)


def test_an_engine_is_reached_through_ssh(peers: Peers, fake_ssh: Path) -> None:
    engine = peers.unix(answering(PING))
    log = write_ssh(fake_ssh, PUMP.format(path=engine.host.removeprefix("unix://")))

    assert ping(EngineEndpoint(host="ssh://me@somewhere")) == b"OK"
    assert "'-l', 'me', '--', 'somewhere'" in log.read_text()


def test_a_connection_is_upgraded_through_ssh(peers: Peers, fake_ssh: Path) -> None:
    engine = peers.unix(
        answering(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nframes")
    )
    write_ssh(fake_ssh, PUMP.format(path=engine.host.removeprefix("unix://")))

    with closed_at_end(upgrade(EngineEndpoint(host="ssh://somewhere"), "/grpc")) as stream:
        buffer = bytearray(100)

        assert buffer[: stream.recv_into(buffer)] == b"frames"


def test_ssh_s_own_words_say_why_it_failed(fake_ssh: Path) -> None:
    write_ssh(fake_ssh, 'sys.exit("me@somewhere: Permission denied (publickey).")')

    with pytest.raises(EngineUnreachableError) as caught:
        ping(EngineEndpoint(host="ssh://somewhere"))

    assert str(caught.value) == (
        "failed to connect to the docker API at ssh://somewhere; "
        "ssh failed: me@somewhere: Permission denied (publickey)."
    )


def test_an_ssh_that_says_nothing_ends_at_the_deadline(fake_ssh: Path) -> None:
    write_ssh(fake_ssh, "threading.Event().wait(60)")
    endpoint = EngineEndpoint(host="ssh://somewhere")

    with pytest.raises(EngineUnreachableError, match=r"no answer within 0\.5 s"):
        request(endpoint, "GET", "/_ping", timeout=0.5)


def test_no_ssh_at_all_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    error = failure(EngineEndpoint(host="ssh://somewhere"))

    assert str(error).endswith("; the program ssh is not installed")


# --- what cannot be dialled ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("npipe:////./pipe/docker_engine", "which only Windows has"),
        ("fd://3", "not to connect to"),
        ("nonsense", "no address of a docker engine"),
    ],
)
def test_other_kinds_of_address_are_refused_in_words(host: str, reason: str) -> None:
    with pytest.raises(EndpointError, match=reason):
        dial(EngineEndpoint(host=host))


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """Every stream, also of a failed attempt, has to be closed."""
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names only
    yield
    deadline = time.monotonic() + 45
    while set(os.listdir("/proc/self/fd")) - before:  # noqa: PTH208  # names only
        assert time.monotonic() < deadline, "something was left open"
        os.sched_yield()
