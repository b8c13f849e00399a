from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme

from core.session.token_server import TokenServer, serve
from dockyard.cancellation import Cancellation
from dockyard.engine.credential import Credential
from dockyard.errors import CanceledError, CredentialError
from dockyard.session.http import HttpClient
from dockyard.session.token import Token, TokenRequest, fetch_token

ANNA = Credential(username="anna", secret="s3cret")
REFRESH = Credential(identity_token="s3cret-refresh")
NOBODY = Credential()
SCOPES = ("repository:a/b:pull", "repository:c/d:push,pull")


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with serve() as running:
        yield running


def fetch(server: TokenServer, credential: Credential, **changes: object) -> Token:
    values = {"realm": server.url, "service": "reg.example", "scopes": SCOPES} | changes
    return fetch_token(
        TokenRequest(**values),  # type: ignore[arg-type]
        credential,
        HttpClient(),
        cancel=Cancellation(),
    )


def test_a_password_is_posted_as_a_form(server: TokenServer) -> None:
    server.answer("POST", 200, {"access_token": "bearer"})

    token = fetch(server, ANNA)

    assert token == Token(token="bearer", expires_in=60, issued_at=0)
    (asked,) = server.asked
    assert asked.content_type == "application/x-www-form-urlencoded; charset=utf-8"
    assert asked.authorization is None
    assert asked.form == {
        "grant_type": ["password"],
        "username": ["anna"],
        "password": ["s3cret"],
        "service": ["reg.example"],
        "client_id": ["buildkit-client"],
        "scope": ["repository:a/b:pull repository:c/d:push,pull"],
    }


def test_an_identity_token_is_a_refresh_token(server: TokenServer) -> None:
    server.answer("POST", 200, {"access_token": "bearer"})

    fetch(server, REFRESH, scopes=())

    assert server.asked[0].form == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["s3cret-refresh"],
        "service": ["reg.example"],
        "client_id": ["buildkit-client"],
    }


def test_how_long_a_token_lasts_is_told(server: TokenServer) -> None:
    server.answer(
        "POST",
        200,
        {"access_token": "x", "expires_in": 300, "issued_at": "2026-01-01T00:00:00.123456789Z"},
    )

    token = fetch(server, ANNA)

    assert (token.expires_in, token.issued_at) == (300, 1767225600)


@pytest.mark.parametrize("seconds", [0, -5, "300", None, True and 1.5, 10**30])
@pytest.mark.parametrize("issued", ["yesterday", 7, None, "0001-01-01T00:00:00Z"])
def test_nonsense_about_time_is_the_default(
    server: TokenServer, seconds: object, issued: object
) -> None:
    server.answer("POST", 200, {"access_token": "x", "expires_in": seconds, "issued_at": issued})

    assert fetch(server, ANNA) == Token(token="x", expires_in=60, issued_at=0)


@pytest.mark.parametrize("status", [401, 404, 405])
def test_a_server_without_oauth_is_asked_by_get(server: TokenServer, status: int) -> None:
    server.answer("POST", status)
    server.answer("GET", 200, {"token": "bearer"})

    token = fetch(server, ANNA)

    assert token.token == "bearer"
    asked = server.asked[1]
    assert asked.query == {"service": ["reg.example"], "scope": list(SCOPES)}
    assert asked.authorization == "Basic " + base64.b64encode(b"anna:s3cret").decode()


def test_405_is_final_for_a_refresh_token(server: TokenServer) -> None:
    server.answer("POST", 405)

    with pytest.raises(
        CredentialError,
        match=r"^failed to fetch oauth token: unexpected status from POST request to "
        r"http://127.0.0.1:\d+/token: 405 Method Not Allowed$",
    ):
        fetch(server, REFRESH)

    assert [asked.method for asked in server.asked] == ["POST"]


@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_other_statuses_are_final(server: TokenServer, status: int) -> None:
    server.answer("POST", status, {"details": "no such\x1b user"})

    with pytest.raises(
        CredentialError, match=rf"oauth token: unexpected status .*: {status} .*: no such user$"
    ):
        fetch(server, ANNA)


