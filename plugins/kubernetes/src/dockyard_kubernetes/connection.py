"""The way to the BuildKit in a pod: ``buildctl dial-stdio``, run in it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress

from dockyard.cancellation import Cancellation
from dockyard.driver import Buffer, Connection, Node, Step
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import CanceledError, ConnectError, DockyardError
from dockyard_kubernetes.boot import PROGRESS
from dockyard_kubernetes.cluster import (
    ApiError,
    Cluster,
    ClusterUnreachableError,
    GoneError,
    open_cluster,
)
from dockyard_kubernetes.exec import PodExec
from dockyard_kubernetes.pod import CONTAINER
from dockyard_kubernetes.pods import (
    POD,
    SEEN,
    Pod,
    Seen,
    choose_pod,
    list_pods,
    parse_pod,
    pod_path,
    whole,
)
from dockyard_kubernetes.value import number, tables, text
from dockyard_kubernetes.why import pod_end

_COMMAND = ("buildctl", "dial-stdio")
_ATTEMPTS = 5
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_WORDS_OF_A_MOMENT = (
    "tls: internal error",
    "timeout",
    "timed out",
    "deadline exceeded",
    "connection refused",
    "connection reset",
    "closed network connection",
    "eof",
)
"""In the words of an API server that could not reach the pod's machine just now."""

_DIAGNOSIS_SECONDS = 5.0
_NOTICE_SECONDS = 2.0
_NOTICE_PAUSE = 0.1
_WATCH_SECONDS = 3600.0
_WATCH_PAUSE = 2.0
_USUAL_GRACE = 30
"""Seconds that a deleted pod gets to end unless its template says otherwise."""


def connect(node: Node, cancel: Cancellation) -> Connection:
    """Open a connection to BuildKit. Its pods have to run.

    A node stays with the pod that it was once connected to.

    Raises:
        ClusterUnreachableError: The API server, or the pod through it, cannot be reached.
        ConnectError: The pod is gone, or ended.
        DriverError: No pod can take a build.
        ApiError: The server refuses.
        CanceledError: ``cancel`` was turned.
    """
    cluster = open_cluster(node, cancel=cancel)
    pod = node.cache.get(POD)
    if not isinstance(pod, Pod):
        pod, stream = _connect_to_any(node, cluster, cancel)
        node.cache[POD] = pod
    else:
        stream = _dial(node, cluster, pod, cancel)
    way = _Way(cluster, pod, stream)
    if PROGRESS in whole(node).cache:  # it is for a build; a status is asked for in no time
        way.watch()
    return Connection(stream=way, diagnostics=way.diagnose)


def _connect_to_any(node: Node, cluster: Cluster, cancel: Cancellation) -> tuple[Pod, PodExec]:
    """Choose a pod and connect to it; to another one if it has just gone."""
    seen: Seen | None = node.cache.pop(SEEN, None)
    if seen is not None and seen.is_fresh:
        pod = choose_pod(node, seen.pods)
        try:
            return pod, _dial(node, cluster, pod, cancel)
        except ConnectError as error:
            if isinstance(error, ClusterUnreachableError):
                raise
    pod = choose_pod(node, list_pods(node, cluster, cancel=cancel))
    return pod, _dial(node, cluster, pod, cancel)


