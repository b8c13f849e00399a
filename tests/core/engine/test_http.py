"""Requests to engines: real ones, and peers that are none."""

from __future__ import annotations

import io
import json
import socket
import threading
from contextlib import closing as closed_at_end
from typing import BinaryIO, cast

import pytest
from tools.engine import Engine

from dockyard.cancellation import Cancellation
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import MAX_BODY, download, request, upgrade, upload
from dockyard.errors import CanceledError, EngineError, EngineUnreachableError
from support.peer import Peers, Script, answering, closing, read_head, silent

SWITCHING = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


def refusing(status: str, body: bytes, kind: str = "application/json") -> Script:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return answering(head.encode() + body)


# --- upgrades ------------------------------------------------------------------------------


def test_an_upgrade_asks_as_docker_does(peers: Peers) -> None:
    heads: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heads.append(read_head(connection))
        connection.sendall(SWITCHING)
        silent(connection)

    upgrade(peers.unix(serve), "/session", headers=[("X-One", "1"), ("X-One", "2")]).close()

    assert heads[0].split(b"\r\n") == [
        b"POST /session HTTP/1.1",
        b"Host: docker",
        b"User-Agent: dockyard",
        b"Connection: Upgrade",
        b"Upgrade: h2c",
        b"Content-Length: 0",
        b"X-One: 1",
        b"X-One: 2",
        b"",
        b"",
    ]


def test_what_came_with_the_upgrade_is_read_first(peers: Peers) -> None:
    endpoint = peers.unix(answering(SWITCHING + b"frames"))

    with closed_at_end(upgrade(endpoint, "/grpc")) as stream:
        buffer = bytearray(100)

        assert stream.pending() == 6
        assert buffer[: stream.recv_into(buffer)] == b"frames"


def test_an_upgrade_may_carry_a_body_and_another_protocol(peers: Peers) -> None:
    bodies: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        data = read_head(connection)
        while not data.endswith(b"{}"):
            data += connection.recv(100)
        bodies.append(data)
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n")

    upgrade(peers.unix(serve), "/exec/1/start", protocol="tcp", body=b"{}").close()

    assert b"Content-Length: 2\r\n" in bodies[0]


def test_an_upgrade_to_something_else_is_refused(peers: Peers) -> None:
    endpoint = peers.unix(answering(SWITCHING.replace(b"h2c", b"websocket")))

    with pytest.raises(EngineError, match="upgrades /grpc to 'websocket' instead of 'h2c'"):
        upgrade(endpoint, "/grpc")


def test_a_refused_upgrade_is_told_in_the_engine_s_words(peers: Peers) -> None:
    endpoint = peers.unix(refusing("404 Not Found", b'{"message": "page not\\nfound"}'))

    with pytest.raises(EngineError, match="^page not found$") as caught:
        upgrade(endpoint, "/grpc")

    assert caught.value.status == 404


@pytest.mark.parametrize("value", ["a\r\nX: y", "caf\u00e9", "\0"])
def test_a_header_that_would_break_the_request_is_never_sent(peers: Peers, value: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        upgrade(peers.unix(silent), "/session", headers=[("X-One", value)])


# --- peers that are no engine --------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n"), "no docker engine: it begins with 'SSH-2.0-"),
        (answering(bytes(range(256))), "no docker engine: it begins with '"),
        (answering(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), "no docker engine: it has the header"),
        (answering(b"HTTP/1.1 2"), "no docker engine: it ends in the middle"),
        (answering(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200_000), "no docker engine: its header"),
        (answering(b""), "the connection was closed before an answer came"),
        (closing, "the connection was closed before an answer came"),
    ],
)
def test_what_is_no_engine_is_one_clear_line(peers: Peers, script: Script, reason: str) -> None:
    endpoint = peers.unix(script)

    with pytest.raises(EngineUnreachableError) as caught:
        upgrade(endpoint, "/grpc")

    text = str(caught.value)
    assert text.startswith(f"failed to connect to the docker API at {endpoint.host}; ")
    assert reason in text
    assert text.isprintable()