def test_a_wrong_password_is_said_in_the_servers_words(server: TokenServer) -> None:
    server.answer("POST", 401, {})
    server.answer("GET", 401, {"details": "incorrect username or password"})

    with pytest.raises(
        CredentialError,
        match=r"^failed to fetch oauth token: unexpected status from GET request .*"
        r": 401 Unauthorized: incorrect username or password$",
    ):
        fetch(server, ANNA)


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ([{"code": "UNAUTHORIZED", "message": "bad login"}], "unauthorized: bad login"),
        (
            [
                {"code": "TOO_MANY_REQUESTS", "message": "wait\x1b", "detail": "1 h"},
                {"code": "X"},
                7,
            ],
            "too many requests: wait - 1 h",
        ),
        ([{"code": "A", "message": "b"}, {"code": "C", "message": "d"}], "a: b; c: d"),
    ],
)
def test_what_a_registry_says_in_its_own_form_stands_for_the_status(
    server: TokenServer, errors: list[object], words: str
) -> None:
    server.answer("POST", 401, {})
    server.answer("GET", 401, {"errors": errors})

    with pytest.raises(CredentialError, match=f"^failed to fetch oauth token: {words}$"):
        fetch(server, ANNA)


@pytest.mark.parametrize("errors", [{}, [], [1], "x", [{"code": "A", "message": "s3cret"}]])
def test_errors_that_say_nothing_or_too_much_are_left_out(
    server: TokenServer, errors: object
) -> None:
    server.answer("POST", 403, {"errors": errors})

    with pytest.raises(CredentialError, match=r"403 Forbidden$"):
        fetch(server, ANNA)


def test_a_server_that_repeats_the_secret_is_not_quoted(server: TokenServer) -> None:
    server.answer("POST", 403, {"details": "bad password s3cret"})

    with pytest.raises(CredentialError, match=r"403 Forbidden$"):
        fetch(server, ANNA)


def test_without_credentials_the_token_is_anonymous(server: TokenServer) -> None:
    server.answer("GET", 200, {"token": "old", "access_token": "new", "expires_in": 90})

    token = fetch(server, NOBODY, realm=server.url + "?account=x&y=1", scopes=SCOPES[:1])

    assert token == Token(token="new", expires_in=90)
    (asked,) = server.asked
    assert asked.method == "GET"
    assert asked.authorization is None
    assert asked.query == {
        "account": ["x"],
        "y": ["1"],
        "service": ["reg.example"],
        "scope": ["repository:a/b:pull"],
    }


def test_an_anonymous_failure_says_so(server: TokenServer) -> None:
    server.answer("GET", 503)

    with pytest.raises(CredentialError, match=r"^failed to fetch anonymous token: .*503 Service"):
        fetch(server, NOBODY)


def test_a_static_registry_token_asks_nobody(server: TokenServer) -> None:
    token = fetch(server, Credential(registry_token="static", username="anna", secret="x"))

    assert token.token == "static"
    assert server.asked == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "answered with something that is no token"),
        (b"[1]", "answered with something that is no token"),
        (b"[" * 100_000, "answered with something that is no token"),
        (b"\xff\xfe{", "answered with something that is no token"),
        (b"{}", "did not include a token"),
        (b'{"access_token": 3}', "did not include a token"),
        (b'{"token": "only for GET"}', "did not include a token"),
        (b"x" * (2 << 20), "the answer is larger than 1 MiB"),
    ],
)
def test_a_malformed_answer_is_one_line(server: TokenServer, body: bytes, message: str) -> None:
    server.answer("POST", 200, body)

    with pytest.raises(CredentialError, match=f"^failed to fetch oauth token: .*{message}"):
        fetch(server, ANNA)


@pytest.mark.parametrize(
    "realm", ["file:///etc/passwd", "ftp://reg.example/", "", "data:,{}", "reg.example"]
)
def test_only_http_is_spoken(server: TokenServer, realm: str) -> None:
    with pytest.raises(CredentialError, match="only http and https are supported"):
        fetch(server, NOBODY, realm=realm)


@pytest.mark.parametrize(
    "realm", ["http://", "http://a b/", "http://x:port/", "http://[::/", "http://\x01/"]
)
def test_a_malformed_realm_is_one_line(server: TokenServer, realm: str) -> None:
    with pytest.raises(CredentialError, match=r"^failed to fetch anonymous token: GET [^\n]*$"):
        fetch(server, NOBODY, realm=realm)


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:  # nobody else can listen there
        taken.bind(("127.0.0.1", 0))
        gone = TokenServer(url=f"http://127.0.0.1:{taken.getsockname()[1]}/token")

        with pytest.raises(
            CredentialError,
            match=r"oauth token: POST http://127.0.0.1:\d+/token: Connection refused",
        ):
            fetch(gone, ANNA)


