"""The ``docker`` package's client over our streams: its errors, its logins, its end."""

from __future__ import annotations

import json
import threading

import pytest
import requests
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import ConnectionError as LostError

from dockyard.cancellation import Cancellation
from dockyard.engine import client as module
from dockyard.engine.client import api_client, login_for, translated
from dockyard.engine.credential import Credentials
from dockyard.engine.dial import dial
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.stream import SocketStream
from dockyard.errors import CanceledError, EngineError
from support.peer import Peers, answering, peers, read_head, silent

__all__ = ["peers"]

VERSION = b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"ApiVersion": "1.41"}'


@pytest.mark.parametrize(
    ("entry", "login"),
    [
        ({"auth": "dTpw"}, {"username": "u", "password": "p"}),
        ({"identitytoken": "t"}, {"identitytoken": "t"}),
        ({"registrytoken": "t"}, {"registrytoken": "t"}),
    ],
)
def test_every_kind_of_credential_is_handed_on(
    entry: dict[str, str], login: dict[str, str]
) -> None:
    credentials = Credentials({"auths": {"r.test:5000": entry}})

    found = login_for(credentials, "r.test:5000/a/b:x", Cancellation())

    assert found == {"serveraddress": "r.test:5000", **login}


@pytest.mark.parametrize("name", ["app", "me/app:x", "docker.io/me/app", "index.docker.io/a/b"])
def test_a_name_without_a_registry_is_docker_hub_s(name: str) -> None:
    credentials = Credentials({"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}}})

    found = login_for(credentials, name, Cancellation())

    assert found["serveraddress"] == "https://index.docker.io/v1/"
    assert found["username"] == "u"


def refused(status: int, explanation: str) -> APIError:
    response = requests.Response()
    response.status_code = status
    return APIError("refused", response=response, explanation=explanation)


def test_a_refusal_keeps_its_status_and_its_words_in_one_line() -> None:
    with (
        pytest.raises(EngineError, match="no such thing, really") as caught,
        translated(Cancellation(), "the work"),
    ):
        raise refused(404, "no such thing,\n really")

    assert caught.value.status == 404


@pytest.mark.parametrize(
    "error", [DockerException("x"), LostError("x"), OSError("x"), ValueError("x")]
)
def test_what_breaks_off_names_the_work(error: Exception) -> None:
    with (
        pytest.raises(EngineError, match="^the docker engine broke off the work: x$"),
        translated(Cancellation(), "the work"),
    ):
        raise error


def test_what_breaks_off_because_it_was_canceled_is_canceled() -> None:
    cancel = Cancellation()
    cancel.cancel()

    with pytest.raises(CanceledError), translated(cancel, "the work"):
        raise OSError("x")


def test_cancelling_ends_a_call_that_is_waiting(peers: Peers) -> None:
    calls = iter([answering(VERSION)])
    waiting = threading.Event()

    def serve(connection: object) -> None:
        script = next(calls, None)
        if script is None:
            read_head(connection)  # type: ignore[arg-type]  # it is a socket
            waiting.set()
            script = silent
        script(connection)  # type: ignore[arg-type]  # it is a socket

    endpoint, cancel = peers.unix(serve), Cancellation()

    def end() -> None:
        waiting.wait(45)
        cancel.cancel()

    thread = threading.Thread(target=end)
    thread.start()
    with (
        pytest.raises(CanceledError),
        translated(cancel, "the work"),
        api_client(endpoint, silence=30, cancel=cancel) as client,
    ):
        client.info()
    thread.join()


def test_a_call_after_cancelling_reaches_nobody(peers: Peers) -> None:
    cancel = Cancellation()
    endpoint = peers.unix(answering(VERSION))

    with api_client(endpoint, silence=30, cancel=cancel) as client:
        cancel.cancel()
        with pytest.raises(CanceledError), translated(cancel, "the work"):
            client.info()


def test_an_engine_that_says_nothing_is_given_up(peers: Peers) -> None:
    calls = iter([answering(VERSION)])
    endpoint = peers.unix(lambda connection: next(calls, silent)(connection))

    with (
        pytest.raises(EngineError, match="broke off the work: .*timed out"),
        translated(Cancellation(), "the work"),
        api_client(endpoint, silence=1, cancel=Cancellation()) as client,
    ):
        for _ in client.pull("img", stream=True):  # which the package would wait for, for ever
            pass


def json_answer(content: object, status: str = "200 OK") -> bytes:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


@pytest.mark.parametrize("body", [{}, [], {"message": None}, {"message": {"a": 1}}])
@pytest.mark.parametrize("status", [404, 500])
def test_a_refusal_that_is_no_engine_s_is_an_error_with_its_status(
    peers: Peers, status: int, body: object
) -> None:
    calls = iter([VERSION, json_answer(body, f"{status} Oh")])
    endpoint = peers.unix(lambda connection: answering(next(calls))(connection))

    with (
        pytest.raises(EngineError) as caught,
        translated(Cancellation(), "the work"),
        api_client(endpoint, silence=30, cancel=Cancellation()) as client,
    ):
        client.info()

    assert caught.value.status == status
    assert str(status) in str(caught.value) or "'a': 1" in str(caught.value)


def test_a_missing_thing_is_missing_whatever_the_answer_says(peers: Peers) -> None:
    calls = iter([VERSION, json_answer({}, "404 Oh")])
    endpoint = peers.unix(lambda connection: answering(next(calls))(connection))

    with (
        pytest.raises(NotFound, match="the docker engine answers with status 404"),
        api_client(endpoint, silence=30, cancel=Cancellation()) as client,
    ):
        client.inspect_container("x")


@pytest.mark.parametrize("version", ["", "latest", "1", "1.41-x", "1." + "9" * 5000, 7, None])
def test_a_version_that_is_none_is_not_believed(peers: Peers, version: object) -> None:
    endpoint = peers.unix(answering(json_answer({"ApiVersion": version})))

    with api_client(endpoint, silence=30, cancel=Cancellation()) as client:
        assert client.api_version == DEFAULT_DOCKER_API_VERSION


def test_an_engine_that_is_too_old_is_an_error(peers: Peers) -> None:
    endpoint = peers.unix(answering(json_answer({"ApiVersion": "1.12"})))

    with (
        pytest.raises(EngineError, match="the docker engine cannot be used: API versions below"),
        api_client(endpoint, silence=30, cancel=Cancellation()),
    ):
        raise AssertionError


def test_cancelling_just_as_the_connection_is_made_ends_the_call(
    peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel = Cancellation()
    calls = iter([answering(VERSION)])
    endpoint = peers.unix(lambda connection: next(calls, silent)(connection))

    def late(endpoint: EngineEndpoint, *, cancel: Cancellation) -> SocketStream:
        stream = dial(endpoint, cancel=cancel)
        cancel.cancel()
        return stream

    with api_client(endpoint, silence=20, cancel=cancel) as client:
        monkeypatch.setattr(module, "dial", late)
        with pytest.raises(CanceledError, match="canceled"):
            client.info()
