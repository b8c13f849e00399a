"""Tests for the way to a pod."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dockyard.cancellation import Cancellation
from dockyard.driver import Connection, Node
from dockyard.errors import CanceledError, ConnectError, DriverError
from dockyard.events import StatusUpdate
from dockyard.progress import ProgressWriter
from dockyard_kubernetes import connection
from dockyard_kubernetes.boot import PROGRESS
from dockyard_kubernetes.cluster import ApiError, ClusterUnreachableError
from dockyard_kubernetes.connection import connect
from dockyard_kubernetes.pods import POD, SEEN, Seen, parse_pod, parse_pods
from dockyard_kubernetes.watch import Event
from support.cluster_objects import container, ended, pod
from support.small_cluster import SmallCluster

MakeNode = Callable[..., Node]
OpenWay = Callable[[], Connection]


class Stream:
    """A command in a pod, as far as it is needed here."""

    def __init__(self) -> None:
        self.given_up = ""
        self.closed = threading.Event()

    def give_up(self, words: str) -> bool:
        self.given_up = words
        return True

    def last_words(self) -> str:
        return ""

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def cluster() -> SmallCluster:
    made = SmallCluster()
    made.objects |= {"pods/a": pod("a"), "pods/b": pod("b")}
    made.events["pods"] = queue.SimpleQueue()
    return made


@pytest.fixture
def node(make_node: MakeNode, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(connection, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(connection, "_NOTICE_SECONDS", 0.01)
    return make_node(cache={"cluster": cluster}, sticky_key="/src")


@pytest.fixture
def shown(node: Node) -> list[str]:
    """What is shown to whoever has booted the node, as names of steps."""
    names: list[str] = []

    def emit(update: StatusUpdate) -> None:
        names.extend(each.name for each in update.vertexes if each.completed is None)

    node.cache[PROGRESS] = ProgressWriter(emit)
    return names


@pytest.fixture
def open_way(node: Node) -> Iterator[OpenWay]:
    """Connect to the node; closed in the end."""
    opened: list[Connection] = []

    def run() -> Connection:
        opened.append(connect(node, Cancellation()))
        return opened[-1]

    yield run
    for each in opened:
        each.close()


def pods_asked(cluster: SmallCluster) -> list[str]:
    return [each.removeprefix("exec pods/") for each in cluster.asked if each.startswith("exec")]


def await_word(stream: Stream) -> str:
    deadline = time.monotonic() + 40
    while not stream.given_up:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return stream.given_up


# --- choosing and dialing ----------------------------------------------------------------------


def test_a_node_stays_with_its_pod(open_way: OpenWay, node: Node, cluster: SmallCluster) -> None:
    node.options = {**node.options, "loadbalance": "random"}
    cluster.streams = [Stream() for _ in range(8)]

    for _ in range(8):
        open_way()

    assert len(set(pods_asked(cluster))) == 1


def test_a_pod_that_has_just_gone_is_not_insisted_on(
    open_way: OpenWay, node: Node, cluster: SmallCluster
) -> None:
    node.cache[SEEN] = Seen(parse_pods([pod("gone")]), time.monotonic())
    cluster.streams = [cluster.error("create", "pods/exec", 404, 'pods "gone" not found'), Stream()]

    open_way()

    first, second = pods_asked(cluster)
    assert first == "gone"
    assert second in ("a", "b")


@pytest.mark.parametrize(
    "words",
    [
        "error dialing backend: remote error: tls: internal error",
        "error dialing backend: dial tcp 10.0.0.1:10250: connect: connection refused",
        "error dialing backend: dial tcp 10.0.0.1:10250: i/o timeout",
        "context deadline exceeded",
    ],
)
def test_what_may_pass_is_tried_again_and_told(
    open_way: OpenWay, node: Node, cluster: SmallCluster, shown: list[str], words: str
) -> None:
    failure = cluster.error("create", "pods/exec", 500, words)
    cluster.streams = [failure, failure, Stream()]

    open_way()

    (name,) = set(pods_asked(cluster))
    assert [each.partition(": kubernetes")[0] for each in shown] == [
        f"WARNING: Transient connection error to pod {name} (attempt {number}/5)"
        for number in (1, 2)
    ]


def test_after_five_attempts_it_is_given_up(
    open_way: OpenWay, node: Node, cluster: SmallCluster
) -> None:
    failure = ClusterUnreachableError("connection reset", transient=True)
    cluster.streams = [failure] * 9

    with pytest.raises(ConnectError, match=r"failed to connect to pod \w after 5 attempts: conn"):
        open_way()

    assert len(pods_asked(cluster)) == 5


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, "no"), (401, "Unauthorized"), (400, "nonsense"), (500, "container not found")],
)
def test_what_does_not_pass_is_told_at_once(
    open_way: OpenWay, node: Node, cluster: SmallCluster, status: int, words: str
) -> None:
    cluster.streams = [cluster.error("create", "pods/exec", status, words)] * 2

    with pytest.raises(ApiError, match=words):
        open_way()

    assert len(pods_asked(cluster)) == 1


def test_no_pods_are_an_error(open_way: OpenWay, node: Node, cluster: SmallCluster) -> None:
    cluster.objects.clear()

    with pytest.raises(DriverError, match="no running buildkit pods found"):
        open_way()


def test_dialing_ends_when_it_is_canceled(
    node: Node, cluster: SmallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_FIRST_PAUSE", 60)
    cluster.streams = [ClusterUnreachableError("connection reset", transient=True)] * 9
    cancel = Cancellation()
    threading.Timer(0.05, cancel.cancel).start()

    with pytest.raises(CanceledError):
        connect(node, cancel)


# --- what becomes of the pod -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "found", "words"),
    [
        ("DELETED", pod("a"), "pod a is gone"),
        (
            "MODIFIED",
            pod("a", metadata={"deletionTimestamp": "now", "deletionGracePeriodSeconds": 30}),
            "pod a is being deleted",
        ),
        ("MODIFIED", pod("a", metadata={"uid": "other"}), "pod a was deleted and made anew"),
        (
            "MODIFIED",
            pod("a", status={"containerStatuses": [container(state=ended(137))]}),
            "pod a has lost its BuildKit, which ended with exit code 137",
        ),
    ],
    ids=["gone", "deleted", "new", "ended"],
)
def test_a_build_s_connection_ends_with_its_pod(
    open_way: OpenWay,
    node: Node,
    cluster: SmallCluster,
    shown: list[str],
    kind: str,
    found: dict[str, object],
    words: str,
) -> None:
    del cluster.objects["pods/b"]
    stream = Stream()
    cluster.streams = [stream]
    way = open_way()

    cluster.events["pods"].put(Event(kind, found))

    assert await_word(stream) == words
    assert way.diagnostics is not None
    assert way.diagnostics() == ""  # the stream says it
    way.close()


def test_a_pod_that_has_been_given_more_time_lets_builds_go_on(
    open_way: OpenWay, node: Node, cluster: SmallCluster, shown: list[str]
) -> None:
    del cluster.objects["pods/b"]
    stream = Stream()
    cluster.streams = [stream]
    open_way()
    patient = {"deletionTimestamp": "now", "deletionGracePeriodSeconds": 600}

    cluster.events["pods"].put(Event("MODIFIED", pod("a", metadata=patient)))
    cluster.events["pods"].put(Event("DELETED", pod("a")))

    assert await_word(stream) == "pod a is gone"


def test_who_only_asks_for_a_status_watches_nothing(
    open_way: OpenWay, node: Node, cluster: SmallCluster
) -> None:
    stream = Stream()
    cluster.streams = [stream]

    open_way().close()

    assert stream.closed.is_set()
    assert "watch pods" not in cluster.asked


def test_the_watch_ends_with_the_connection(
    open_way: OpenWay, node: Node, cluster: SmallCluster, shown: list[str]
) -> None:
    cluster.streams = [Stream()]
    way = open_way()

    way.close()

    deadline = time.monotonic() + 40
    while any(each.name == "dockyard-pod" for each in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "pod a is gone"),
        ([pod("a")], "pod a runs on: it was the way to it that broke; build again"),
        (
            [pod("a", status={"containerStatuses": [container(state=ended(1))]})],
            "pod a has lost its BuildKit, which ended with exit code 1; its log ends with: alas",
        ),
    ],
    ids=["gone", "runs", "ended"],
)
def test_a_connection_that_broke_is_explained_by_its_pod(
    open_way: OpenWay, node: Node, cluster: SmallCluster, found: list[dict[str, object]], words: str
) -> None:
    cluster.objects = {"pods/a": pod("a")}
    cluster.streams = [Stream()]
    cluster.log["current"] = "hello\nalas\n"
    way = open_way()
    cluster.objects = {"pods/a": found[0]} if found else {}

    assert way.diagnostics is not None
    assert way.diagnostics() == words


def test_of_a_buildkit_that_is_just_started_again_the_log_of_before_is_shown(
    open_way: OpenWay, node: Node, cluster: SmallCluster
) -> None:
    cluster.objects = {"pods/a": pod("a")}
    cluster.streams = [Stream()]
    cluster.log = {"current": "", "previous": "alas"}
    way = open_way()
    cluster.objects["pods/a"] = pod("a", status={"containerStatuses": [container(state=ended(1))]})

    assert way.diagnostics is not None
    assert way.diagnostics().endswith("its log ends with: alas")


def test_a_server_that_is_gone_is_named(
    open_way: OpenWay, node: Node, cluster: SmallCluster
) -> None:
    cluster.streams = [Stream()]
    way = open_way()
    cluster.errors["list pods"] = ClusterUnreachableError("cannot reach the server")

    assert way.diagnostics is not None
    assert way.diagnostics() == "cannot reach the server"


def test_a_watch_that_is_refused_leaves_the_stream_alone(
    open_way: OpenWay,
    node: Node,
    cluster: SmallCluster,
    shown: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_WATCH_PAUSE", 0.01)
    cluster.errors["watch pods"] = cluster.error("watch", "pods", 403)
    stream = Stream()
    cluster.streams = [stream]
    open_way()

    deadline = time.monotonic() + 40
    while any(each.name == "dockyard-pod" for each in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)

    assert stream.given_up == ""


def test_pods_that_were_seen_long_ago_are_looked_at_again(
    open_way: OpenWay, node: Node, cluster: SmallCluster
) -> None:
    node.cache[SEEN] = Seen(parse_pods([pod("ending")]), time.monotonic() - 60)
    cluster.streams = [Stream()]

    open_way()

    assert "ending" not in pods_asked(cluster)


@pytest.mark.usefixtures("shown")
def test_a_restart_before_the_connection_does_not_concern_it(
    open_way: OpenWay, node: Node, cluster: SmallCluster
) -> None:
    node.cache[POD] = parse_pod(pod("a"))
    again = container(state={"running": {}}, restartCount=1, lastState=ended(137))
    cluster.objects["pods/a"] = pod("a", status={"containerStatuses": [again]})
    stream = Stream()
    cluster.streams = [stream]

    open_way()
    deadline = time.monotonic() + 40
    while "watch pods" not in cluster.asked:
        assert time.monotonic() < deadline
        time.sleep(0.01)

    assert not stream.given_up