def _dial(node: Node, cluster: Cluster, pod: Pod, cancel: Cancellation) -> PodExec:
    """Start the command, again if that failed for a reason that may pass."""
    pause = _FIRST_PAUSE
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return cluster.exec(pod.name, CONTAINER, _COMMAND, cancel=cancel)
        except (ApiError, ClusterUnreachableError) as error:
            if not _may_pass(error):
                raise _explained(cluster, pod, error) from error
            if attempt == _ATTEMPTS:
                raise ClusterUnreachableError(
                    f"failed to connect to pod {pod.name} after {_ATTEMPTS} attempts: {error}",
                    hint=error.hint,
                ) from error
            _warn(
                node,
                f"Transient connection error to pod {pod.name} "
                f"(attempt {attempt}/{_ATTEMPTS}): {error}",
            )
        with Wait(pause + 1, cancel) as wait:
            wait.pause(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    raise AssertionError  # the loop returns or raises


def _may_pass(error: ApiError | ClusterUnreachableError) -> bool:
    if isinstance(error, ClusterUnreachableError):
        return error.transient
    words = error.words.lower()
    return error.status in (429, 503, 504) or (
        error.transient and any(each in words for each in _WORDS_OF_A_MOMENT)
    )


def _explained(
    cluster: Cluster, pod: Pod, error: ApiError | ClusterUnreachableError
) -> DockyardError:
    """Say what became of a pod in which nothing can be started any more."""
    if isinstance(error, ClusterUnreachableError) or error.status in (401, 403):
        return error
    try:
        ended = _why_not(cluster, pod)
    except DockyardError:
        return error
    return ConnectError(f"pod {pod.name} {ended}", hint=error.hint) if ended else error


def _warn(node: Node, words: str) -> None:
    progress = whole(node).cache.get(PROGRESS)
    if progress is not None:
        shown: AbstractContextManager[Step] = progress.step(f"WARNING: {words}")
        with shown:
            pass


def _why_not(cluster: Cluster, pod: Pod) -> str:
    """Say what became of a pod; empty when it runs as it did.

    Raises:
        ApiError: The server refuses to tell.
        ClusterUnreachableError: It cannot be reached.
    """
    listed = cluster.list(
        pod_path(cluster),
        field_selector=f"metadata.name={pod.name}",
        timeout=_DIAGNOSIS_SECONDS,
    )
    items = tables(listed, "items")
    if not items:
        return "is gone"
    found = parse_pod(items[0])
    if found.uid != pod.uid:
        return "was deleted and made anew"
    return pod_end(found, pod.restarts)


class _Way:
    """The stream to a pod, and somebody who looks after the pod meanwhile.

    A BuildKit that is told to end first waits for its builds, and a machine that is gone says
    nothing: so the stream alone would be the last to tell.
    """

    def __init__(self, cluster: Cluster, pod: Pod, stream: PodExec) -> None:
        self._cluster = cluster
        self._pod = pod
        self._stream = stream
        self._switch = Cancellation()
        self._is_known = False
        """Whether the pod was seen since the stream stands."""
        self._noticed = ""
        """What became of the pod."""
        self._told = False
        """Whether the stream itself says so."""

    # --- the stream -------------------------------------------------------------------------

    def fileno(self) -> int:
        return self._stream.fileno()

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        return self._stream.recv_into(buffer)

    def sendmsg(self, buffers: Sequence[Buffer], /) -> int:
        return self._stream.sendmsg(buffers)

    def pending(self) -> int:
        return self._stream.pending()

    def half_close(self) -> None:
        self._stream.half_close()

    def close(self) -> None:
        self._switch.cancel()
        self._stream.close()
        self._cluster.close()  # those connections that nobody uses any more

    # --- the pod ----------------------------------------------------------------------------

    def watch(self) -> None:
        """Break the stream as soon as the pod is not what it was."""
        threading.Thread(target=self._watch, name="dockyard-pod", daemon=True).start()

    def diagnose(self) -> str:
        """Say why the connection ended: the pod's end rather than that of the program in it."""
        if self._told:
            return ""
        words = self._stream.last_words()
        try:
            ended = self._await_reason()
        except DockyardError as error:
            return "; ".join(filter(None, [words, str(error)]))
        if ended:
            said = self._last_log(ended)
            return "; ".join([f"pod {self._pod.name} {ended}", *said])
        if words:
            return f"buildctl in pod {self._pod.name}: {words}"
        return f"pod {self._pod.name} runs on: it was the way to it that broke; build again"

    def _await_reason(self) -> str:
        """Give the cluster a moment to notice that the pod has ended."""
        wait = Wait(_NOTICE_SECONDS)
        while not (ended := self._noticed or _why_not(self._cluster, self._pod)):
            try:
                wait.pause(_NOTICE_PAUSE)
            except OutOfTimeError:
                break
        return ended

    def _last_log(self, ended: str) -> list[str]:
        """Give what BuildKit wrote last, when it is the one that ended."""
        if "BuildKit" not in ended:
            return []
        from dockyard_kubernetes.log import TAIL, last_word

        # It may be started again just now: then the log is empty, and that of before is wanted.
        for previous in (True,) if "started again" in ended else (False, True):
            with suppress(DockyardError):
                log = self._cluster.logs(
                    self._pod.name,
                    CONTAINER,
                    previous=previous,
                    tail=TAIL,
                    timeout=_DIAGNOSIS_SECONDS,
                )
                if word := last_word(log):
                    return [f"its log ends with: {word}"]
        return []

    # --- in a thread ------------------------------------------------------------------------

    def _watch(self) -> None:
        while not (self._switch.canceled or self._noticed):
            try:
                self._watch_once()
            except (GoneError, ClusterUnreachableError):
                pass  # the stream shows whether that matters
            except DockyardError:
                return  # who must not watch is told by the stream alone
            with suppress(CanceledError), Wait(_WATCH_PAUSE + 1, self._switch) as wait:
                wait.pause(_WATCH_PAUSE)

    def _watch_once(self) -> None:
        path, fields = pod_path(self._cluster), f"metadata.name={self._pod.name}"
        found = self._cluster.list(path, field_selector=fields, cancel=self._switch)
        items = tables(found, "items")
        if not items:
            self._notice("is gone")
        for each in items:
            self._judge(parse_pod(each))
        events = self._cluster.watch(
            path,
            resource_version=text(found, "metadata", "resourceVersion"),
            field_selector=fields,
            timeout=_WATCH_SECONDS,
            cancel=self._switch,
        )
        for event in events:
            if event.type == "DELETED":
                self._notice("is gone")
            elif event.type != "BOOKMARK":
                self._judge(parse_pod(event.object))
            if self._noticed:
                return

    def _judge(self, found: Pod) -> None:
        if found.uid != self._pod.uid:
            self._notice("was deleted and made anew")
            return
        if not self._is_known:  # what ended before the stream stood does not concern it
            self._pod = self._pod._replace(restarts=found.restarts)
            self._is_known = True
        # Who has given pods more time than usual wants builds to be done before they end.
        grace = number(found.object, "metadata", "deletionGracePeriodSeconds")
        if found.is_ending and grace > _USUAL_GRACE:
            found = found._replace(is_ending=False)
        if ended := pod_end(found, self._pod.restarts):
            self._notice(ended)

    def _notice(self, words: str) -> None:
        if not self._noticed:
            self._noticed = words
            self._told = self._stream.give_up(f"pod {self._pod.name} {words}")