def test_a_redirect_does_not_carry_the_password_on(server: TokenServer) -> None:
    with serve() as other:
        other.answer("GET", 200, {"token": "moved"})
        server.answer("POST", 404)
        server.answer("GET", 302, Location=other.url)

        token = fetch(server, ANNA)

    assert token.token == "moved"
    assert other.asked[0].authorization is None


def test_a_redirect_to_a_file_is_refused(server: TokenServer) -> None:
    server.answer("GET", 302, Location="file:///etc/passwd")

    with pytest.raises(CredentialError, match="unexpected status from GET request"):
        fetch(server, NOBODY)


def test_a_posted_password_is_not_posted_again_elsewhere(server: TokenServer) -> None:
    server.answer("POST", 307, Location="http://127.0.0.1:9/")

    with pytest.raises(CredentialError):
        fetch(server, ANNA)

    assert len(server.asked) == 1


def test_user_and_query_of_the_realm_are_not_told(server: TokenServer) -> None:
    realm = server.url.replace("http://", "http://user:pw@") + "?key=hidden"

    with pytest.raises(CredentialError) as caught:
        fetch(server, NOBODY, realm=realm)

    assert "pw" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_proxy_from_the_variables_is_used(server: TokenServer) -> None:
    server.answer("GET", 200, {"token": "by proxy"})
    proxy = server.url.removesuffix("/token")
    request = TokenRequest(realm="http://far.example/token")

    token = fetch_token(
        request, NOBODY, HttpClient(variables={"HTTP_PROXY": proxy}), cancel=Cancellation()
    )

    assert token.token == "by proxy"
    assert server.asked[0].host == "far.example"


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("127.0.0.1", True),
        ("x.example, 127.0.0.1", True),
        ("*", True),
        ("0.0.1", True),
        (".0.0.1", True),
        ("*.0.0.1", True),
        ("7.0.0.1", False),
        ("", False),
        (" , ,", False),
        ("other.example", False),
    ],
)
def test_no_proxy_is_respected(server: TokenServer, no_proxy: str, direct: bool) -> None:
    with serve() as proxy:
        for each, name in ((server, "direct"), (proxy, "by proxy")):
            each.answer("GET", 200, {"token": name})
        variables = {"all_proxy": proxy.url.removesuffix("/token"), "NO_PROXY": no_proxy}

        token = fetch_token(
            TokenRequest(realm=server.url),
            NOBODY,
            HttpClient(variables=variables),
            cancel=Cancellation(),
        )

    assert token.token == ("direct" if direct else "by proxy")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[TokenServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serve(context) as running:
        yield running


def test_tls_is_spoken_with_who_is_trusted(secure: TokenServer, authority: trustme.CA) -> None:
    secure.answer("POST", 200, {"access_token": "secure"})
    context = ssl.create_default_context()
    authority.configure_trust(context)

    token = fetch_token(
        TokenRequest(realm=secure.url), ANNA, HttpClient(tls=context), cancel=Cancellation()
    )

    assert token.token == "secure"


def test_an_unknown_authority_gets_no_password(secure: TokenServer) -> None:
    with pytest.raises(CredentialError, match="certificate verify failed"):
        fetch(secure, ANNA)

    assert secure.asked == []


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_a_silent_server_is_left_when_canceled(
    kind: str, server: TokenServer, secure: TokenServer, authority: trustme.CA
) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    silent = server if kind == "plain" else secure
    cancel = Cancellation()
    over = threading.Event()

    def hang() -> None:
        cancel.cancel()
        over.wait(30)

    silent.before = hang
    try:
        with pytest.raises(CanceledError):
            fetch_token(
                TokenRequest(realm=silent.url), ANNA, HttpClient(tls=context), cancel=cancel
            )
    finally:
        over.set()


def test_a_silent_server_is_left_after_a_while(server: TokenServer) -> None:
    over = threading.Event()

    def hang() -> None:
        over.wait(30)

    server.before = hang
    try:
        with pytest.raises(CredentialError, match="timed out"):
            fetch_token(
                TokenRequest(realm=server.url),
                ANNA,
                HttpClient(patience=0.2),
                cancel=Cancellation(),
            )
    finally:
        over.set()


def test_a_token_is_not_in_the_repr() -> None:
    assert "s3cret" not in repr(Token(token="s3cret"))
