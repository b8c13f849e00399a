from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
import trustme

from core.registry.server import INDEX, Answer, FakeRegistry, basic, digest_of, serve, tokens
from dockyard.cancellation import Cancellation
from dockyard.engine.credential import Credentials
from dockyard.errors import CanceledError, CredentialError, DockyardError, OutputError
from dockyard.registry.client import RegistryClient
from dockyard.registry.descriptor import Descriptor
from dockyard.registry.reference import Reference
from dockyard.registry.setting import RegistrySettings
from dockyard.registry.transport import Transport

PASSWORD = "s3cret-harbour"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with serve() as running:
        yield running


def client(
    registry: FakeRegistry,
    settings: RegistrySettings | None = None,
    *,
    password: str = "",
    cancel: Cancellation | None = None,
    deadline: float = 30.0,
) -> RegistryClient:
    login = base64.b64encode(f"anna:{password}".encode()).decode()
    config = {"auths": {registry.host: {"auth": login}}} if password else {}
    return RegistryClient(
        Credentials(config),
        lambda _: settings or RegistrySettings(),
        variables={},
        cancel=cancel or Cancellation(),
        deadline=deadline,
        pauses=(0.01, 0.01),
    )


def image(registry: FakeRegistry, rest: str = "a/b:1") -> Reference:
    return Reference.parse(f"{registry.host}/{rest}")


def refused(
    used: RegistryClient, reference: Reference, error: type[DockyardError] = OutputError
) -> str:
    """Ask for an image that is not to be had, and give the reason."""
    with pytest.raises(error) as raised:
        used.describe(reference)
    assert "\n" not in raised.value.message
    assert PASSWORD not in raised.value.message
    assert f"registry {reference.registry}" in raised.value.message
    assert f"repository {reference.repository}" in raised.value.message
    return raised.value.message


def test_a_manifest_is_put_under_its_tag(registry: FakeRegistry) -> None:
    data = b'{"some": "index"}'

    client(registry).put(image(registry), Descriptor.of(INDEX, data), data)

    assert registry.stored == {"/v2/a/b/manifests/1": (INDEX, data)}


def test_a_manifest_is_described_and_read(registry: FakeRegistry) -> None:
    digest = registry.give("/v2/a/b/manifests/1", b"{}")
    registry.give(f"/v2/a/b/manifests/{digest}", b"{}")

    found = client(registry).describe(image(registry))

    assert found == Descriptor(INDEX, digest, 2)
    assert client(registry).manifest(image(registry), found) == b"{}"


def test_other_bytes_than_the_digest_says_are_refused(registry: FakeRegistry) -> None:
    digest = digest_of(b"{}")
    registry.give(f"/v2/a/b/manifests/{digest}", b"[]")

    assert "other content than its digest" in refused(
        client(registry), image(registry, f"a/b@{digest}")
    )


def test_a_registry_that_stores_something_else_is_noticed(registry: FakeRegistry) -> None:
    other = digest_of(b"other")
    registry.answers["PUT /v2/a/b/manifests/1"] = Answer(
        status=201, headers={"Docker-Content-Digest": other}
    )

    with pytest.raises(OutputError, match=f"it has stored {other} in place of"):
        client(registry).put(image(registry), Descriptor.of(INDEX, b"{}"), b"{}")


