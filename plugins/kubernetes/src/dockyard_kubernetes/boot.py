"""Make a node's pods run: find its workload, scale it up or make it, and wait for them.

What the cluster says of the pods is watched, never asked for again and again; and what can be
known to be in vain is not waited for.
"""

from __future__ import annotations

import time

from dockyard.cancellation import Cancellation
from dockyard.driver import Node, Progress, Step
from dockyard.errors import BootstrapError, DockyardError
from dockyard_kubernetes.cluster import ApiError, ClusterUnreachableError, open_cluster
from dockyard_kubernetes.creation import Creation, adopt
from dockyard_kubernetes.declaration import DEFAULT_TIMEOUT
from dockyard_kubernetes.follow import Follower
from dockyard_kubernetes.lines import PodLines
from dockyard_kubernetes.manifest import resource, workload_name
from dockyard_kubernetes.pod import CLAIM_NAME
from dockyard_kubernetes.pods import (
    POD,
    SEEN,
    Pod,
    Seen,
    container_status,
    is_running,
    list_pods,
    parse_pods,
    pod_path,
    pod_selector,
    whole,
)
from dockyard_kubernetes.state import Workload, find_workload, parse_workload, workload_path
from dockyard_kubernetes.value import Object, text, uid_of
from dockyard_kubernetes.why import Trouble, diagnose

PROGRESS = "progress"
"""Where a node's cache has what shows the progress of whoever booted it."""

_ROUNDS = 3
_MOST = 500
"""Events of the past that are looked at; there may be thousands of others'."""
_LOG_SECONDS = 5.0


def bootstrap(node: Node, progress: Progress, cancel: Cancellation) -> None:
    """Return once builds can go to the node's pods.

    Raises:
        BootstrapError: They do not get ready; says why.
        ApiError: The server refuses something that is needed.
        ClusterUnreachableError: It cannot be reached.
        DriverError: What has the node's name is somebody else's.
        CanceledError: ``cancel`` was turned.
    """
    node = whole(node)
    node.cache[PROGRESS] = progress
    pods = list_pods(node, open_cluster(node, cancel=cancel), cancel=cancel)
    usable = sum(pod.is_usable for pod in pods)
    if not usable:
        with progress.step("[internal] booting buildkit") as step:
            pods = _Boot(node, step, cancel).run()
    elif usable < node.options.get("replicas", 1):
        adopt(node, open_cluster(node), cancel)
    node.cache[SEEN] = Seen(pods, time.monotonic())
    _renew_choice(node, pods)


def _renew_choice(node: Node, pods: list[Pod]) -> None:
    """Stay with the chosen pod, as it is now, if builds may go there still."""
    chosen = node.cache.get(POD)
    if not isinstance(chosen, Pod):
        return
    found = next((pod for pod in pods if pod.uid == chosen.uid and pod.is_usable), None)
    if found is None:
        del node.cache[POD]
    else:
        node.cache[POD] = found


