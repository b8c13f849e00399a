"""Why a builder's pods are not ready, read from what the cluster says of them.

Some troubles pass by themselves, others never do: each says how long there is hope.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dockyard_kubernetes.pod import CONTAINER
from dockyard_kubernetes.pods import Pod, condition, container_status, is_running
from dockyard_kubernetes.state import Workload
from dockyard_kubernetes.value import Object, number, table, tables, text

MOST_ENDS = 3
"""After how many ends of BuildKit's container there is no hope that it will stay."""
_LONG_RUN = 60.0
"""Seconds; whatever has run for so long was up."""
_TIMES = ("startedAt", "finishedAt")
_SOON = 5.0
"""Seconds for what somebody else may be about to put right, such as a new namespace's account."""
_LATER = 30.0
"""Seconds for what a network may be to blame for."""

_NO_IMAGE = frozenset({"InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_UNMADE = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_FINAL_WORDS = (
    "not found",
    "denied",
    "unauthorized",
    "forbidden",
    "no basic auth",
    "manifest unknown",
    "does not exist",
    "authorization failed",
    "invalid reference",
    "no match for platform",
)
"""In the words of registries: asking again will not change them."""
_NOT_STARTED = frozenset({"StartError", "ContainerCannotRun"})
_SETTING_UP = (
    "FailedMount",
    "FailedAttachVolume",
    "FailedCreatePodSandBox",
    "NetworkNotReady",
    "FailedPostStartHook",
)
QEMU = "qemu"
"""The container that installs emulators."""
_CLAIM_EVENTS = ("ProvisioningFailed", "FailedBinding", "ExternalProvisioning")
_UNBOUND = "PersistentVolumeClaim"
_HINTS = (
    (
        "violates podsecurity",
        "the namespace admits no such pods: use one whose label "
        "pod-security.kubernetes.io/enforce is privileged, with --driver-opt namespace=NAME",
    ),
    (
        "exceeded quota",
        "ask for less with the options requests.*, limits.* and replicas, or have the quota raised",
    ),
    (
        "failed quota",
        "the quota of the namespace wants limits and requests: "
        "give them with the options limits.* and requests.*",
    ),
    (
        "error looking up service account",
        "make it with kubectl create serviceaccount, or name another with "
        "--driver-opt serviceaccount=NAME",
    ),
    (
        "admission webhook",
        "that is a policy of this cluster; what it wants may be put into a pod template: "
        "--driver-opt template=FILE",
    ),
    (
        "usage per container",
        "a limit range of the namespace says so: set the options limits.* and requests.* within it",
    ),
)
"""What to do when the cluster's own rules forbid a pod, by the words in which they do."""


class Trouble(NamedTuple):
    """One thing that keeps a builder from being ready."""

    words: str
    hint: str | None = None
    patience: float | None = None
    """Seconds after which it will not get better any more; None where it always may."""
    pod: str = ""
    container: str = ""
    """The pod's container that has ended, where its log may say why."""


def diagnose(workload: Workload, pods: Sequence[Pod], events: Sequence[Object]) -> Trouble | None:
    """Say what keeps the pods from being ready, the worst first; None when nothing is known.

    Args:
        workload: Whose pods they are.
        pods: All of them, ready or not.
        events: Those about the workload, its pods and their claims, the oldest first.
    """
    found = [*_workload_troubles(workload, events)]
    # What is over says least: it has a successor, or will have one.
    for pod in sorted(pods, key=lambda pod: pod.is_over):
        if not (pod.is_ready or pod.is_ending):
            found += _pod_troubles(pod, [each for each in events if _is_about(each, pod)], events)
    found.sort(key=_severity)
    if found:
        return found[0]
    if workload.replicas and not pods:
        return Trouble(f"no pods of {workload} have been made")
    return None


def _severity(trouble: Trouble) -> float:
    return float("inf") if trouble.patience is None else trouble.patience


# --- the workload ------------------------------------------------------------------------------


def _workload_troubles(workload: Workload, events: Sequence[Object]) -> Iterator[Trouble]:
    failure = condition(workload.object, "ReplicaFailure")
    if failure.get("status") == "True":
        yield _refused(text(failure, "message"))
        return
    # A stateful set has no such condition. Its event tells of the last failure, past or not.
    status = table(workload.object, "status")
    if workload.kind == "StatefulSet" and number(status, "replicas") < workload.replicas:
        about = [each for each in events if text(each, "involvedObject", "uid") == workload.uid]
        for words in _last(about, "FailedCreate"):
            yield _refused(words)


def _refused(words: str) -> Trouble:
    """The API server takes no pods such as these."""
    return Trouble(f"no pod can be made: {words}", policy_hint(words), patience=_SOON)


def policy_hint(words: str) -> str | None:
    """Give what may be done about a refusal; None where that is not known."""
    lower = words.lower()
    return next((hint for part, hint in _HINTS if part in lower), None)


# --- a pod -------------------------------------------------------------------------------------


def _pod_troubles(
    pod: Pod, events: Sequence[Object], all_events: Sequence[Object]
) -> Iterator[Trouble]:
    if pod.is_over:
        words = ": ".join(filter(None, [text(pod.object, "status", part) for part in _ENDED]))
        yield Trouble(f"pod {pod.name} has ended: {words or pod.phase}")
        return
    scheduled = condition(pod.object, "PodScheduled")
    if scheduled.get("status") == "False":
        yield _unscheduled(pod, scheduled, all_events)
        return
    status = table(pod.object, "status")
    containers = [
        *tables(status, "initContainerStatuses"),
        *tables(status, "containerStatuses"),
    ]
    found = [trouble for each in containers for trouble in _container_troubles(pod, each, events)]
    yield from found
    if not found:
        yield from _slowness(pod, events)


_ENDED = ("reason", "message")


def _unscheduled(pod: Pod, scheduled: Object, events: Sequence[Object]) -> Trouble:
    words = text(scheduled, "message") or text(scheduled, "reason") or "no reason given"
    if _UNBOUND.lower() in words.lower():
        claims = [each for each in events if text(each, "involvedObject", "kind") == _UNBOUND]
        said = [said for reason in _CLAIM_EVENTS for said in _last(claims, reason)]
        if said:
            words = f"{words} ({said[0]})"
        return Trouble(
            f"pod {pod.name} cannot be scheduled: {words}",
            "its claim is bound once there is a volume for it: see kubectl get pvc,storageclass",
        )
    hint = (
        "see what kubectl get nodes offers, and the options requests.*, nodeselector, tolerations"
    )
    return Trouble(f"pod {pod.name} cannot be scheduled: {words}", hint)


def _container_troubles(pod: Pod, status: Object, events: Sequence[Object]) -> Iterator[Trouble]:
    waiting = table(status, "state", "waiting")
    reason, message = text(waiting, "reason"), text(waiting, "message")
    image = text(status, "image")
    if reason in _NO_IMAGE:
        words = message or reason
        yield Trouble(f"pod {pod.name} cannot have image {image}: {words}", patience=0)
    elif reason in _PULL:
        yield _unpulled(pod, text(status, "name"), image, (reason, message), events)
    elif reason in _UNMADE:
        words = f"container {text(status, 'name')} of pod {pod.name} cannot be made: {message}"
        yield Trouble(words, patience=_SOON)
    else:
        yield from _ended(pod, status)


def _unpulled(
    pod: Pod, container: str, image: str, said: tuple[str, str], events: Sequence[Object]
) -> Trouble:
    reason, message = said
    words = message
    if reason != "ErrImagePull":  # then the message may only say that it waits
        pulls = [each for each in events if "pull image" in text(each, "message")]
        words = "".join(_last(pulls, "Failed")[:1]) or message
    is_final = any(each in words.lower() for each in _FINAL_WORDS)
    option = {CONTAINER: "image", QEMU: "qemu.image"}.get(container)
    secrets = "imagePullSecrets belong into a template"
    return Trouble(
        f"pod {pod.name} cannot pull image {image}: {words or reason}",
        f"--driver-opt {option}=NAME chooses another one; {secrets}" if option else secrets,
        patience=_SOON if is_final else _LATER,
    )


def _ended(pod: Pod, status: Object) -> Iterator[Trouble]:
    """A container that ends again and again, or one that cannot even be started."""
    now, last = (table(status, each, "terminated") for each in ("state", "lastState"))
    end = now or last
    if not end:
        return
    name = text(status, "name")
    is_first = name in [text(each, "name") for each in tables(pod.object, "spec", "initContainers")]
    if is_first and number(end, "exitCode") == 0:
        return
    what = f"container {name} of pod {pod.name}"
    if text(end, "reason") in _NOT_STARTED:
        words = f"{what} cannot be started: {text(end, 'message')}"
        yield Trouble(words, "is it a BuildKit image?", patience=0)
        return
    runs = is_running(status)
    ends = number(status, "restartCount") + (0 if runs else 1)
    # One that runs again may get ready, and what was at work for long does not crash at its start.
    is_hopeless = ends >= MOST_ENDS and not runs and _seconds(end) < _LONG_RUN
    times = "" if ends == 1 else f" {ends} times, at last"
    yield Trouble(
        f"{what} ended{times} with {end_words(end)}",
        patience=0 if is_hopeless else None,
        pod=pod.name,
        container=name,
    )


def _seconds(end: Object) -> float:
    """Say how long a container had run; 0 where that is not known."""
    from datetime import datetime

    try:
        began, ended = (datetime.fromisoformat(text(end, each)) for each in _TIMES)
        return (ended - began).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _slowness(pod: Pod, events: Sequence[Object]) -> Iterator[Trouble]:
    for reason in _SETTING_UP:
        for words in _last(events, reason):
            yield Trouble(f"pod {pod.name} cannot be set up: {words}")
            return
    if pod.phase == "Running":
        said = _last(events, "Unhealthy")
        words = f": {said[0]}" if said else ""
        yield Trouble(f"BuildKit in pod {pod.name} does not answer yet{words}")
    elif pod.node:
        yield Trouble(f"pod {pod.name} is still being set up on {pod.node}")
    else:
        scheduler = text(pod.object, "spec", "schedulerName") or "default-scheduler"
        yield Trouble(
            f"no scheduler named {scheduler} has taken up pod {pod.name}",
            "does it run, and is the option schedulername right?",
        )


def end_words(end: Object) -> str:
    """Say how a container ended."""
    words = f"exit code {number(end, 'exitCode')}"
    reason = text(end, "reason")
    if reason == "OOMKilled":
        return f"{words} (killed: out of memory)"
    return words if reason in ("", "Error", "Completed") else f"{words} ({reason})"


def pod_end(pod: Pod, restarts: int) -> str:
    """Say why builds cannot go on in a pod, in words that follow its name; empty if they can.

    Args:
        pod: The pod as it is now.
        restarts: How often its container had been started again before.
    """
    if pod.is_over:
        said = [text(pod.object, "status", part) for part in _ENDED]
        return ": ".join(filter(None, [f"has ended ({pod.phase})", *said]))
    status = container_status(pod.object)
    end = table(status, "state", "terminated")
    if not end and pod.restarts > restarts:
        end = table(status, "lastState", "terminated")
    if end or pod.restarts > restarts:
        how = f" with {end_words(end)}" if end else ""
        again = " and was started again" if pod.restarts > restarts else ""
        return f"has lost its BuildKit, which ended{how}{again}"
    return "is being deleted" if pod.is_ending else ""


# --- events ------------------------------------------------------------------------------------


def _is_about(event: Object, pod: Pod) -> bool:
    about = table(event, "involvedObject")
    return text(about, "name") == pod.name and text(about, "uid") in ("", pod.uid)


def _last(events: Sequence[Object], reason: str) -> list[str]:
    """Give what the last event of a reason says; nothing where there was none."""
    said = [text(each, "message") for each in events if each.get("reason") == reason]
    return [words for words in said if words][-1:]