def test_a_refusal_is_given_in_the_registrys_words(registry: FakeRegistry) -> None:
    body = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no such\nthing"}]})
    registry.answers["GET /v2/a/b/manifests/1"] = Answer(status=404, body=body.encode())

    assert refused(client(registry), image(registry)) == (
        f"registry {registry.host}, repository a/b: 404 Not Found: MANIFEST_UNKNOWN: no such thing"
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors": [1]}', b"[" * 60000])
def test_a_refusal_without_words_is_told_all_the_same(registry: FakeRegistry, body: bytes) -> None:
    registry.answers["GET /v2/a/b/manifests/1"] = Answer(status=503, body=body)

    assert refused(client(registry), image(registry)).endswith(": 503 Service Unavailable")


def test_a_registry_that_is_busy_is_asked_again(registry: FakeRegistry) -> None:
    digest = registry.give("/v2/a/b/manifests/1", b"{}")
    registry.busy = 2

    assert client(registry).describe(image(registry)).digest == digest
    assert not registry.busy


def test_a_registry_that_stays_busy_is_given_up(registry: FakeRegistry) -> None:
    registry.busy = 3

    assert refused(client(registry), image(registry)).endswith(": 429 Too Many Requests")


def test_an_answer_that_is_too_large_is_refused(registry: FakeRegistry) -> None:
    registry.give("/v2/a/b/manifests/1", b" " * ((4 << 20) + 1))

    assert "larger than" in refused(client(registry), image(registry))


def test_a_registry_that_hangs_ends_in_an_error(registry: FakeRegistry) -> None:
    never = threading.Event()
    registry.answers["GET /v2/a/b/manifests/1"] = Answer(body=b"{}", slowly=never)
    begin = time.monotonic()

    message = refused(client(registry, deadline=1.5), image(registry))

    never.set()
    # Which of two limits is the first to notice depends on how busy the machine is.
    assert "no whole answer within 1.5 seconds" in message or "it does not answer" in message
    assert time.monotonic() - begin < 25


def test_a_cancellation_ends_a_request(registry: FakeRegistry) -> None:
    never = threading.Event()
    registry.answers["GET /v2/a/b/manifests/1"] = Answer(body=b"{}", slowly=never)
    cancel = Cancellation()
    timer = threading.Timer(0.2, cancel.cancel)
    timer.start()

    with pytest.raises(CanceledError):
        client(registry, cancel=cancel).describe(image(registry))

    never.set()
    timer.join()


def test_nobody_there_is_an_error_in_one_line() -> None:
    nobody = FakeRegistry(url="http://127.0.0.1:1")

    assert refused(client(nobody), image(nobody)).endswith(": connection refused")


# --- logins ---------------------------------------------------------------------------------


def test_a_password_goes_to_a_registry_that_wants_it(registry: FakeRegistry) -> None:
    registry.challenge, registry.accepts = 'Basic realm="x"', basic("anna", PASSWORD)
    registry.give("/v2/a/b/manifests/1", b"{}")

    used = client(registry, password=PASSWORD)
    used.describe(image(registry))
    used.describe(image(registry))

    sent = [authorization for _, path, authorization in registry.asked if "manifests" in path]
    assert sent == ["", registry.accepts, registry.accepts]  # once learned, it is sent at once


def test_without_a_password_the_login_is_advised(registry: FakeRegistry) -> None:
    registry.challenge, registry.accepts = 'Basic realm="x"', basic("anna", PASSWORD)

    with pytest.raises(CredentialError, match="no basic auth credentials") as raised:
        client(registry).describe(image(registry))

    assert raised.value.hint == f"docker login {registry.host}"


def test_a_wrong_password_is_never_shown(registry: FakeRegistry) -> None:
    registry.challenge, registry.accepts = 'Basic realm="x"', "something else"
    body = json.dumps({"errors": [{"code": "DENIED", "message": f"not {PASSWORD}"}]}).encode()
    registry.answers["401"] = Answer(
        status=401, body=body, headers={"WWW-Authenticate": registry.challenge}
    )

    message = refused(client(registry, password=PASSWORD), image(registry), error=CredentialError)

    assert message.endswith("401 Unauthorized")


def test_a_token_is_fetched_for_the_repository(registry: FakeRegistry) -> None:
    tokens(registry)
    registry.give("/v2/a/b/manifests/1", b"{}")
    registry.answers["POST /token"] = Answer(body=b'{"access_token": "the-token"}')

    client(registry, password=PASSWORD).describe(image(registry))

    (form,) = registry.forms
    assert form["scope"] == "repository:a/b:pull,push"
    assert (form["service"], form["password"]) == ("yard", PASSWORD)


def test_a_token_without_a_login(registry: FakeRegistry) -> None:
    tokens(registry)
    data = b"{}"

    client(registry).put(image(registry), Descriptor.of(INDEX, data), data)

    assert registry.stored


def test_a_token_server_that_refuses_is_named_with_the_registry(registry: FakeRegistry) -> None:
    tokens(registry)
    for method in ("GET", "POST"):
        registry.answers[f"{method} /token"] = Answer(status=403)

    message = refused(client(registry, password=PASSWORD), image(registry), error=CredentialError)

    assert "failed to fetch oauth token" in message


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "\x00", "ключ"])
def test_a_token_that_cannot_be_sent_is_refused(registry: FakeRegistry, token: str) -> None:
    tokens(registry, {"token": token})

    refused(client(registry), image(registry), error=DockyardError)