def test_a_silent_peer_is_left_at_the_deadline(peers: Peers) -> None:
    with pytest.raises(EngineUnreachableError, match=r"no answer within 0\.1 s"):
        request(peers.unix(silent), "GET", "/version", timeout=0.1)


def test_a_peer_that_only_dribbles_is_left_at_the_deadline(peers: Peers) -> None:
    stop = threading.Event()

    def dribble(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not stop.wait(0.01):
            connection.sendall(b"a: b\r\n")

    with pytest.raises(EngineUnreachableError, match=r"no answer within 0\.2 s"):
        request(peers.unix(dribble), "GET", "/version", timeout=0.2)
    stop.set()


def test_canceling_ends_a_request(peers: Peers) -> None:
    cancel = Cancellation()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        cancel.cancel()
        silent(connection)

    with pytest.raises(CanceledError):
        request(peers.unix(serve), "GET", "/version", cancel=cancel)


def test_an_answer_that_breaks_off_says_so(peers: Peers) -> None:
    endpoint = peers.unix(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"))

    with pytest.raises(EngineError, match="broke off its answer: it ends in the middle"):
        request(endpoint, "GET", "/version")


def test_an_endless_answer_is_bounded(peers: Peers) -> None:
    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(bytes(1 << 20))

    with pytest.raises(EngineError, match="longer than 16 MiB"):
        request(peers.unix(serve), "GET", "/version")
    assert MAX_BODY == 16 << 20


# --- small requests ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b'{"message": "no such image"}', "application/json", "no such image"),
        (b'{"message": 3}', "application/json", "answers /x with status 500"),
        (b"{", "application/json", "answers /x with status 500"),
        (b"[" * 100_000, "application/json", "answers /x with status 500"),
        (b"plain words\x1b[2J\n", "text/plain", "with status 500: plain words .2J$"),
        (b"<html><body>nginx</body></html>", "text/html", "answers /x with status 500"),
        (b"", "text/plain", "answers /x with status 500"),
    ],
)
def test_a_refusal_is_one_line(peers: Peers, body: bytes, kind: str, message: str) -> None:
    endpoint = peers.unix(refusing("500 Internal Server Error", body, kind))

    with pytest.raises(EngineError, match=message) as caught:
        request(endpoint, "GET", "/x")

    assert caught.value.status == 500
    assert str(caught.value).isprintable()


def test_an_engine_that_wants_tls_gets_a_hint(peers: Peers) -> None:
    text = b"Client sent an HTTP request to an HTTPS server.\n"
    endpoint = peers.tcp(answering(b"HTTP/1.0 400 Bad Request\r\n\r\n" + text))

    with pytest.raises(EngineError) as caught:
        request(endpoint, "GET", "/version")

    assert caught.value.hint is not None
    assert "wants TLS" in caught.value.hint


def test_malformed_json_is_an_error_of_ours(peers: Peers) -> None:
    response = request(peers.unix(refusing("200 OK", b"{")), "GET", "/version")

    with pytest.raises(EngineError, match="malformed JSON"):
        response.json()


