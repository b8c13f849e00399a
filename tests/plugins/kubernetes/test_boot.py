"""Tests for booting, on a cluster in memory."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.errors import BootstrapError, CanceledError
from dockyard.events import StatusUpdate
from dockyard.progress import ProgressWriter
from dockyard_kubernetes.boot import bootstrap, in_words
from dockyard_kubernetes.cluster import ApiError
from dockyard_kubernetes.pods import POD, parse_pod
from dockyard_kubernetes.watch import Event
from support.cluster_objects import Json, container, deployment, ended, pod, unready, waiting
from support.small_cluster import SmallCluster

MakeNode = Callable[..., Node]
Meanwhile = Callable[[Callable[[], bool], Callable[[], object]], None]
CRASHED = waiting("CrashLoopBackOff", restartCount=5, lastState=ended(7))


class Controller(SmallCluster):
    """Makes one pod for each workload that is to have some."""

    def __init__(self) -> None:
        super().__init__()
        self.pod: Callable[[str], Json] = pod
        """Makes it."""
        for resource in ("pods", "deployments", "events"):
            self.events[resource] = queue.SimpleQueue()

    def create(self, path: str, body: Any, **given: Any) -> Json:  # noqa: ANN401
        made = super().create(path, body, **given)
        self._work(made)
        return made

    def patch(self, path: str, body: Any, kind: str = "merge", **given: Any) -> Json:  # noqa: ANN401
        found = super().patch(path, body, kind, **given)
        self._work(found)
        return found

    def delete(self, path: str, body: Any = None, **given: Any) -> Json:  # noqa: ANN401
        gone = super().delete(path, body, **given)
        self._work({**gone, "spec": {**gone.get("spec", {}), "replicas": 0}})
        return gone

    def is_watched(self, *resources: str) -> bool:
        return all(f"watch {each}" in self.asked for each in resources or self.events)

    def change(self, made: Json) -> None:
        """Change the pod, and tell it."""
        self.objects["pods/k0-1"] = made
        self.events["pods"].put(Event("MODIFIED", made))

    def _work(self, workload: Json) -> None:
        if "replicas" not in workload.get("spec", {}):
            return
        if workload["spec"]["replicas"]:
            self.objects["pods/k0-1"] = self.pod("k0-1")
        else:
            self.objects.pop("pods/k0-1", None)


@pytest.fixture
def cluster() -> Controller:
    return Controller()


@pytest.fixture
def shown() -> list[StatusUpdate]:
    """What is shown, as it comes."""
    return []


@pytest.fixture
def meanwhile() -> Iterator[Meanwhile]:
    """Do something in another thread, as soon as a question is answered with yes."""
    threads = []

    def run(is_time: Callable[[], bool], act: Callable[[], object]) -> None:
        deadline = time.monotonic() + 40

        def turn() -> None:
            while not is_time():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            act()

        threads.append(threading.Thread(target=turn))
        threads[-1].start()

    yield run
    for thread in threads:
        thread.join()


@pytest.fixture
def boot(
    make_node: MakeNode, cluster: Controller, shown: list[StatusUpdate]
) -> Callable[..., list[str]]:
    """Boot a node, and give the lines that are shown."""

    def run(cancel: Cancellation | None = None, **options: str) -> list[str]:
        shown.clear()
        typed = {"timeout": "30s", **{key.replace("_", "-"): options[key] for key in options}}
        node = make_node(typed, cache={"cluster": cluster})
        node.files = {"buildkitd.toml": b"debug = true\n"}
        bootstrap(node, ProgressWriter(shown.append), cancel or Cancellation())
        lines = [each.id for update in shown for each in update.statuses if each.completed]
        return list(dict.fromkeys(lines))

    return run


def test_what_is_not_there_is_made_and_waited_for(
    cluster: Controller, boot: Callable[..., list[str]]
) -> None:
    lines = boot()

    assert lines == [
        "creating k0",
        "1 of 1 pods ready",
        "pod k0-1 is ready",
        "waiting for 1 pods to be ready, timeout: 30 seconds",
    ]
    (owner,) = cluster.objects["configmaps/k0-config"]["metadata"]["ownerReferences"]
    assert owner["uid"] == cluster.objects["deployments/k0"]["metadata"]["uid"]


def test_what_runs_is_left_alone(cluster: Controller, boot: Callable[..., list[str]]) -> None:
    cluster.objects |= {"deployments/k0": deployment(), "pods/k0-1": pod()}

    assert boot() == []
    assert cluster.asked == ["list pods"]


def test_what_was_stopped_is_scaled_up(cluster: Controller, boot: Callable[..., list[str]]) -> None:
    cluster.objects["deployments/k0"] = deployment(replicas=0)

    assert boot(replicas="1")[0] == "scaling deployment k0 up to 1"


def test_what_somebody_else_makes_at_the_same_time_is_used(
    cluster: Controller, boot: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = cluster.create

    def beaten(path: str, body: Any, **given: Any) -> Json:  # noqa: ANN401
        if "deployments" in path:
            create(path, body)
        return create(path, body, **given)

    monkeypatch.setattr(cluster, "create", beaten)

    assert "pod k0-1 is ready" in boot()
    assert "deployments/k0" in cluster.objects


def test_a_failure_takes_back_what_was_made_and_tells_the_log(
    cluster: Controller, boot: Callable[..., list[str]]
) -> None:
    cluster.pod = lambda name: unready(name, containerStatuses=[CRASHED])
    cluster.log["current"] = "first\nno luck today\n"

    with pytest.raises(BootstrapError) as raised:
        boot()

    assert str(raised.value).splitlines() == [
        "expected 1 replicas to be ready, got 0: container buildkitd of pod k0-1 ended 6 times, "
        "at last with exit code 7",
        "  its log ends with:",
        "  first",
        "  no luck today",
    ]
    assert cluster.objects == {}


@pytest.mark.parametrize(
    "words",
    [
        'failed to try resolving symlinks in path "/x/1.log": no such file or directory',
        "unable to retrieve container logs for containerd://1234",
    ],
)
def test_what_is_no_log_is_not_shown_as_one(
    cluster: Controller, boot: Callable[..., list[str]], words: str
) -> None:
    cluster.pod = lambda name: unready(name, containerStatuses=[CRASHED])
    cluster.log = {"current": words, "previous": "the real one"}

    with pytest.raises(BootstrapError, match="the real one") as raised:
        boot()

    assert words not in str(raised.value)


def test_the_log_of_a_container_that_runs_again_is_that_of_the_run_before(
    cluster: Controller, boot: Callable[..., list[str]]
) -> None:
    status = container(state={"running": {}}, restartCount=3, lastState=ended(7))
    cluster.pod = lambda name: unready(name, containerStatuses=[status])
    cluster.log = {"current": "just begun", "previous": "the reason"}

    with pytest.raises(BootstrapError, match="the reason"):
        boot(timeout="2s")


def test_what_was_made_stays_when_that_is_wanted(
    cluster: Controller, boot: Callable[..., list[str]]
) -> None:
    cluster.pod = lambda name: unready(name, containerStatuses=[CRASHED])

    with pytest.raises(BootstrapError):
        boot(keep_failed="true")

    assert set(cluster.objects) == {"deployments/k0", "configmaps/k0-config", "pods/k0-1"}


def test_what_was_stopped_before_is_stopped_again_when_it_does_not_boot(
    cluster: Controller, boot: Callable[..., list[str]]
) -> None:
    cluster.objects["deployments/k0"] = deployment(replicas=0)
    cluster.pod = lambda name: unready(name, containerStatuses=[CRASHED])

    with pytest.raises(BootstrapError):
        boot()

    assert cluster.objects["deployments/k0"]["spec"]["replicas"] == 0


def test_what_may_pass_is_waited_for(
    cluster: Controller,
    boot: Callable[..., list[str]],
    shown: list[StatusUpdate],
    meanwhile: Meanwhile,
) -> None:
    held = waiting("ErrImagePull", "i/o timeout")
    cluster.pod = lambda name: unready(name, containerStatuses=[held])
    words = "pod k0-1 cannot pull its image on node-1"

    def is_told() -> bool:
        return any(each.id == words for update in list(shown) for each in update.statuses)

    meanwhile(is_told, lambda: cluster.change(pod("k0-1")))

    assert words in boot()


def test_the_time_that_was_given_is_kept_to(
    cluster: Controller, boot: Callable[..., list[str]]
) -> None:
    cluster.pod = unready
    began = time.monotonic()

    with pytest.raises(BootstrapError, match=r"still being set up on node-1 \(waited 2 s\)"):
        boot(timeout="2s")

    assert time.monotonic() - began < 10
    assert cluster.objects == {}


def test_an_interrupt_takes_back_what_was_made(
    cluster: Controller, boot: Callable[..., list[str]], meanwhile: Meanwhile
) -> None:
    cluster.pod = unready
    cancel = Cancellation()
    meanwhile(cluster.is_watched, cancel.cancel)

    with pytest.raises(CanceledError):
        boot(cancel)

    assert cluster.objects == {}


@pytest.mark.parametrize("stopped", [False, True], ids=["made", "scaled up"])
@pytest.mark.parametrize("how", ["removed", "stopped"])
def test_what_was_begun_and_somebody_takes_away_is_not_begun_again(
    cluster: Controller,
    boot: Callable[..., list[str]],
    meanwhile: Meanwhile,
    how: str,
    *,
    stopped: bool,
) -> None:
    cluster.pod = unready
    if stopped:
        cluster.objects["deployments/k0"] = deployment(replicas=0)

    def take() -> None:
        found = cluster.objects.pop("deployments/k0")
        if how == "stopped":
            found = {**found, "spec": {**found["spec"], "replicas": 0}}
            cluster.objects["deployments/k0"] = found
        kind = "MODIFIED" if how == "stopped" else "DELETED"
        cluster.events["deployments"].put(Event(kind, found))

    meanwhile(cluster.is_watched, take)

    with pytest.raises(BootstrapError, match=f"^deployment k0 was {how} while its pods were wait"):
        boot()

    left = cluster.objects.get("deployments/k0")
    assert (left is not None) == (stopped and how == "stopped")
    assert left is None or left["spec"]["replicas"] == 0


def test_a_workload_that_the_boot_it_is_of_takes_back_is_made_again(
    cluster: Controller, boot: Callable[..., list[str]], meanwhile: Meanwhile
) -> None:
    cluster.objects["deployments/k0"] = deployment()

    def replace() -> None:
        cluster.pod = pod
        gone = cluster.objects.pop("deployments/k0")
        cluster.events["deployments"].put(Event("DELETED", gone))

    meanwhile(cluster.is_watched, replace)

    assert "pod k0-1 is ready" in boot()
    assert cluster.asked.count("create deployments") == 1


def test_what_cannot_be_taken_back_is_said(
    cluster: Controller, boot: Callable[..., list[str]]
) -> None:
    cluster.errors["create deployments"] = cluster.error("create", "deployments", 403)
    cluster.errors["delete configmaps"] = cluster.error("delete", "configmaps", 403)

    with pytest.raises(ApiError) as raised:
        boot()

    assert (raised.value.hint or "").endswith("dockyard rm k removes it")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (120, "2 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
    ],
)
def test_times_are_told_as_the_reference_does(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_workload_that_the_boot_it_is_of_stops_is_scaled_up_again(
    cluster: Controller, boot: Callable[..., list[str]], meanwhile: Meanwhile
) -> None:
    cluster.objects["deployments/k0"] = deployment()

    def stop() -> None:
        cluster.pod = pod
        stopped = {**cluster.objects["deployments/k0"]}
        stopped["spec"] = {**stopped["spec"], "replicas": 0}
        cluster.objects["deployments/k0"] = stopped
        cluster.events["deployments"].put(Event("MODIFIED", stopped))

    meanwhile(cluster.is_watched, stop)

    assert "scaling deployment k0 up to 1" in boot()


def test_what_is_being_deleted_is_awaited_and_then_made_anew(
    cluster: Controller, boot: Callable[..., list[str]], meanwhile: Meanwhile
) -> None:
    ending = deployment(metadata={"deletionTimestamp": "2026-11-21T10:00:00Z"})
    cluster.objects["deployments/k0"] = ending

    def go() -> None:
        del cluster.objects["deployments/k0"]
        cluster.events["deployments"].put(Event("DELETED", ending))

    meanwhile(lambda: cluster.is_watched("deployments"), go)

    assert "pod k0-1 is ready" in boot()


def test_what_is_being_deleted_and_does_not_go_is_told(
    cluster: Controller, boot: Callable[..., list[str]]
) -> None:
    ending = deployment(metadata={"deletionTimestamp": "2026-11-21T10:00:00Z"})
    cluster.objects["deployments/k0"] = ending

    with pytest.raises(BootstrapError, match=r"is being deleted and does not go \(waited 0\.2 s\)"):
        boot(timeout="200ms")

    assert cluster.objects == {"deployments/k0": ending}


def test_pods_that_are_there_are_kept_from_a_boot_that_waits_for_more(
    cluster: Controller, boot: Callable[..., list[str]]
) -> None:
    mark = {"annotations": {"dev.dockyard.boot": "another"}}
    cluster.objects |= {"deployments/k0": deployment(metadata=mark), "pods/k0-1": pod()}

    boot(replicas="2")

    assert cluster.objects["deployments/k0"]["metadata"]["annotations"] == {
        "dev.dockyard.boot": None
    }


def test_a_node_stays_with_its_pod_as_it_is_now(make_node: MakeNode, cluster: Controller) -> None:
    again = container(state={"running": {}}, restartCount=1)
    now = pod("k0-1", status={"containerStatuses": [again]})
    cluster.objects |= {"deployments/k0": deployment(), "pods/k0-1": now}
    node = make_node(cache={"cluster": cluster, POD: parse_pod(pod("k0-1"))})

    bootstrap(node, ProgressWriter(lambda _: None), Cancellation())

    assert node.cache[POD].restarts == 1