def test_a_safe_registry_cannot_have_the_password_sent_in_the_open() -> None:
    authority = trustme.CA()
    settings = RegistrySettings(authorities=(authority.cert_pem.bytes(),))
    with serve(authority.issue_cert("127.0.0.1")) as registry:
        tokens(registry)
        registry.challenge = 'Bearer realm="http://127.0.0.1:1/token"'

        message = refused(
            client(registry, settings, password=PASSWORD), image(registry), error=CredentialError
        )

    assert "its token server has no https address" in message


def test_a_redirect_does_not_take_the_password_along(registry: FakeRegistry) -> None:
    registry.challenge, registry.accepts = 'Basic realm="x"', basic("anna", PASSWORD)
    with serve() as other:
        other.give("/elsewhere", b"{}")
        registry.answers["GET /v2/a/b/manifests/1"] = Answer(
            status=307, headers={"Location": f"{other.url}/elsewhere"}
        )

        client(registry, password=PASSWORD).describe(image(registry))

        assert other.asked == [("GET", "/elsewhere", "")]


def test_who_a_redirect_leads_to_cannot_ask_for_the_password(registry: FakeRegistry) -> None:
    with serve() as other:
        other.challenge, other.accepts = f'Bearer realm="{other.url}/token"', "Bearer x"
        other.answers["POST /token"] = Answer(body=b'{"token": "x"}')
        registry.answers["GET /v2/a/b/manifests/1"] = Answer(
            status=307, headers={"Location": f"{other.url}/elsewhere"}
        )

        message = refused(
            client(registry, password=PASSWORD), image(registry), error=CredentialError
        )

    assert message.endswith("401 Unauthorized")
    assert other.asked == [("GET", "/elsewhere", "")]
    assert not other.forms


@pytest.mark.parametrize("host", ["registry.example", "192.0.2.1:80", "[::"])
def test_a_registry_here_cannot_have_the_password_sent_in_the_open_elsewhere(
    registry: FakeRegistry, host: str
) -> None:
    tokens(registry)
    registry.challenge = f'Bearer realm="http://{host}/token"'

    message = refused(client(registry, password=PASSWORD), image(registry), error=CredentialError)

    assert "its token server has no https address" in message


def test_a_login_that_a_registry_repeats_is_never_shown(registry: FakeRegistry) -> None:
    login = basic("anna", PASSWORD)
    registry.challenge, registry.accepts = 'Basic realm="x"', login
    body = json.dumps({"errors": [{"code": "DENIED", "message": f"not {login}"}]}).encode()
    registry.answers["GET /v2/a/b/manifests/1"] = Answer(status=403, body=body)

    message = refused(client(registry, password=PASSWORD), image(registry))

    assert message.endswith("403 Forbidden")


