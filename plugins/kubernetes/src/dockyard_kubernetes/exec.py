"""Start commands in pods, to talk to them.

This is a WebSocket at the pod's ``exec``: a GET, for which a role has to allow ``get`` on
``pods/exec``, and ``create`` as well from Kubernetes 1.35 on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from dockyard.cancellation import Cancellation
from dockyard.engine.wait import Wait
from dockyard_kubernetes.failure import ClusterUnreachableError
from dockyard_kubernetes.pod_stream import V4, V5, PodExec
from dockyard_kubernetes.websocket import Handshake, WebSocket, WebSocketError

if TYPE_CHECKING:
    from dockyard_kubernetes.http import Server, Talk

__all__ = ["PodExec", "open_exec"]

_UPGRADED = 101


def open_exec(
    server: Server,
    path: str,
    container: str,
    command: Sequence[str],
    *,
    timeout: float,
    cancel: Cancellation | None = None,
) -> PodExec:
    """Start a command; see :meth:`dockyard_kubernetes.cluster.Cluster.exec`."""
    fields = [("container", container), ("stdin", "true"), ("stdout", "true")]
    fields += [("stderr", "true"), *(("command", word) for word in command)]
    handshake = Handshake((V5, V4))
    with Wait(timeout, cancel) as wait:
        target = f"{path}?{urlencode(fields)}"
        talk = server.open("GET", target, wait, headers=handshake.headers)
        try:
            return _accept(server, path, talk, handshake)
        except WebSocketError as error:
            talk.stream.close()
            raise ClusterUnreachableError(
                f"the kubernetes API server at {server.access.server} cannot run commands "
                f"over a websocket: {error}",
                hint="it has to be version 1.23 or newer; proxies on the way have to let "
                "websockets through",
            ) from error
        except BaseException:
            talk.stream.close()
            raise


def _accept(server: Server, path: str, talk: Talk, handshake: Handshake) -> PodExec:
    if talk.answer.status != _UPGRADED:
        raise server.refusal("create", path, talk.answer, talk.rest())
    protocol = handshake.check(talk.answer)
    server.allow("create", path)
    return PodExec(WebSocket(talk.stream, talk.leftover), protocol)
