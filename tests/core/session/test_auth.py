from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core.session.daemon import (
    SECONDS,
    Daemon,
    assert_ended,
    assert_workers_ended,
    serving,
)
from core.session.token_server import TokenServer, serve
from dockyard.engine.credential import Credentials
from dockyard.errors import CredentialError
from dockyard.events import StatusUpdate
from dockyard.progress import ProgressWriter
from dockyard.session.auth import RegistryAuth

AUTH = "moby.filesync.v1."
ANNA = {"auths": {"reg.example": {"auth": base64.b64encode(b"anna:s3cret").decode()}}}


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with serve() as running:
        yield running


class Steps:
    """A progress that only keeps the names of the steps."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.failed: list[str] = []

    def step(self, name: str) -> AbstractContextManager[Any]:
        self.names.append(name)
        return nullcontext()

    def update(self, update: StatusUpdate, /) -> None:
        raise AssertionError

    def warn(self, text: str) -> None:
        raise AssertionError(text)


def auth(config: Mapping[str, object] | None = None, **options: Any) -> RegistryAuth:  # noqa: ANN401
    return RegistryAuth(Credentials(config or {}), **options)


def ask(running: Daemon, method: str, **request: object) -> dict[str, Any]:
    return running.ask(
        f"/moby.filesync.v1.Auth/{method}",
        (f"{AUTH}{method}Request", request),
        f"{AUTH}{method}Response",
    )


def test_user_and_password_are_given() -> None:
    with serving(auth(ANNA)) as (running, _):
        assert ask(running, "Credentials", Host="reg.example") == {
            "Username": "anna",
            "Secret": "s3cret",
        }


def test_an_identity_token_is_a_secret_without_a_user() -> None:
    config = {"auths": {"reg.example": {"username": "anna", "identitytoken": "refresh"}}}

    with serving(auth(config)) as (running, _):
        assert ask(running, "Credentials", Host="reg.example") == {"Secret": "refresh"}


def test_nothing_known_is_an_empty_answer() -> None:
    with serving(auth()) as (running, session):
        assert ask(running, "Credentials", Host="reg.example") == {}
        assert session.failed is None


def test_sharing_credentials_is_shown_once() -> None:
    steps = Steps()

    with serving(auth(ANNA, progress=steps)) as (running, _):
        for _ in range(2):
            ask(running, "Credentials", Host="reg.example")
            ask(running, "Credentials", Host="other.example")

    assert steps.names == ["[auth] sharing credentials for reg.example"]


def test_a_token_is_fetched_with_the_password(server: TokenServer) -> None:
    server.answer("POST", 200, {"access_token": "bearer", "expires_in": 300})
    steps = Steps()

    with serving(auth(ANNA, progress=steps)) as (running, _):
        answer = ask(
            running,
            "FetchToken",
            ClientID="x",
            Host="reg.example",
            Realm=server.url,
            Service="reg.example",
            Scopes=["repository:a/b:pull", "repository:c/d:pull"],
        )

    assert answer == {"Token": "bearer", "ExpiresIn": 300}
    assert server.asked[0].form["password"] == ["s3cret"]
    assert steps.names == ["[auth] a/b:pull c/d:pull token for reg.example"]


def test_the_step_of_a_token_that_is_refused_is_no_error(server: TokenServer) -> None:
    server.answer("POST", 500, {})
    updates: list[StatusUpdate] = []

    with (
        serving(auth(ANNA, progress=ProgressWriter(updates.append))) as (running, _),
        pytest.raises(grpc.RpcError),
    ):
        ask(running, "FetchToken", Host="reg.example", Realm=server.url)

    vertexes = [vertex for update in updates for vertex in update.vertexes]
    assert [vertex.name for vertex in vertexes] == ["[auth]  token for reg.example"] * 2
    assert vertexes[-1].completed
    assert not any(vertex.error for vertex in vertexes)


def test_a_token_is_fetched_without_any_credentials(server: TokenServer) -> None:
    server.answer("GET", 200, {"token": "bearer", "issued_at": "2026-01-01T00:00:00Z"})
    steps = Steps()

    with serving(auth(progress=steps)) as (running, _):
        answer = ask(running, "FetchToken", Host="reg.example", Realm=server.url)

    assert answer == {"Token": "bearer", "ExpiresIn": 60, "IssuedAt": 1767225600}
    assert steps.names == []


def test_a_token_that_cannot_be_fetched_is_the_daemons_to_tell(server: TokenServer) -> None:
    server.answer("POST", 403)

    with serving(auth(ANNA)) as (running, session):
        with pytest.raises(grpc.RpcError) as caught:
            ask(running, "FetchToken", Host="reg.example", Realm=server.url)

        assert caught.value.code() == grpc.StatusCode.UNKNOWN
        details = caught.value.details() or ""
        assert details.startswith("failed to fetch oauth token: unexpected status")
        assert "s3cret" not in details
        assert session.failed is None


def test_the_authority_signs_with_the_key_that_it_gave(tmp_path: Path) -> None:
    salt, payload = os.urandom(16), b"prove it"

    with serving(auth(ANNA, folder=tmp_path)) as (running, _):
        key = ask(running, "GetTokenAuthority", Host="reg.example", Salt=salt)["PublicKey"]
        signed = ask(
            running, "VerifyTokenAuthority", Host="reg.example", Salt=salt, Payload=payload
        )["Signed"]

    assert signed[64:] == payload
    Ed25519PublicKey.from_public_bytes(key).verify(signed[:64], payload)
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(key).verify(signed[:64], payload + b"!")


def test_two_sessions_of_one_user_have_one_key(tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        with serving(auth(ANNA, folder=tmp_path)) as (running, _):
            keys.append(ask(running, "GetTokenAuthority", Host="reg.example", Salt=b"salt"))

    assert keys[0] == keys[1]


def test_without_a_secret_the_key_depends_on_the_salt_alone(tmp_path: Path) -> None:
    with serving(auth(ANNA, folder=tmp_path)) as (running, _):
        known = ask(running, "GetTokenAuthority", Host="reg.example", Salt=b"salt")
        one = ask(running, "GetTokenAuthority", Host="one.example", Salt=b"salt")
        two = ask(running, "GetTokenAuthority", Host="two.example", Salt=b"salt")
        other = ask(running, "GetTokenAuthority", Host="two.example", Salt=b"pepper")

    assert one == two
    assert known != one != other


@pytest.mark.parametrize("method", ["GetTokenAuthority", "VerifyTokenAuthority"])
@pytest.mark.parametrize("value", ["1", "true", "TRUE", "t"])
def test_client_tokens_can_be_switched_off(method: str, value: str) -> None:
    switched_off = auth(ANNA, variables={"BUILDKIT_NO_CLIENT_TOKEN": value})

    with serving(switched_off) as (running, _), pytest.raises(grpc.RpcError) as caught:
        ask(running, method, Host="reg.example", Salt=b"salt")

    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "client side tokens disabled"


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    script = tmp_path / "docker-credential-store"
    script.write_text("")
    script.chmod(0o755)
    return script


def with_helper(helper: Path, body: str, **options: Any) -> RegistryAuth:  # noqa: ANN401
    helper.write_text(f"#!/bin/sh\n{body}\n")
    variables = {"PATH": f"{helper.parent}:/usr/bin:/bin"}
    return RegistryAuth(Credentials({"credsStore": "store"}, variables=variables, **options))


@pytest.mark.parametrize("method", ["Credentials", "FetchToken", "GetTokenAuthority"])
@pytest.mark.parametrize(
    ("body", "message", "deadline"),
    [
        ("echo locked >&2; exit 1", "failed with exit code 1: locked", SECONDS),
        ("echo nonsense", "answered with something that is no credential", SECONDS),
        ("exec sleep 600", "did not answer within 0.3 seconds", 0.3),
    ],
)
def test_a_broken_helper_is_the_sessions_failure(
    helper: Path, method: str, body: str, message: str, deadline: float
) -> None:
    message = f"credential helper docker-credential-store {message}"
    with serving(with_helper(helper, body, deadline=deadline)) as (running, session):
        with pytest.raises(grpc.RpcError) as caught:
            ask(running, method, Host="reg.example")

        assert caught.value.details() == message
        assert isinstance(session.failed, CredentialError)
        assert str(session.failed) == message


def test_a_hanging_helper_ends_with_the_session(helper: Path) -> None:
    pipe = helper.with_name("started")
    os.mkfifo(pipe)
    hanging = with_helper(helper, f"echo $$ > '{pipe}'; exec sleep 600")
    before = set(threading.enumerate())

    with serving(hanging) as (running, session):

        def call() -> int:
            running.later("/moby.filesync.v1.Auth/Credentials", b"\x0a\x01x")
            return int(pipe.read_text())

        helper_id = running.run(call)
        session.close()

    assert_ended(before)
    assert not Path(f"/proc/{helper_id}").exists()
    assert session.failed is None


def test_a_silent_token_server_is_left_when_the_session_ends(server: TokenServer) -> None:
    strangers = set(threading.enumerate())
    reached, over = threading.Event(), threading.Event()

    def hang() -> None:
        reached.set()
        over.wait(SECONDS)

    server.before = hang
    try:
        with serving(auth(ANNA)) as (running, session):

            def call() -> None:
                realm = server.url.encode()
                running.later(
                    "/moby.filesync.v1.Auth/FetchToken", b"\x1a" + bytes([len(realm)]) + realm
                )
                assert reached.wait(SECONDS)

            running.run(call)
            session.close()
        assert_workers_ended(strangers)
    finally:
        over.set()
