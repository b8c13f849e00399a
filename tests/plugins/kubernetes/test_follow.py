"""Tests for following lists."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dockyard.cancellation import Cancellation
from dockyard.errors import CanceledError
from dockyard_kubernetes import follow
from dockyard_kubernetes.cluster import ApiError, ClusterUnreachableError, GoneError
from dockyard_kubernetes.failure import target_of
from dockyard_kubernetes.follow import Follower
from dockyard_kubernetes.value import name_of
from dockyard_kubernetes.watch import Event
from support.cluster_objects import pod
from support.small_cluster import SmallCluster

PODS = "/api/v1/namespaces/ns/pods"
EVENTS = "/api/v1/namespaces/ns/events"


@pytest.fixture
def cluster() -> SmallCluster:
    made = SmallCluster()
    made.objects["pods/a"] = pod("a")
    made.events["pods"] = queue.SimpleQueue()
    return made


def wait_until(follower: Follower, answer: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not answer():
        follower.wait(0.1)
        assert time.monotonic() < deadline


def names(follower: Follower) -> list[str]:
    return [name_of(each) for each in follower.get("pods")]


def test_a_list_is_known_and_kept_up_to_date(cluster: SmallCluster) -> None:
    with Follower(cluster) as follower:
        follower.follow("pods", PODS)
        wait_until(follower, lambda: follower.is_complete)
        first = names(follower)
        cluster.events["pods"].put(Event("ADDED", pod("b")))
        cluster.events["pods"].put(Event("BOOKMARK", {}))
        cluster.events["pods"].put(Event("DELETED", pod("a")))
        wait_until(follower, lambda: names(follower) == ["b"])

    assert first == ["a"]


def test_a_server_that_has_forgotten_is_asked_for_the_list_again(cluster: SmallCluster) -> None:
    with Follower(cluster) as follower:
        follower.follow("pods", PODS)
        wait_until(follower, lambda: names(follower) == ["a"])
        cluster.objects = {"pods/c": pod("c")}
        gone = GoneError("watch", target_of(PODS), "too old", status=410)
        cluster.events["pods"].put(gone)
        wait_until(follower, lambda: names(follower) == ["c"])


def test_what_cannot_be_had_is_an_error_unless_one_can_do_without(cluster: SmallCluster) -> None:
    cluster.errors["list events"] = cluster.error("list", "events", 403)
    with Follower(cluster) as follower:
        follower.follow("events", EVENTS, optional=True)
        wait_until(follower, lambda: follower.is_complete)
        assert follower.get("events") == []
        assert "refused to list events" in str(follower.failures["events"])
    with Follower(cluster) as follower:
        follower.follow("events", EVENTS)

        with pytest.raises(ApiError, match="refused to list events"):
            wait_until(follower, lambda: False)


def test_a_watch_that_is_refused_is_an_error_at_once(cluster: SmallCluster) -> None:
    cluster.errors["watch pods"] = cluster.error("watch", "pods", 403)
    with Follower(cluster) as follower:
        follower.follow("pods", PODS)

        with pytest.raises(ApiError, match="refused to watch pods"):
            wait_until(follower, lambda: False)

    assert cluster.asked == ["list pods", "watch pods"]


def test_a_server_that_is_gone_ends_it(cluster: SmallCluster) -> None:
    with Follower(cluster) as follower:
        follower.follow("pods", PODS)
        wait_until(follower, lambda: follower.is_complete)
        cluster.events["pods"].put(ClusterUnreachableError("gone"))

        with pytest.raises(ClusterUnreachableError, match="gone"):
            wait_until(follower, lambda: False)


def test_waiting_ends_when_it_is_canceled(cluster: SmallCluster) -> None:
    cancel = Cancellation()
    with Follower(cluster, cancel) as follower:
        follower.follow("pods", PODS)
        wait_until(follower, lambda: follower.is_complete)
        threading.Timer(0.05, cancel.cancel).start()

        with pytest.raises(CanceledError):
            follower.wait(60)


def test_its_threads_end_with_it(cluster: SmallCluster) -> None:
    with Follower(cluster) as follower:
        follower.follow("pods", PODS)
        wait_until(follower, lambda: follower.is_complete)

    deadline = time.monotonic() + 40
    while any(each.name == "dockyard-watch-pods" for each in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_only_so_much_is_taken_in_at_once(
    cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_MOST", 10)
    told = threading.Event()

    def flood(*_: object, **__: object) -> Iterator[Event]:
        for number in range(1000):
            yield Event("ADDED", pod(f"{number}"))
            if number == 8:
                told.set()

    cluster.watch = flood  # type: ignore[method-assign]
    with Follower(cluster) as follower:
        follower.follow("pods", PODS)
        assert told.wait(40)
        follower.wait(0.1)

        assert int(names(follower)[-1]) < 30


def test_a_server_that_forgets_at_once_is_not_asked_without_a_pause(cluster: SmallCluster) -> None:
    for _ in range(100):
        cluster.events["pods"].put(GoneError("watch", target_of(PODS), "too old", status=410))
    begun = time.monotonic()
    with Follower(cluster) as follower:
        follower.follow("pods", PODS)
        wait_until(follower, lambda: follower.is_complete)
        follower.wait(0.1)

    pauses = (time.monotonic() - begun) / follow._PAUSE
    assert cluster.asked.count("list pods") < pauses + 2
