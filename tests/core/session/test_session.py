from __future__ import annotations

import threading

import grpc
import pytest

from core.session.daemon import Service, assert_leaves_nothing, daemon, serving
from dockyard.errors import ConnectionLostError, DockyardError, ProtocolError
from dockyard.session.filesync import LocalSources
from dockyard.session.secrets import Secrets
from dockyard.session.service import unary
from dockyard.session.session import Session, printable

HEALTH = "/grpc.health.v1.Health/Check"
KINDS = pytest.mark.parametrize("tunnel", [False, True], ids=["own-stream", "tunnel"])


@KINDS
def test_the_daemon_can_ask_whether_the_client_lives(tunnel: bool) -> None:
    with serving(tunnel=tunnel) as (running, _):
        answer = running.ask(
            HEALTH,
            ("grpc.health.v1.HealthCheckRequest", {}),
            "grpc.health.v1.HealthCheckResponse",
        )

    assert answer == {"status": 1}


@KINDS
def test_a_session_announces_itself_and_its_methods(tunnel: bool) -> None:
    with daemon(tunnel=tunnel) as running:
        session = Session(shared_key="src:0011", attachables=(Secrets({}), LocalSources({})))
        session.open(running.client)
        running.unary(HEALTH, b"")
        headers = [pair for pair in running.headers if pair[0].startswith("x-docker")]
        session.close()

    assert headers == [
        ("x-docker-expose-session-uuid", session.id),
        ("x-docker-expose-session-sharedkey", "src:0011"),
        ("x-docker-expose-session-grpc-method", HEALTH),
        ("x-docker-expose-session-grpc-method", "/moby.buildkit.secrets.v1.Secrets/GetSecret"),
        ("x-docker-expose-session-grpc-method", "/moby.filesync.v1.FileSync/DiffCopy"),
        ("x-docker-expose-session-grpc-method", "/moby.filesync.v1.FileSync/TarStream"),
    ]


@KINDS
def test_an_unknown_method_is_unimplemented(tunnel: bool) -> None:
    with serving(tunnel=tunnel) as (running, _):
        with pytest.raises(grpc.RpcError) as caught:
            running.unary("/moby.exporter.v1.Exporter/FindExporters", b"")

        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_session_ids_are_alphanumeric_and_differ() -> None:
    ids = {Session().id for _ in range(20)}

    assert len(ids) == 20
    assert all(len(each) == 25 and each.isascii() and each.isalnum() for each in ids)


@pytest.mark.parametrize("key", ["", "src:0011aabb", "my project:00", "x" * 200])
def test_a_printable_shared_key_stays_as_it_is(key: str) -> None:
    assert printable(key) == key


@pytest.mark.parametrize("key", ["größe:00", "a\nb:00", " a", "a ", "a\t", "\udcff:00", "x" * 201])
def test_other_shared_keys_become_printable_and_stay_apart(key: str) -> None:
    shown = printable(key)

    assert shown.isascii()
    assert shown.isprintable()
    assert shown == shown.strip()
    assert shown == printable(key) != printable(key + "x")


@KINDS
def test_a_shared_key_of_any_name_opens_a_session(tunnel: bool) -> None:
    with daemon(tunnel=tunnel) as running:
        session = Session(shared_key="日本語\n\udc80:0011")
        session.open(running.client)

        running.unary(HEALTH, b"")

        session.close()


def test_two_attachables_for_one_method_are_a_mistake() -> None:
    with daemon() as running:
        session = Session(attachables=(Secrets({}), Secrets({})))

        with pytest.raises(ValueError, match=r"two attachables serve /moby\.buildkit\.secrets"):
            session.open(running.client)


def test_a_session_is_opened_once() -> None:
    with serving() as (running, session), pytest.raises(RuntimeError, match="once"):
        session.open(running.client)


@KINDS
def test_a_stream_that_breaks_is_noticed(tunnel: bool) -> None:
    with serving(tunnel=tunnel) as (running, session):
        noticed: list[DockyardError] = []
        session.on_close = noticed.append
        running.unary(HEALTH, b"")

        running.break_stream()
        assert running.client.loop.run(lambda: bool(noticed), 30)

        assert isinstance(noticed[0], ConnectionLostError)
        assert session.lost is noticed[0]
        assert str(noticed[0]).startswith("lost the connection to BuildKit for the session: ")
        session.close()


def test_a_daemon_that_does_not_speak_http2_is_noticed() -> None:
    with daemon() as running:
        session = Session()
        session.open(running.client)
        noticed: list[DockyardError] = []
        session.on_close = noticed.append

        running._ends[0].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 4)
        assert running.client.loop.run(lambda: bool(noticed), 30)

        assert isinstance(noticed[0], ProtocolError)
        session.close()


@KINDS
def test_closing_is_no_break(tunnel: bool) -> None:
    with serving(tunnel=tunnel) as (running, session):
        noticed: list[DockyardError] = []
        session.on_close = noticed.append
        running.unary(HEALTH, b"")

        session.close()
        session.close()

        assert noticed == []
        assert session.lost is None
        with pytest.raises(grpc.RpcError):
            running.unary(HEALTH, b"", timeout=0.3)


def test_closing_a_tunnel_tells_the_daemon() -> None:
    with serving(tunnel=True) as (running, session):
        running.unary(HEALTH, b"")

        session.close()

        assert running.run(lambda: running.tunnel_ended.wait(30))


def test_closing_what_was_never_opened_does_nothing() -> None:
    Session().close()


def test_closing_cancels_calls_that_run() -> None:
    started = threading.Event()
    canceled: list[bool] = []
    calls: list[object] = []

    def handler(call: object) -> None:
        call.on_cancel = lambda: canceled.append(True)  # type: ignore[attr-defined]
        started.set()

    with serving(Service(lambda _loop: handler)) as (running, session):

        def call() -> None:
            calls.append(running.start("/test.Test/Call", (), iter(())))
            assert started.wait(30)

        running.run(call)
        session.close()

        assert canceled == [True]


def test_the_first_failure_of_a_service_is_the_sessions() -> None:
    failing = Service(lambda _loop: unary(lambda request: request))
    session = Session(attachables=(Secrets({}), failing))

    assert session.failed is None
    failing.failed = DockyardError("first")
    assert session.failed is failing.failed


@KINDS
def test_nothing_is_left_of_a_session(tunnel: bool) -> None:
    def work() -> None:
        with serving(tunnel=tunnel) as (running, _):
            running.unary(HEALTH, b"")

    assert_leaves_nothing(work)
