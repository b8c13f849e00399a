"""Talk to a cluster's API: small requests with JSON, lists, watches, logs and commands in pods.

What goes in and out are plain dicts. The ``kubernetes`` package's model classes cost most of a
second to import, and its client can neither be canceled nor be given a deadline for everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.engine.wait import Wait
from dockyard_kubernetes.dial import Dialer
from dockyard_kubernetes.failure import (
    ApiError,
    ClusterUnreachableError,
    GoneError,
    KubeconfigError,
)
from dockyard_kubernetes.http import Headers, Server, with_query
from dockyard_kubernetes.kubeconfig import Access, find_access
from dockyard_kubernetes.retry import ask

if TYPE_CHECKING:
    from dockyard_kubernetes.exec import PodExec
    from dockyard_kubernetes.watch import Event

__all__ = [
    "ApiError",
    "Cluster",
    "ClusterUnreachableError",
    "GoneError",
    "KubeconfigError",
    "open_cluster",
]

TIMEOUT = 30.0
"""Seconds that a request may take with all its retries."""
EXEC_TIMEOUT = 20.0
"""Seconds that it may take to start a command in a pod."""

_JSON: Final = (("Accept", "application/json"),)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get"}
_MOST_LOG = 256 << 10
_CACHE_KEY = "cluster"


def open_cluster(node: Node, *, cancel: Cancellation | None = None) -> Cluster:
    """Give the cluster that a node is in. It is remembered with the node; nobody is asked yet.

    The node's endpoint says which kubeconfig, its options ``context`` and ``namespace`` which
    part of it.

    Raises:
        KubeconfigError: There is no kubeconfig, or it makes no sense.
        EndpointError: The endpoint is malformed.
        CanceledError: ``cancel`` was turned.
    """
    if cancel is not None:
        cancel.check()
    cluster = node.cache.get(_CACHE_KEY)
    if not isinstance(cluster, Cluster):
        access = find_access(
            node.endpoint,
            node.variables,
            context=node.options.get("context") or "",
            namespace=node.options.get("namespace") or "",
        )
        cluster = node.cache[_CACHE_KEY] = Cluster(access, node.variables)
    return cluster


class Cluster:
    """A cluster's API, in one namespace. Threads may share it.

    Every call ends when its time is over or ``cancel`` is turned, with
    :class:`~dockyard_kubernetes.failure.ClusterUnreachableError` or ``CanceledError``; what the
    server refuses is an :class:`~dockyard_kubernetes.failure.ApiError`.

    Requests are sent again, within their time, when the server was too busy for them; and when
    the connection broke, if sending them twice does no harm. Once the server has answered,
    nobody listening there is taken for a restart of it.
    """

    def __init__(self, access: Access, variables: Mapping[str, str]) -> None:
        """Prepare; nobody is asked yet.

        Raises:
            KubeconfigError: An address makes no sense.
        """
        self._server = Server(access, Dialer(access, variables))
        self.namespace = access.namespace
        self.server = access.server
        self.context = access.context
        """The kubeconfig's; empty in a pod."""

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._server.close()

    def path(self, version: str, resource: str, name: str = "") -> str:
        """Give the path of a resource of the namespace, such as ``apps/v1``, ``deployments``."""
        root = "/api/v1" if version == "v1" else f"/apis/{version}"
        place = f"{root}/namespaces/{quote(self.namespace, safe='')}/{resource}"
        return f"{place}/{quote(name, safe='')}" if name else place

    # --- requests ---------------------------------------------------------------------------

    def get(
        self, path: str, *, cancel: Cancellation | None = None, timeout: float = TIMEOUT
    ) -> dict[str, Any]:
        return self._json("GET", path, None, cancel, timeout)

    def create(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        cancel: Cancellation | None = None,
        timeout: float = TIMEOUT,
    ) -> dict[str, Any]:
        return self._json("POST", path, body, cancel, timeout)

    def replace(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        cancel: Cancellation | None = None,
        timeout: float = TIMEOUT,
    ) -> dict[str, Any]:
        return self._json("PUT", path, body, cancel, timeout)

    def patch(
        self,
        path: str,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        kind: str = "merge",
        *,
        cancel: Cancellation | None = None,
        timeout: float = TIMEOUT,
    ) -> dict[str, Any]:
        """Change a part, by a patch of a kind: ``merge``, ``strategic-merge`` or ``json``."""
        return self._json("PATCH", path, body, cancel, timeout, kind=f"{kind}-patch+json")

    def delete(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        cancel: Cancellation | None = None,
        timeout: float = TIMEOUT,
    ) -> dict[str, Any]:
        """Delete; ``body`` are ``DeleteOptions``, such as ``{"propagationPolicy": ...}``."""
        return self._json("DELETE", path, body, cancel, timeout)

    def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        cancel: Cancellation | None = None,
        timeout: float = TIMEOUT,
    ) -> dict[str, Any]:
        """Give all of a resource: ``items``, and ``metadata.resourceVersion`` to watch from."""
        query = {"labelSelector": label_selector, "fieldSelector": field_selector}
        return self._json("GET", with_query(path, query), None, cancel, timeout, verb="list")

    def watch(
        self,
        path: str,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout: float,
        cancel: Cancellation | None = None,
    ) -> Iterator[Event]:
        """Give what changes after ``resource_version``, as it happens, until the time is over.

        A connection that ends is opened again from where it was.

        Raises:
            GoneError: The server does not know that version any more: list again.
            ApiError: It refuses.
            ClusterUnreachableError: It is gone, and does not come back in time.
            CanceledError: ``cancel`` was turned.
        """
        from dockyard_kubernetes.watch import watch

        query = {"labelSelector": label_selector, "fieldSelector": field_selector}
        return watch(self._server, path, query, resource_version, timeout, cancel)

    def logs(
        self,
        pod: str,
        container: str,
        *,
        previous: bool = False,
        tail: int = 20,
        cancel: Cancellation | None = None,
        timeout: float = TIMEOUT,
    ) -> str:
        """Give the last lines that a container wrote; of its ``previous`` run, if asked for."""
        query = {"container": container, "tailLines": str(tail), "limitBytes": str(_MOST_LOG)}
        if previous:
            query["previous"] = "true"
        path = with_query(f"{self.path('v1', 'pods', pod)}/log", query)
        with Wait(timeout, cancel) as wait:
            answer = ask(self._server, "GET", path, "get", wait, (("Accept", "text/plain, */*"),))
        return answer.body[-_MOST_LOG:].decode(errors="replace")

    # --- commands in pods -------------------------------------------------------------------

    def exec(
        self,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        cancel: Cancellation | None = None,
        timeout: float = EXEC_TIMEOUT,
    ) -> PodExec:
        """Start a command in a pod, and give the stream to and from it.

        Not tried twice. That the command cannot be started may only be known from the stream: it
        ends, and ``last_words`` says why.

        Raises:
            ApiError: The server refuses: there is no such pod (404), or it does not run.
            ClusterUnreachableError: It cannot be reached.
            CanceledError: ``cancel`` was turned.
        """
        from dockyard_kubernetes.exec import open_exec

        path = f"{self.path('v1', 'pods', pod)}/exec"
        return open_exec(self._server, path, container, command, timeout=timeout, cancel=cancel)

    # --- how --------------------------------------------------------------------------------

    def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
        cancel: Cancellation | None,
        timeout: float,
        *,
        kind: str = "json",
        verb: str = "",
    ) -> dict[str, Any]:
        import json

        headers: Headers = _JSON
        data = b""
        if body is not None:
            headers = (*headers, ("Content-Type", f"application/{kind}"))
            data = json.dumps(body, separators=(",", ":")).encode()
        with Wait(timeout, cancel) as wait:
            answer = ask(self._server, method, path, verb or _VERBS[method], wait, headers, data)
        try:
            content = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise self._nonsense() from error
        if not isinstance(content, dict):
            raise self._nonsense()
        return content

    def _nonsense(self) -> ClusterUnreachableError:
        return ClusterUnreachableError(
            f"what answers at {self.server} is no kubernetes API server: its answer is no JSON",
            hint="check the server's address in the kubeconfig, and proxies on the way",
        )