def test_the_answer_to_head_is_not_waited_for(peers: Peers) -> None:
    endpoint = peers.unix(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"))

    assert request(endpoint, "HEAD", "/_ping").status == 200


def test_a_body_is_sent_with_its_length(peers: Peers) -> None:
    received: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        data = read_head(connection)
        while not data.endswith(b'{"a": 1}'):
            data += connection.recv(100)
        received.append(data)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    answer = request(peers.unix(serve), "POST", "/x", body=json.dumps({"a": 1}).encode())

    assert answer.status == 201
    assert b"Content-Length: 8\r\n" in received[0]


# --- streams -------------------------------------------------------------------------------


def unchunk(connection: socket.socket) -> bytes:
    """Read a chunked request to its end, and give its body."""
    reader = connection.makefile("rb")
    while reader.readline() != b"\r\n":
        pass
    body = b""
    while size := int(reader.readline(), 16):
        body += reader.read(size)
        reader.readline()
    return body


def test_an_upload_sends_everything_and_passes_the_answer_on(peers: Peers) -> None:
    content = bytes(range(256)) * 5000
    received: list[bytes] = []
    answers: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        received.append(unchunk(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\none\ntwo\n")

    upload(peers.unix(serve), "/images/load", io.BytesIO(content), on_data=answers.append)

    assert received == [content]
    assert b"".join(answers) == b"one\ntwo\n"


def test_an_answer_is_passed_on_while_the_upload_goes_on(peers: Peers) -> None:
    heard = threading.Event()

    class Source(io.RawIOBase):
        """Goes on until the answer began."""

        def read(self, size: int = -1, /) -> bytes:
            return b"" if heard.is_set() else b"data"

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
        silent(connection)

    source = cast("BinaryIO", Source())
    upload(peers.unix(serve), "/x", source, on_data=lambda _: heard.set())

    assert heard.is_set()


def test_a_refused_upload_ends_before_its_source(peers: Peers) -> None:
    class Endless(io.RawIOBase):
        """Never ends."""

        def read(self, size: int = -1, /) -> bytes:
            return bytes(size)

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 507 X\r\nContent-Length: 7\r\n\r\nno room")

    received: list[bytes] = []
    with pytest.raises(EngineError, match="no room") as caught:
        upload(peers.unix(serve), "/x", cast("BinaryIO", Endless()), on_data=received.append)

    assert caught.value.status == 507
    assert not received


def test_an_upload_to_a_peer_that_stops_reading_ends(peers: Peers) -> None:
    release = threading.Event()

    def serve(connection: socket.socket) -> None:
        release.wait(30)

    source = io.BytesIO(bytes(10_000_000))
    with pytest.raises(EngineUnreachableError, match=r"no answer within 0\.1 s"):
        upload(peers.unix(serve), "/x", source, on_data=lambda _: None, silence=0.1)
    release.set()


def test_a_download_is_read_like_a_file(peers: Peers) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (1000, bytes([n]) * 1000) for n in range(200))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    with download(peers.unix(answering(head + chunks + b"0\r\n\r\n")), "/images/get") as file:
        content = file.read()

    assert content == b"".join(bytes([n]) * 1000 for n in range(200))


def test_a_download_that_breaks_off_is_an_error_while_reading(peers: Peers) -> None:
    endpoint = peers.unix(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"))

    with download(endpoint, "/x") as file, pytest.raises(EngineError, match="broke off"):
        file.read()


def test_a_refused_download_is_an_error_at_once(peers: Peers) -> None:
    with pytest.raises(EngineError, match="nothing here"):
        download(peers.unix(refusing("404 X", b'{"message": "nothing here"}')), "/x")


def test_canceling_ends_a_download(peers: Peers) -> None:
    cancel = Cancellation()

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        silent(connection)

    with download(peers.unix(serve), "/x", cancel=cancel) as file:
        cancel.cancel()

        with pytest.raises(CanceledError):
            file.read()


# --- real engines --------------------------------------------------------------------------


def test_a_real_engine_answers(engine: Engine) -> None:
    answer = request(EngineEndpoint(host=engine.host), "GET", "/version")

    assert answer.json()["Version"] == engine.version


def test_a_real_engine_refuses_in_its_own_words(engine: Engine) -> None:
    with pytest.raises(EngineError, match="(?i)no such image: dockyard-none:x") as caught:
        request(EngineEndpoint(host=engine.host), "GET", "/images/dockyard-none:x/json")

    assert caught.value.status == 404


def test_a_real_engine_is_upgraded_and_speaks_http2(engine: Engine) -> None:
    with closed_at_end(upgrade(EngineEndpoint(host=engine.host), "/grpc")) as stream:
        stream.sendmsg([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\x04\0\0\0\0\0"])
        received, buffer = b"", bytearray(100)
        while len(received) < 9:
            try:
                received += buffer[: stream.recv_into(buffer)]
            except BlockingIOError:
                continue

    assert received[3:9] == b"\x04\0\0\0\0\0"


def test_a_real_engine_refuses_a_session_without_an_upgrade(engine: Engine) -> None:
    with pytest.raises(EngineError, match="no upgrade"):
        request(EngineEndpoint(host=engine.host), "POST", "/session")
