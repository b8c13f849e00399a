"""Tests for saying why pods are not ready, with what real clusters say of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from dockyard_kubernetes.pods import parse_pod, parse_pods
from dockyard_kubernetes.state import parse_workload
from dockyard_kubernetes.why import Trouble, diagnose, pod_end
from support.cluster_objects import (
    Json,
    container,
    deployment,
    ended,
    event,
    pod,
    unready,
    waiting,
)


def why(*pods: Json, events: list[Json] | None = None, **workload: Any) -> Trouble:  # noqa: ANN401
    kind = workload.pop("kind", "Deployment")
    found = diagnose(parse_workload(kind, deployment(**workload)), parse_pods(pods), events or [])
    assert found is not None
    return found


def statuses(*found: Json) -> Json:
    return {"containerStatuses": list(found)}


class Case(NamedTuple):
    """A pod in trouble."""

    pod: Json
    words: str
    patience: float | None
    hint: str = ""


def unscheduled(message: str) -> Json:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return unready(conditions=[{**condition, "message": message}])


def times(began: object, over: object) -> Json:
    end = ended(137, "OOMKilled")["terminated"]
    return {"terminated": {**end, "startedAt": began, "finishedAt": over}}


OUT_OF_MEMORY = times("2026-11-21T10:00:00Z", "2026-11-21T10:00:20Z")
LONG_RUN = times("2026-11-21T10:00:00Z", "2026-11-21T10:03:00Z")
NO_TIMES = times("2026-11-21T10:00:00", "2026-11-21T10:03:00Z")

CASES = {
    "unschedulable": Case(
        unscheduled("0/1 nodes are available: 1 Insufficient cpu."),
        "pod k0-1 cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu.",
        None,
        "requests.*",
    ),
    "unbound": Case(
        unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
        "unbound immediate PersistentVolumeClaims",
        None,
        "pvc,storageclass",
    ),
    "no name": Case(
        unready(**statuses(waiting("InvalidImageName", "couldn't parse image name"))),
        "pod k0-1 cannot have image img:1: couldn't parse image name",
        0,
    ),
    "never pulled": Case(
        unready(**statuses(waiting("ErrImageNeverPull", "pull policy is Never"))),
        "pull policy is Never",
        0,
    ),
    "not found": Case(
        unready(**statuses(waiting("ErrImagePull", "img:1: not found"))),
        "pod k0-1 cannot pull image img:1: img:1: not found",
        5,
        "--driver-opt image=NAME",
    ),
    "network": Case(unready(**statuses(waiting("ErrImagePull", "i/o timeout"))), "i/o timeout", 30),
    "emulators": Case(
        unready(initContainerStatuses=[waiting("ErrImagePull", "i/o timeout", name="qemu")]),
        "cannot pull image",
        30,
        "--driver-opt qemu.image=NAME",
    ),
    "no secret": Case(
        unready(**statuses(waiting("CreateContainerConfigError", 'secret "s" not found'))),
        'container buildkitd of pod k0-1 cannot be made: secret "s" not found',
        5,
    ),
    "no program": Case(
        unready(**statuses(container(state=ended(128, "StartError", "buildkitd: not found")))),
        "container buildkitd of pod k0-1 cannot be started: buildkitd: not found",
        0,
        "BuildKit image",
    ),
    "first end": Case(
        unready(phase="Running", **statuses(container(state=ended(7)))),
        "container buildkitd of pod k0-1 ended with exit code 7",
        None,
    ),
    "crash loop": Case(
        unready(
            phase="Running",
            **statuses(waiting("CrashLoopBackOff", restartCount=2, lastState=ended(7))),
        ),
        "container buildkitd of pod k0-1 ended 3 times, at last with exit code 7",
        0,
    ),
    "out of memory": Case(
        unready(
            phase="Running",
            **statuses(waiting("CrashLoopBackOff", restartCount=2, lastState=OUT_OF_MEMORY)),
        ),
        "ended 3 times, at last with exit code 137 (killed: out of memory)",
        0,
    ),
    "out of memory, running again": Case(
        unready(
            phase="Running",
            **statuses(container(state={"running": {}}, restartCount=3, lastState=OUT_OF_MEMORY)),
        ),
        "ended 3 times, at last with exit code 137 (killed: out of memory)",
        None,
    ),
    "out of memory after long work": Case(
        unready(
            phase="Running",
            **statuses(waiting("CrashLoopBackOff", restartCount=2, lastState=LONG_RUN)),
        ),
        "ended 3 times, at last with exit code 137 (killed: out of memory)",
        None,
    ),
    "times that are none": Case(
        unready(
            phase="Running",
            **statuses(waiting("CrashLoopBackOff", restartCount=2, lastState=NO_TIMES)),
        ),
        "ended 3 times",
        0,
    ),
    "no answer": Case(
        unready(phase="Running", **statuses(container(state={"running": {}}))),
        "BuildKit in pod k0-1 does not answer yet",
        None,
    ),
    "evicted": Case(
        pod(
            status={
                "phase": "Failed",
                "reason": "Evicted",
                "message": "The node was low on memory.",
                "conditions": [],
            }
        ),
        "pod k0-1 has ended: Evicted: The node was low on memory.",
        None,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_keeps_a_pod_from_being_ready(case: Case) -> None:
    found = why(case.pod)

    assert case.words in found.words
    assert found.patience == case.patience
    assert case.hint in (found.hint or "")


def test_an_ended_container_is_named_for_its_log() -> None:
    found = why(CASES["crash loop"].pod)

    assert (found.pod, found.container) == ("k0-1", "buildkitd")


def test_an_emulator_s_container_that_is_done_is_no_trouble() -> None:
    done = container("qemu", state=ended(0, "Completed"))
    found = unready(initContainerStatuses=[done], **statuses(container(state={"running": {}})))
    found["spec"]["initContainers"] = [{"name": "qemu"}]

    assert "qemu" not in why(found).words


def test_a_pod_that_waits_with_its_pull_has_the_words_of_the_last_try() -> None:
    held = unready(**statuses(waiting("ImagePullBackOff", 'Back-off pulling image "img:1"')))
    failed = event(held, "Failed", 'Failed to pull image "img:1": denied')

    found = why(held, events=[failed, event(held, "Failed", "Error: ErrImagePull")])

    assert found.words.endswith('Failed to pull image "img:1": denied')
    assert found.patience == 5


@pytest.mark.parametrize(
    ("reason", "message", "words"),
    [
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "v" : configmap "c" not found',
            'pod k0-1 cannot be set up: MountVolume.SetUp failed for volume "v" : configmap "c"',
        ),
        ("FailedCreatePodSandBox", "no network", "pod k0-1 cannot be set up: no network"),
        ("MissingClusterDNS", "harmless", "pod k0-1 is still being set up on node-1"),
    ],
)
def test_events_say_why_a_pod_is_not_set_up(reason: str, message: str, words: str) -> None:
    found = unready(**statuses(waiting("ContainerCreating")))

    assert words in why(found, events=[event(found, reason, message)]).words


def test_events_of_a_pod_s_namesake_are_not_its_own() -> None:
    found = unready(**statuses(waiting("ContainerCreating")))
    earlier = event(pod(metadata={"uid": "other"}), "FailedMount", "long ago")

    assert "long ago" not in why(found, events=[earlier]).words


def test_a_probe_s_words_are_told() -> None:
    found = CASES["no answer"].pod

    said = why(found, events=[event(found, "Unhealthy", "Readiness probe failed: no\n\n")])

    assert said.words.endswith("does not answer yet: Readiness probe failed: no")


def test_what_a_provisioner_says_is_told() -> None:
    claim = {"metadata": {"name": "buildkitd-k0-0", "uid": "u"}}
    said = event(claim, "ProvisioningFailed", "quota used up", "PersistentVolumeClaim")

    assert "(quota used up)" in why(CASES["unbound"].pod, events=[said]).words


def test_a_scheduler_that_is_not_there_is_named() -> None:
    found = unready(conditions=[])
    found["spec"].pop("nodeName")
    found["spec"]["schedulerName"] = "fancy"

    assert why(found).words == "no scheduler named fancy has taken up pod k0-1"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ('pods "k0-" is forbidden: exceeded quota: q, requested: pods=1', "quota raised"),
        ("failed quota: q: must specify limits.cpu for: buildkitd", "limits.*"),
        ('violates PodSecurity "baseline:latest": privileged', "enforce is privileged"),
        ('error looking up service account a/b: serviceaccount "b" not found', "create service"),
        ('admission webhook "w" denied the request: no', "template=FILE"),
        ("maximum cpu usage per Container is 1, but limit is 2", "limit range"),
    ],
)
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_refused_pods_are_told_with_what_to_do(kind: str, words: str, hint: str) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
    status = {"conditions": [{**failure, "message": words}]} if kind == "Deployment" else {}
    events = [event(deployment(), "FailedCreate", words, "StatefulSet")]

    found = why(kind=kind, status=status, events=events if kind == "StatefulSet" else [])

    assert found.words == f"no pod can be made: {words}"
    assert hint in (found.hint or "")
    assert found.patience == 5


def test_a_refusal_that_is_past_is_none() -> None:
    events = [event(deployment(), "FailedCreate", "exceeded quota", "StatefulSet")]

    found = why(CASES["no answer"].pod, kind="StatefulSet", status={"replicas": 1}, events=events)

    assert "quota" not in found.words


def test_what_is_hopeless_is_told_before_what_may_pass() -> None:
    first = CASES["network"].pod
    second = unready("k0-2", **statuses(waiting("InvalidImageName", "no such name")))

    assert "no such name" in why(first, second).words


def test_an_evicted_pod_says_less_than_its_successor() -> None:
    evicted = CASES["evicted"].pod
    next_one = unready("k0-2", **statuses(waiting("ContainerCreating")))

    assert why(evicted, next_one).words == "pod k0-2 is still being set up on node-1"


def test_no_pods_at_all_are_a_trouble_and_ready_ones_are_none() -> None:
    workload = parse_workload("Deployment", deployment())

    assert why().words == "no pods of deployment k0 have been made"
    assert diagnose(workload, parse_pods([pod()]), []) is None


@pytest.mark.parametrize("junk", [None, 7, [], "x", {"a": 1}, [None, 3], {"state": []}])
@pytest.mark.parametrize("field", ["conditions", "containerStatuses", "phase", "reason"])
def test_nonsense_in_a_status_is_survived(field: str, junk: object) -> None:
    workload = parse_workload("Deployment", deployment(status={field: junk}))

    found = diagnose(workload, parse_pods([pod(status={field: junk})]), [{"reason": junk}])

    assert found is None or found.words


# --- the end of a pod that builds went to ------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (pod(), ""),
        (pod(metadata={"deletionTimestamp": "now"}), "is being deleted"),
        (CASES["evicted"].pod, "has ended (Failed): Evicted: The node was low on memory."),
        (
            pod(status=statuses(container(state=ended(137, "OOMKilled")))),
            "has lost its BuildKit, which ended with exit code 137 (killed: out of memory)",
        ),
        (
            pod(
                status=statuses(
                    container(state={"running": {}}, restartCount=1, lastState=ended(1))
                )
            ),
            "has lost its BuildKit, which ended with exit code 1 and was started again",
        ),
    ],
    ids=["none", "deleted", "evicted", "killed", "restarted"],
)
def test_what_became_of_a_pod(found: Json, words: str) -> None:
    assert pod_end(parse_pod(found), 0) == words


def test_a_restart_from_before_is_none() -> None:
    status = statuses(container(state={"running": {}}, restartCount=1, lastState=ended(1)))

    assert pod_end(parse_pod(pod(status=status)), 1) == ""
