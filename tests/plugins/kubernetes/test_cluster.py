"""Requests to an API server: content, refusals, retries, deadlines, cancellation, bounds."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
import weakref
from contextlib import suppress

import pytest
from attrs import evolve

from dockyard.cancellation import Cancellation
from dockyard.engine.wait import Wait
from dockyard.errors import CanceledError
from dockyard_kubernetes.cluster import ApiError, Cluster, ClusterUnreachableError, open_cluster
from dockyard_kubernetes.credential import Anonymous, Pem, Shown
from dockyard_kubernetes.kubeconfig import find_access
from support.api_peer import TOKEN, Api, Line, Request
from support.peer import closing, silent
from support.port import free_port

NOT_FOUND = {
    "message": 'deployments.apps "k0" not found',
    "details": {"name": "k0", "group": "apps", "kind": "deployments"},
}


def echo(request: Request, line: Line) -> None:
    """Answer with what was asked."""
    body = json.loads(request.body) if request.body else None
    line.json({"method": request.method, "target": request.target, "body": body})


def test_requests_carry_json_and_the_token(api: Api) -> None:
    cluster = open_cluster(api.node(api.serve(echo, tls=True)))
    path = cluster.path("apps/v1", "deployments", "k0")

    assert path == "/apis/apps/v1/namespaces/default/deployments/k0"
    assert cluster.path("v1", "pods") == "/api/v1/namespaces/default/pods"
    assert cluster.get(path)["method"] == "GET"
    assert cluster.create(path, {"a": "ü"})["body"] == {"a": "ü"}
    assert cluster.replace(path, {"a": 1})["method"] == "PUT"
    assert cluster.delete(path, {"propagationPolicy": "Foreground"})["method"] == "DELETE"
    assert cluster.patch(path, {"a": None})["body"] == {"a": None}
    types = [request.headers.get("content-type") for request in api.requests]
    assert types == [
        None,
        "application/json",
        "application/json",
        "application/json",
        "application/merge-patch+json",
    ]
    assert {request.headers["authorization"] for request in api.requests} == {f"Bearer {TOKEN}"}


def test_who_we_are_is_told_to_nobody_without_tls(api: Api) -> None:
    cluster = open_cluster(api.node(api.serve(echo)))

    cluster.create("/version", {})

    assert "authorization" not in api.requests[0].headers


def test_a_list_is_asked_for_with_selectors(api: Api) -> None:
    cluster = open_cluster(api.node(api.serve(echo), context={"namespace": "ci"}))

    found = cluster.list(
        cluster.path("v1", "pods"), label_selector="app=k0,x=y", field_selector="spec.a=b"
    )

    assert found["target"] == (
        "/api/v1/namespaces/ci/pods?labelSelector=app%3Dk0%2Cx%3Dy&fieldSelector=spec.a%3Db"
    )


def test_a_server_below_a_path_is_asked_there(api: Api) -> None:
    url = api.serve(echo)
    cluster = open_cluster(api.node(f"{url}/k8s/clusters/c-1/"))

    assert cluster.get("/version")["target"] == "/k8s/clusters/c-1/version"


def test_logs_are_text_and_bounded(api: Api) -> None:
    cluster = open_cluster(api.node(api.serve(lambda _, line: line.answer(200, b"a\nb\xff\n"))))

    assert cluster.logs("k0-x", "buildkitd", previous=True, tail=3) == "a\nb\ufffd\n"
    assert api.requests[0].target == (
        "/api/v1/namespaces/default/pods/k0-x/log"
        "?container=buildkitd&tailLines=3&limitBytes=262144&previous=true"
    )


def test_the_cluster_is_remembered_with_its_node(api: Api) -> None:
    node = api.node(api.serve(echo))

    assert open_cluster(node) is open_cluster(node)


# --- refusals ------------------------------------------------------------------------------


def test_a_refusal_names_what_was_asked_and_gives_the_servers_words(api: Api) -> None:
    def refuse(_: Request, line: Line) -> None:
        line.status(404, "NotFound", NOT_FOUND["message"], details=NOT_FOUND["details"])  # type: ignore[arg-type]

    cluster = open_cluster(api.node(api.serve(refuse)))

    with pytest.raises(ApiError) as caught:
        cluster.get(cluster.path("apps/v1", "deployments", "k0"))

    error = caught.value
    assert str(error) == (
        'kubernetes refused to get deployments.apps "k0" in namespace "default": '
        'deployments.apps "k0" not found'
    )
    assert (error.status, error.reason, error.details) == (404, "NotFound", NOT_FOUND["details"])
    assert (error.verb, error.target) == ("get", ("deployments.apps", "k0", "default"))
    assert not error.transient


def test_a_forbidden_request_says_what_a_role_has_to_allow(api: Api) -> None:
    words = (
        'pods is forbidden: User "u" cannot list resource "pods" in API group "" '
        'in the namespace "default"'
    )
    url = api.serve(lambda _, line: line.status(403, "Forbidden", words))
    cluster = open_cluster(api.node(url))

    with pytest.raises(ApiError, match="cannot list resource") as caught:
        cluster.list(cluster.path("v1", "pods"))

    assert "allow the verb list on pods in namespace default" in (caught.value.hint or "")


def test_what_was_allowed_may_be_forbidden_for_a_moment(api: Api) -> None:
    def restarting(request: Request, line: Line) -> None:
        if len(api.requests) in (2, 3):
            line.status(403, "Forbidden", "cannot list: the roles are not loaded yet")
        else:
            echo(request, line)

    cluster = open_cluster(api.node(api.serve(restarting)))
    pods = cluster.path("v1", "pods")

    assert cluster.list(pods)["target"] == cluster.list(pods)["target"] == pods

    assert len(api.requests) == 4


def test_what_is_forbidden_is_not_asked_again(api: Api) -> None:
    def forbid(request: Request, line: Line) -> None:
        if request.method == "GET":
            echo(request, line)
        else:
            line.status(403, "Forbidden", "cannot create")

    cluster = open_cluster(api.node(api.serve(forbid)))
    cluster.get(cluster.path("v1", "pods", "p"))

    with pytest.raises(ApiError, match="cannot create"):
        cluster.create(cluster.path("v1", "pods"), {})

    assert len(api.requests) == 2


def test_an_expired_token_says_how_to_go_on(api: Api) -> None:
    url = api.serve(lambda _, line: line.status(401, "Unauthorized", "Unauthorized"))
    cluster = open_cluster(api.node(url))

    with pytest.raises(ApiError, match="refused to get pods .*: Unauthorized$") as caught:
        cluster.get(cluster.path("v1", "pods", "x"))

    assert "log in to the cluster again" in (caught.value.hint or "")
    assert TOKEN not in repr(caught.value) + str(caught.value) + repr(cluster)


def test_a_missing_namespace_says_how_to_make_it(api: Api) -> None:
    def refuse(_: Request, line: Line) -> None:
        line.status(
            404,
            "NotFound",
            'namespaces "ci" not found',
            details={"kind": "namespaces", "name": "ci"},
        )

    cluster = open_cluster(api.node(api.serve(refuse), context={"namespace": "ci"}))

    with pytest.raises(ApiError, match='namespaces "ci" not found') as caught:
        cluster.create(cluster.path("apps/v1", "deployments"), {})

    assert "kubectl create namespace ci" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>no</html>", "418 Whatever"),
        (b"tea\x1b[2J  pot\n", r"tea\?\[2J pot"),
        (b"", "418 Whatever"),
        (b"[1]", r"\[1\]"),
    ],
)
def test_a_refusal_in_other_words_than_an_api_servers_is_told(
    api: Api, body: bytes, words: str
) -> None:
    cluster = open_cluster(api.node(api.serve(lambda _, line: line.answer(418, body))))

    with pytest.raises(ApiError, match=f'refused to get pods "x" .*: {words}$') as caught:
        cluster.get(cluster.path("v1", "pods", "x"))

    assert caught.value.status == 418


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_no_object_is_no_api_servers(api: Api, body: bytes) -> None:
    cluster = open_cluster(api.node(api.serve(lambda _, line: line.answer(200, body))))

    with pytest.raises(ClusterUnreachableError, match="is no kubernetes API server"):
        cluster.get("/version")


# --- connections and retries ---------------------------------------------------------------


def test_a_connection_serves_many_requests(api: Api) -> None:
    cluster = open_cluster(api.node(api.serve(echo)))

    for _ in range(5):
        cluster.get("/version")

    assert {request.connection for request in api.requests} == {0}


def test_a_connection_is_not_kept_for_another_certificate(api: Api) -> None:
    class Renewed(Anonymous):
        """Shows a new certificate each time."""

        def show(self, wait: Wait) -> Shown:
            pair = api.authority.issue_cert("me")
            chain = b"".join(pem.bytes() for pem in pair.cert_chain_pems)
            key = pair.private_key_pem.bytes()
            return Shown("", Pem("certificate", "a test", chain), Pem("key", "a test", key))

    url = api.serve(echo, tls=True, clients=True)
    access = find_access(api.node(url).endpoint, {})
    cluster = Cluster(evolve(access, credential=Renewed()), {})

    for _ in range(2):
        cluster.get("/version")

    assert [request.connection for request in api.requests] == [0, 1]


def test_a_kept_connection_that_was_closed_costs_nothing(api: Api) -> None:
    def once(request: Request, line: Line) -> None:
        echo(request, line)
        line.socket.shutdown(socket.SHUT_RDWR)

    cluster = open_cluster(api.node(api.serve(once)))

    for _ in range(3):
        cluster.get("/version")

    assert {request.connection for request in api.requests} == {0, 1, 2}


def test_a_server_that_is_busy_is_asked_again_when_it_says(api: Api) -> None:
    def busy(request: Request, line: Line) -> None:
        if len(api.requests) < 2:
            line.json({"kind": "Status", "message": "too many"}, 429, Retry_After="1")
        else:
            echo(request, line)

    cluster = open_cluster(api.node(api.serve(busy)))
    begun = time.monotonic()

    assert cluster.create("/api/v1/namespaces/default/pods", {})["method"] == "POST"

    assert len(api.requests) == 2
    assert time.monotonic() - begun >= 1.0  # it asked for a second


def test_a_server_that_stays_busy_is_given_up_in_time(api: Api) -> None:
    url = api.serve(lambda _, line: line.json({"message": "overloaded"}, 503))
    cluster = open_cluster(api.node(url))

    with pytest.raises(ApiError, match="overloaded") as caught:
        cluster.get("/version", timeout=3.0)

    assert caught.value.transient
    assert len(api.requests) > 1


def test_a_server_that_wants_to_be_asked_later_than_there_is_time_is_given_up_at_once(
    api: Api,
) -> None:
    url = api.serve(lambda _, line: line.json({"message": "later"}, 429, Retry_After="3600"))
    cluster = open_cluster(api.node(url))

    with pytest.raises(ApiError, match="later"):
        cluster.get("/version")

    assert len(api.requests) == 1


@pytest.mark.parametrize("status", [500, 503])
def test_what_may_have_been_done_is_not_sent_twice(api: Api, status: int) -> None:
    cluster = open_cluster(api.node(api.serve(lambda _, line: line.json({"message": "x"}, status))))

    with pytest.raises(ApiError):
        cluster.create("/api/v1/namespaces/default/pods", {})

    assert len(api.requests) == 1


def test_a_reset_connection_is_no_reason_to_fail_a_question(api: Api) -> None:
    def reset(request: Request, line: Line) -> None:
        if len(api.requests) > 2:
            echo(request, line)
        else:
            line.socket.shutdown(socket.SHUT_RDWR)

    cluster = open_cluster(api.node(api.serve(reset)))

    assert cluster.get("/version")["method"] == "GET"
    assert len(api.requests) == 3


def test_a_reset_connection_fails_what_may_have_been_done(api: Api) -> None:
    cluster = open_cluster(
        api.node(api.serve(lambda _, line: line.socket.shutdown(socket.SHUT_RDWR)))
    )

    with pytest.raises(ClusterUnreachableError, match="it hung up") as caught:
        cluster.create("/api/v1/namespaces/default/pods", {})

    assert caught.value.transient
    assert len(api.requests) == 1


def test_a_server_that_has_answered_may_be_restarted(api: Api) -> None:
    port = api.peer(api.script(lambda _, line: line.json({}, Connection="close")))
    cluster = open_cluster(api.node(f"http://127.0.0.1:{port}"))
    cluster.get("/version")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    gone = open_cluster(api.node(f"http://127.0.0.1:{listener.getsockname()[1]}"))
    gone._server.heard = True

    def come_back() -> None:
        listener.listen()
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + b'{"a":   1}')

    timer = threading.Timer(0.3, come_back)
    timer.start()
    with listener:
        found = gone.get("/version")
        timer.join()

    assert found == {"a": 1}


def test_a_refusal_keeps_no_connection_open(api: Api) -> None:
    url = api.serve(lambda _, line: line.status(404, "NotFound", "x"))
    cluster = Cluster(find_access(api.node(url).endpoint, {}), {})
    server = weakref.ref(cluster._server)
    gc.disable()
    try:
        with suppress(ApiError):
            cluster.get("/version")
        del cluster

        assert server() is None  # which closes what it kept
    finally:
        gc.enable()


def test_threads_share_a_cluster(api: Api) -> None:
    cluster = open_cluster(api.node(api.serve(echo)))
    found: list[str] = []

    def ask(number: int) -> None:
        found.extend(cluster.get(f"/x/{number}/{turn}")["target"] for turn in range(10))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == sorted(f"/x/{n}/{turn}" for n in range(6) for turn in range(10))


# --- nobody there --------------------------------------------------------------------------


def test_nobody_listening_is_told_at_once(api: Api) -> None:
    port = free_port()
    cluster = open_cluster(api.node(f"https://127.0.0.1:{port}"))

    with pytest.raises(ClusterUnreachableError) as caught:
        cluster.get("/version")

    assert str(caught.value) == (
        f"cannot reach the kubernetes API server at https://127.0.0.1:{port} "
        '(context "here"): connection refused'
    )
    assert caught.value.transient
    assert "kubectl cluster-info" in (caught.value.hint or "")


def test_a_silent_server_is_given_up_in_time(api: Api) -> None:
    cluster = open_cluster(api.node(f"http://127.0.0.1:{api.peer(silent)}"))

    with pytest.raises(ClusterUnreachableError, match="no answer within 0.3 s"):
        cluster.get("/version", timeout=0.3)


def test_a_server_that_only_hangs_up_is_given_up_in_time(api: Api) -> None:
    cluster = open_cluster(api.node(f"http://127.0.0.1:{api.peer(closing)}"))

    with pytest.raises(ClusterUnreachableError):
        cluster.get("/version", timeout=1.0)


def test_something_else_that_answers_is_told_apart(api: Api) -> None:
    def greet(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.recv(1)

    cluster = open_cluster(api.node(f"http://127.0.0.1:{api.peer(greet)}"))

    with pytest.raises(ClusterUnreachableError, match="what answers there is no API server"):
        cluster.get("/version")


def test_canceling_ends_a_wait_at_once(api: Api) -> None:
    cluster = open_cluster(api.node(f"http://127.0.0.1:{api.peer(silent)}"))
    cancel = Cancellation()
    timer = threading.Timer(0.2, cancel.cancel)
    timer.start()
    begun = time.monotonic()

    with pytest.raises(CanceledError):
        cluster.get("/version", cancel=cancel)

    assert time.monotonic() - begun < 20  # of 30
    timer.join()


@pytest.mark.timeout(60)
def test_an_endless_answer_is_cut_off(api: Api) -> None:
    def endless(_: Request, line: Line) -> None:
        line.begin_chunks()
        with suppress(OSError):
            while True:
                line.chunk(b"x" * (1 << 20))

    cluster = open_cluster(api.node(api.serve(endless)))

    with pytest.raises(ClusterUnreachableError, match="longer than 32 MiB"):
        cluster.create("/api/v1/namespaces/default/pods", {})