class _Boot:
    """One boot, from the first look at the workload to the last of its pods being ready."""

    def __init__(self, node: Node, step: Step, cancel: Cancellation) -> None:
        self._node = node
        self._step = step
        self._cancel = cancel
        self._cluster = open_cluster(node, cancel=cancel)
        self._seconds: float = node.options.get("timeout") or DEFAULT_TIMEOUT
        self._deadline = time.monotonic() + self._seconds
        self._begun = ""
        """The id of the workload that was made or scaled up here."""

    def run(self) -> list[Pod]:
        for _ in range(_ROUNDS):
            creation = Creation(self._node, self._cluster, self._cancel)
            try:
                found = self._find_or_make(creation)
                pods = self._await_ready(found) if found is not None else None
            except BaseException as error:
                if not self._node.options.get("keep-failed"):
                    self._undo(creation, error)
                raise
            if pods is not None:
                return pods
        raise BootstrapError(
            f"{workload_name(self._node)} in namespace {self._cluster.namespace} "
            "is removed or stopped by somebody as soon as it is made"
        )

    def _undo(self, creation: Creation, error: BaseException) -> None:
        if not creation.undo() and isinstance(error, DockyardError):
            left = f"what was made is still there: dockyard rm {self._node.builder} removes it"
            error.hint = f"{error.hint}; {left}" if error.hint else left

    def _find_or_make(self, creation: Creation) -> Workload | None:
        """Give the workload that is to have pods; None if it is to be looked for again."""
        found = find_workload(self._node, self._cluster, cancel=self._cancel)
        if found is None:
            with self._step.status(f"creating {workload_name(self._node)}"):
                return self._begin(creation.make())
        if found.is_ending:
            self._await_gone(found)
            return None
        if found.replicas:
            return found
        replicas = self._node.options.get("replicas", 1)
        with self._step.status(f"scaling {found} up to {replicas}"):
            return self._begin(creation.scale_up(found, replicas))

    def _begin(self, workload: Workload | None) -> Workload | None:
        self._begun = workload.uid if workload is not None else ""
        return workload

    # --- waiting ----------------------------------------------------------------------------

    def _await_gone(self, workload: Workload) -> None:
        """Wait until a workload that is being deleted has gone.

        Raises:
            BootstrapError: It does not go.
        """
        shown = f"waiting until {workload}, which is being deleted, is gone"
        with self._step.status(shown), Follower(self._cluster, self._cancel) as follower:
            self._follow(workload, follower)
            while not follower.is_complete or workload.uid in map(uid_of, follower.get("workload")):
                left = self._deadline - time.monotonic()
                if left <= 0:
                    raise BootstrapError(
                        f"{workload} is being deleted and does not go (waited {self._seconds:g} s)",
                        hint="see metadata.finalizers there, which somebody has to take away",
                    )
                follower.wait(left)

    def _follow(self, workload: Workload, follower: Follower) -> None:
        path = workload_path(self._cluster, workload.kind)
        follower.follow("workload", path, fields=f"metadata.name={workload.name}")

    def _await_ready(self, workload: Workload) -> list[Pod] | None:
        """Wait for the workload's pods; None when somebody removed or stopped it.

        Raises:
            BootstrapError: They do not get ready.
        """
        shown = (
            f"waiting for {workload.replicas} pods to be ready, timeout: {in_words(self._seconds)}"
        )
        cluster = self._cluster
        with self._step.status(shown), Follower(cluster, self._cancel) as follower:
            self._follow(workload, follower)
            follower.follow("pods", pod_path(cluster), labels=pod_selector(self._node))
            follower.follow("events", cluster.path(*resource("Event")), most=_MOST, optional=True)
            lines = PodLines(self._step)
            try:
                return self._watch(workload, follower, lines)
            finally:
                lines.close()

    def _watch(self, workload: Workload, follower: Follower, lines: PodLines) -> list[Pod] | None:
        since: dict[str, float] = {}
        while True:
            pods = parse_pods(follower.get("pods"))
            events = _relevant(follower.get("events"), workload.name)
            now = time.monotonic()
            until = self._deadline
            if follower.is_complete:
                found = self._current(workload, follower)
                if found is None:
                    return None
                workload = found
                lines.show(pods, events, workload.replicas)
                if sum(pod.is_usable for pod in pods) >= workload.replicas:
                    return pods
                trouble = diagnose(workload, pods, events)
                if trouble is not None and trouble.patience is not None:
                    since = {_kind(trouble): since.get(_kind(trouble), now)}
                    until = min(until, since[_kind(trouble)] + trouble.patience)
                    if now >= until:
                        raise self._failure(workload, pods, trouble, follower)
            if now >= self._deadline:
                raise self._failure(workload, pods, diagnose(workload, pods, events), follower)
            follower.wait(until - now)

    def _current(self, workload: Workload, follower: Follower) -> Workload | None:
        """Give the workload as it is now; None if this very one is gone, or shall have no pods.

        Another boot that failed may have taken it back. What was begun here nobody takes back but
        who means it.

        Raises:
            BootstrapError: Somebody has removed or stopped what was begun here.
        """
        same = (each for each in follower.get("workload") if uid_of(each) == workload.uid)
        now = next((parse_workload(workload.kind, each) for each in same), None)
        is_gone = now is None or now.is_ending
        if now is not None and now.replicas and not is_gone:
            return now
        if workload.uid == self._begun:
            how = "removed" if is_gone else "stopped"
            raise BootstrapError(f"{workload} was {how} while its pods were waited for")
        return None

    # --- failing ----------------------------------------------------------------------------

    def _failure(
        self,
        workload: Workload,
        pods: list[Pod],
        trouble: Trouble | None,
        follower: Follower,
    ) -> BootstrapError:
        ready = sum(pod.is_usable for pod in pods)
        why = trouble.words if trouble else "the cluster does not say why"
        lines = [f"expected {workload.replicas} replicas to be ready, got {ready}: {why}"]
        hint = trouble.hint if trouble else None
        if trouble is not None and trouble.patience is None:
            lines[0] += f" (waited {self._seconds:g} s)"
            hint = hint or "--driver-opt timeout=DURATION makes it wait longer"
        if trouble is not None and trouble.container:
            lines += self._log(trouble, pods)
        lines += [f"{error}" for error in follower.failures.values()]
        return BootstrapError("\n  ".join(lines), hint=hint)

    def _log(self, trouble: Trouble, pods: list[Pod]) -> list[str]:
        """Give what a container wrote of why it ended."""
        from dockyard_kubernetes.log import TAIL, last_words

        runs_again = any(
            pod.name == trouble.pod and is_running(container_status(pod.object)) for pod in pods
        )
        for previous in (True, False) if runs_again else (False, True):
            try:
                found = self._cluster.logs(
                    trouble.pod,
                    trouble.container,
                    previous=previous,
                    tail=TAIL,
                    timeout=_LOG_SECONDS,
                )
            except ApiError as error:
                if error.status == 403:
                    return [str(error)]
                continue
            except ClusterUnreachableError:
                return []
            if lines := last_words(found):
                return ["its log ends with:", *lines]
        return ["it has logged nothing"]


def in_words(seconds: float) -> str:
    """Write a duration as the reference does: ``2 minutes``."""
    whole_seconds = int(seconds)
    if whole_seconds < 1:
        return "Less than a second"
    if whole_seconds < 60:
        return "1 second" if whole_seconds == 1 else f"{whole_seconds} seconds"
    minutes = whole_seconds // 60
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = (minutes + 30) // 60
    return "About an hour" if hours == 1 else f"{hours} hours"


def _kind(trouble: Trouble) -> str:
    """Tell apart what is waited for: a trouble may tell more with each try, and be the same."""
    return trouble.words.partition(":")[0]


def _relevant(events: list[Object], name: str) -> list[Object]:
    """Give those events that are about the workload, its pods, or their claims, in order."""
    starts = (f"{name}-", f"{CLAIM_NAME}-{name}-")
    found = [
        each
        for each in events
        if (about := text(each, "involvedObject", "name")) == name or about.startswith(starts)
    ]
    return sorted(found, key=_when)


def _when(event: Object) -> str:
    return (
        text(event, "series", "lastObservedTime")
        or text(event, "lastTimestamp")
        or text(event, "eventTime")
        or text(event, "metadata", "creationTimestamp")
    )
