"""Watches: every event once, over however many connections, and every way in which they end."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import pytest

from dockyard.cancellation import Cancellation
from dockyard.errors import CanceledError
from dockyard_kubernetes import watch
from dockyard_kubernetes.cluster import ApiError, Cluster, ClusterUnreachableError, open_cluster
from dockyard_kubernetes.failure import GoneError
from dockyard_kubernetes.watch import Event
from support.api_peer import Api, Handler, Line, Request
from support.peer import silent
from support.port import free_port

PODS = "/api/v1/namespaces/default/pods"


def pod(name: str, version: int) -> dict[str, object]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def open_for(api: Api, handler: Handler) -> Cluster:
    return open_cluster(api.node(api.serve(handler)))


def collect(cluster: Cluster, count: int = 1000, timeout: float = 50) -> list[Event]:
    """Watch until there are so many events, or the time is over."""
    found = []
    for event in cluster.watch(PODS, resource_version="5", label_selector="app=k", timeout=timeout):
        found.append(event)
        if len(found) == count:
            break
    return found


def test_events_are_given_as_they_come(api: Api) -> None:
    go_on = threading.Event()

    def serve(_: Request, line: Line) -> None:
        line.begin_chunks()
        line.event("ADDED", pod("a", 6))
        assert go_on.wait(40)
        data = json.dumps({"type": "DELETED", "object": pod("ä", 7)}).encode() + b"\n\n"
        for at in range(0, len(data), 7):  # cut anywhere
            line.chunk(data[at : at + 7])
        line.event("BOOKMARK", pod("", 8))

    cluster = open_for(api, serve)
    found = []
    for event in cluster.watch(PODS, resource_version="5", timeout=50):
        found.append((event.type, event.name))
        go_on.set()
        if len(found) == 3:
            break

    assert found == [("ADDED", "a"), ("DELETED", "ä"), ("BOOKMARK", "")]
    query = parse_qs(urlsplit(api.requests[0].target).query)
    assert query == {
        "watch": ["true"],
        "resourceVersion": ["5"],
        "allowWatchBookmarks": ["true"],
        "timeoutSeconds": ["50"],
    }


def test_a_connection_that_ends_is_followed_by_another_from_there(api: Api) -> None:
    def serve(_: Request, line: Line) -> None:
        number = len(api.requests)
        line.begin_chunks()
        line.event("ADDED", pod(f"p{number}", 10 * number))
        if number == 1:
            line.event("BOOKMARK", pod("", 15))
            line.chunk(b"")  # as it should
        line.socket.shutdown(socket.SHUT_RDWR)  # cut

    found = [event.name for event in collect(open_for(api, serve), 4)]

    versions = [parse_qs(urlsplit(r.target).query)["resourceVersion"] for r in api.requests]
    assert found == ["p1", "", "p2", "p3"]
    assert versions == [["5"], ["15"], ["20"]]
    assert all("labelSelector=app%3Dk" in request.target for request in api.requests)


def test_a_watch_ends_when_its_time_is_over(api: Api) -> None:
    def serve(_: Request, line: Line) -> None:
        line.begin_chunks()
        line.event("ADDED", pod("a", 6))
        silent(line.socket)

    begun = time.monotonic()

    assert len(collect(open_for(api, serve), timeout=2.0)) == 1

    assert 1.9 < time.monotonic() - begun < 40
    assert len(api.requests) == 1


def test_canceling_ends_a_watch_at_once(api: Api) -> None:
    def serve(_: Request, line: Line) -> None:
        line.begin_chunks()
        line.event("ADDED", pod("a", 6))
        silent(line.socket)

    cancel = Cancellation()
    events = open_for(api, serve).watch(PODS, resource_version="5", timeout=60, cancel=cancel)
    assert next(events).name == "a"
    timer = threading.Timer(0.2, cancel.cancel)
    timer.start()
    begun = time.monotonic()

    with pytest.raises(CanceledError):
        next(events)

    assert time.monotonic() - begun < 30
    timer.join()


@pytest.mark.parametrize("way", ["event", "status"])
def test_a_forgotten_version_is_an_error_of_its_own(api: Api, way: str) -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old: 5 (9)"}

    def serve(_: Request, line: Line) -> None:
        if way == "status":
            line.json(status, 410)
        else:
            line.begin_chunks()
            line.event("ERROR", status)

    with pytest.raises(GoneError, match=r"refused to watch pods in namespace .*: too old: 5 \(9\)"):
        collect(open_for(api, serve))

    assert len(api.requests) == 1


def test_a_forbidden_watch_names_the_verb(api: Api) -> None:
    words = 'pods is forbidden: User "u" cannot watch resource "pods"'
    cluster = open_for(api, lambda _, line: line.status(403, "Forbidden", words))

    with pytest.raises(ApiError, match="cannot watch") as caught:
        collect(cluster)

    assert "the verb watch on pods" in (caught.value.hint or "")


def test_a_busy_server_is_asked_again(api: Api) -> None:
    def serve(_: Request, line: Line) -> None:
        if len(api.requests) < 3:
            line.status(429, "TooManyRequests", "later")
        else:
            line.begin_chunks()
            line.event("ADDED", pod("a", 6))

    assert [event.name for event in collect(open_for(api, serve), 1)] == ["a"]

    assert len(api.requests) == 3


def test_what_was_watched_may_be_forbidden_for_a_moment(api: Api) -> None:
    def serve(_: Request, line: Line) -> None:
        if len(api.requests) == 2:
            line.status(403, "Forbidden", "cannot watch: the roles are not loaded yet")
            return
        line.begin_chunks()
        line.event("ADDED", pod(f"p{len(api.requests)}", len(api.requests)))
        line.chunk(b"")

    assert [event.name for event in collect(open_for(api, serve), 2)] == ["p1", "p3"]


def test_a_quiet_connection_ends_the_patience_with_a_failing_server_too(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_MOST_FAILURES_SECONDS", 0.05)  # less than a pause

    def serve(_: Request, line: Line) -> None:
        number = len(api.requests)
        if number in (1, 3):
            line.status(503, "ServiceUnavailable", "starting")
            return
        line.begin_chunks()
        if number == 4:
            line.event("ADDED", pod("a", 6))
        line.chunk(b"")

    assert [event.name for event in collect(open_for(api, serve), 1)] == ["a"]


def test_a_server_that_is_gone_is_not_waited_for_long(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_MOST_FAILURES_SECONDS", 0.5)
    port = free_port()
    cluster = open_cluster(api.node(f"http://127.0.0.1:{port}"))

    with pytest.raises(ClusterUnreachableError, match="connection refused"):
        collect(cluster)


@pytest.mark.parametrize(
    ("line_", "words"),
    [
        (b"nonsense\n", "something else than an event"),
        (b"[]\n", "something else than an event"),
        (b'{"type": "ADDED"}\n', "something else than an event"),
        (b'{"type": 1, "object": {}}\n', "malformed event"),
        (b'{"type": "ADDED", "object": []}\n', "malformed event"),
        (b"[" * 100_000 + b"\n", "something else than an event"),
    ],
)
def test_what_is_no_event_is_told(api: Api, line_: bytes, words: str) -> None:
    def serve(_: Request, line: Line) -> None:
        line.begin_chunks()
        line.chunk(line_)
        silent(line.socket)

    with pytest.raises(ClusterUnreachableError, match=words):
        collect(open_for(api, serve))


def test_an_endless_event_is_cut_off(api: Api) -> None:
    def serve(_: Request, line: Line) -> None:
        line.begin_chunks()
        with suppress(OSError):
            while True:
                line.chunk(bytes(1 << 20))

    with pytest.raises(ClusterUnreachableError, match="longer than 8 MiB"):
        collect(open_for(api, serve))


def test_objects_without_metadata_do_no_harm(api: Api) -> None:
    def serve(_: Request, line: Line) -> None:
        line.begin_chunks()
        line.event("ADDED", {"metadata": 7})
        line.event("ADDED", {"metadata": {"name": 7, "resourceVersion": 8}})

    assert [event.name for event in collect(open_for(api, serve), 2)] == ["", ""]