def test_a_token_server_that_hangs_ends_in_an_error(registry: FakeRegistry) -> None:
    over = threading.Event()
    tokens(registry)
    registry.answers["POST /token"] = Answer(body=b"{}", slowly=over)
    try:
        message = refused(
            client(registry, password=PASSWORD, deadline=4),
            image(registry),
            error=CredentialError,
        )
    finally:
        over.set()

    assert "no whole answer within 4 seconds" in message


def test_what_is_ended_because_it_is_late_was_not_canceled() -> None:
    def work(over: Cancellation) -> None:
        turned = threading.Event()
        over.on_cancel(turned.set)
        over.on_cancel(partial(threading.current_thread().join, 45))  # the error is there at once
        assert turned.wait(45)
        over.check()

    with pytest.raises(TimeoutError, match=r"no whole answer within 0\.05 seconds"):
        Transport(deadline=0.05)._in_time(work, Cancellation())


@pytest.mark.parametrize("canceled", [True, False])
def test_a_handshake_that_nobody_answers_is_not_waited_for(*, canceled: bool) -> None:
    cancel = Cancellation()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport = Transport(deadline=30 if canceled else 0.3, patience=60)
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v2/"
        begun = time.monotonic()
        timer = threading.Timer(0.2 if canceled else 60, cancel.cancel)
        timer.start()
        try:
            with pytest.raises(
                CanceledError if canceled else TimeoutError, match=r"canceled|no whole answer"
            ):
                transport.exchange("GET", url, headers={}, limit=1, cancel=cancel)
        finally:
            timer.cancel()

    assert time.monotonic() - begun < 25


@pytest.mark.parametrize("length", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_an_answer_that_breaks_off_says_so(length: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(1 << 16)
                peer.sendall(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n5\r\nhalf".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v2/"
        with pytest.raises(ConnectionResetError, match="in the middle of the answer"):
            Transport().exchange("GET", url, headers={}, limit=100, cancel=Cancellation())
        thread.join()


@pytest.mark.parametrize("url", ["http://[::1/", "http://a..b/", "http://a b/"])
def test_an_impossible_address_is_an_error_of_the_system(url: str) -> None:
    with pytest.raises(OSError, match="not HTTP"):
        Transport().exchange("GET", url, headers={}, limit=1, cancel=Cancellation())


# --- plain HTTP and TLS ---------------------------------------------------------------------


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def safe_registry(authority: trustme.CA) -> Iterator[FakeRegistry]:
    with serve(authority.issue_cert("127.0.0.1")) as running:
        running.give("/v2/a/b/manifests/1", b"{}")
        yield running


def test_a_trusted_certificate_will_do(safe_registry: FakeRegistry, authority: trustme.CA) -> None:
    settings = RegistrySettings(authorities=(authority.cert_pem.bytes(),))

    assert client(safe_registry, settings).describe(image(safe_registry)).size == 2


@pytest.mark.parametrize("http", [None, False])
def test_an_untrusted_certificate_is_refused(
    safe_registry: FakeRegistry, http: bool | None
) -> None:
    message = refused(client(safe_registry, RegistrySettings(http=http)), image(safe_registry))

    assert "its certificate is not trusted: " in message
    assert not [path for _, path, _ in safe_registry.asked if "manifests" in path]


def test_an_untrusted_certificate_will_do_where_it_was_allowed(
    safe_registry: FakeRegistry,
) -> None:
    settings = RegistrySettings(insecure=True)

    assert client(safe_registry, settings).describe(image(safe_registry)).size == 2


def test_plain_http_is_not_tried_where_tls_was_demanded(registry: FakeRegistry) -> None:
    refused(client(registry, RegistrySettings(http=False)), image(registry))

    assert not registry.asked


def test_plain_http_where_it_was_allowed(registry: FakeRegistry) -> None:
    registry.give("/v2/a/b/manifests/1", b"{}")
    settings = RegistrySettings(http=False, insecure=True)

    assert client(registry, settings).describe(image(registry)).size == 2
