"""Reach the BuildKit inside an engine: its status, its control API, its sessions.

Engines speak HTTP/1.1 and turn a connection into BuildKit's gRPC when ``/grpc`` is posted to.
Since 29.2 they also take gRPC directly, and a later one may take nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.driver import Connection
from dockyard.engine.dial import dial, unreachable
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.http import request, upgrade
from dockyard.engine.kept import KeptStream
from dockyard.engine.stream import PipeStream, SocketStream
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import ConnectError, EngineError, EngineUnreachableError
from dockyard_docker.version import buildkit_version

if TYPE_CHECKING:
    from dockyard.cancellation import Cancellation
    from dockyard.driver import Headers, Node, NodeStatus

_STATUS_SECONDS = 10.0


class _Opened(NamedTuple):
    """A connection that waits to be used."""

    stream: KeptStream
    direct: bool
    """Whether gRPC is spoken to the engine as it is."""


def has_buildkit(node: Node) -> bool:
    """Say whether a BuildKit answers, and keep the connection for who asks next.

    Raises:
        EngineUnreachableError: There is not even an engine.
    """
    try:
        reach(node)
    except EngineUnreachableError:
        raise
    except EngineError:
        return False
    return True


def status(node: Node) -> NodeStatus:
    """Ask the engine for its version.

    Raises:
        EngineUnreachableError: It does not give it.
    """
    from dockyard.driver import NodeStatus, State

    endpoint = _endpoint(node)
    version = _pinged_version(endpoint) or _asked_version(endpoint)
    return NodeStatus(state=State.RUNNING, version=buildkit_version(version))


def _pinged_version(endpoint: EngineEndpoint) -> str:
    """Give the version that an engine's answers are signed with; empty when there is none.

    To answer ``/version``, engines first ask the programs that they start for theirs, which
    takes ten times as long.
    """
    try:
        answer = request(endpoint, "GET", "/_ping", timeout=_STATUS_SECONDS)
    except EngineUnreachableError:
        raise
    except EngineError:
        return ""
    signature = next((value for name, value in answer.headers if name.lower() == "server"), "")
    product, _, version = signature.partition(" ")[0].partition("/")
    return version if product == "Docker" else ""


def _asked_version(endpoint: EngineEndpoint) -> str:
    try:
        answer = request(endpoint, "GET", "/version", timeout=_STATUS_SECONDS).json()
    except EngineUnreachableError:
        raise
    except EngineError as error:
        raise unreachable(endpoint, f"it does not tell its version: {error}") from error
    version = answer.get("Version") if isinstance(answer, dict) else None
    if not isinstance(version, str):
        raise unreachable(endpoint, "what answers there tells no version")
    return version


def reach(node: Node, cancel: Cancellation | None = None) -> None:
    """Open a connection to BuildKit, and keep it for who asks next.

    Raises:
        EngineUnreachableError: No engine answers.
        EngineError: The engine has no BuildKit.
        CanceledError: ``cancel`` was turned.
    """
    kept = node.cache.get("opened")
    if not isinstance(kept, _Opened) or not kept.stream.usable:
        node.cache["opened"] = _open(_endpoint(node), cancel)


def connect(node: Node, cancel: Cancellation) -> Connection:
    """Open a connection to BuildKit, or take the one that was kept.

    Raises:
        EngineUnreachableError: No engine answers.
        ConnectError: The engine has no BuildKit.
        CanceledError: ``cancel`` was turned.
    """
    endpoint = _endpoint(node)
    reach(node, cancel)
    opened = node.cache.pop("opened")
    stream, direct = opened.stream.take(), opened.direct

    def open_session(headers: Headers) -> SocketStream:
        return upgrade(endpoint, "/session", headers=headers, cancel=cancel)

    return Connection(
        stream=stream,
        open_session=None if direct else open_session,
        diagnostics=stream.last_words if isinstance(stream, PipeStream) else None,
    )


def _endpoint(node: Node) -> EngineEndpoint:
    if node.engine is None:
        raise ConnectError("docker driver requires docker API access")
    return node.engine


def _open(endpoint: EngineEndpoint, cancel: Cancellation | None) -> _Opened:
    try:
        return _Opened(KeptStream(upgrade(endpoint, "/grpc", cancel=cancel)), direct=False)
    except EngineError as error:
        if error.status not in (404, 405):
            raise
        if not _speaks_grpc(endpoint, cancel):
            raise EngineError(
                f"the docker engine at {endpoint.host} has no BuildKit",
                status=error.status,
                hint="it is older than 18.09, or no Docker Engine; use another driver",
            ) from error
    return _Opened(KeptStream(dial(endpoint, cancel=cancel, protocol="h2")), direct=True)


def _speaks_grpc(endpoint: EngineEndpoint, cancel: Cancellation | None) -> bool:
    """Try on a connection of its own whether the engine's socket takes HTTP/2 as it is."""
    from dockyard.engine.http2_probe import speaks_http2

    try:
        with Wait(_STATUS_SECONDS, cancel) as wait:
            stream = dial(endpoint, timeout=_STATUS_SECONDS, cancel=cancel, protocol="h2")
            try:
                return speaks_http2(stream, wait)
            finally:
                stream.close()
    except (OSError, EngineUnreachableError, OutOfTimeError):
        return False
