"""Watch what changes in a cluster, as it happens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard_kubernetes.failure import (
    ApiError,
    ClusterUnreachableError,
    GoneError,
    status_error,
)
from dockyard_kubernetes.http import with_query
from dockyard_kubernetes.value import name_of, text

if TYPE_CHECKING:
    from dockyard_kubernetes.http import Server

__all__ = ["Event", "GoneError", "watch"]

_LONGEST_LINE = 8 << 20
_LONGEST_WATCH = 300
"""Seconds for which one connection is asked for; then the next one is."""
_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_MOST_FAILURES_SECONDS = 15.0
"""How long a server that went away may stay away."""


class Event(NamedTuple):
    """Something changed."""

    type: str
    """``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``."""
    object: dict[str, Any]

    @property
    def name(self) -> str:
        """The changed thing's name."""
        return name_of(self.object)


def watch(
    server: Server,
    path: str,
    query: Mapping[str, str],
    resource_version: str,
    timeout: float,
    cancel: Cancellation | None,
) -> Iterator[Event]:
    """Give what changes; see :meth:`dockyard_kubernetes.cluster.Cluster.watch`."""
    version = resource_version
    pause = _PAUSE
    with Wait(timeout, cancel) as wait:
        failing_since: float | None = None
        while wait.left:
            try:
                for event in _connection(server, path, query, version, wait):
                    failing_since = None
                    if event is None:
                        continue
                    version = text(event.object, "metadata", "resourceVersion") or version
                    pause = _PAUSE
                    yield event
            except OutOfTimeError:
                return
            except (ClusterUnreachableError, ApiError) as error:
                if not wait.left and isinstance(error, ClusterUnreachableError):
                    return
                since = failing_since = wait.left if failing_since is None else failing_since
                if not error.transient or since - wait.left > _MOST_FAILURES_SECONDS:
                    raise
            # Also after one that ended as it should: some servers end them at once.
            with contextlib.suppress(OutOfTimeError):
                wait.pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


def _connection(
    server: Server, path: str, query: Mapping[str, str], version: str, wait: Wait
) -> Iterator[Event | None]:
    """Give what comes over one connection; None first, as soon as it stands."""
    seconds = str(max(1, min(_LONGEST_WATCH, int(wait.left) + 1)))
    target = with_query(
        path,
        {
            **query,
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": seconds,
        },
    )
    headers = (("Accept", "application/json"),)
    talk = server.open("GET", target, wait, headers=headers)
    try:
        if talk.answer.status != 200:
            raise server.refusal("watch", path, talk.answer, talk.rest())
        server.allow("watch", path)
        yield None
        buffer = bytearray()
        while True:
            for part in talk.parts():
                buffer += part
            yield from _events(buffer, path)
            if talk.complete:
                return
    finally:
        talk.stream.close()


def _events(buffer: bytearray, path: str) -> Iterator[Event]:
    """Take the whole lines out of the buffer."""
    import json

    while (end := buffer.find(b"\n")) >= 0:
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            kind, found = content["type"], content["object"]
        except (ValueError, RecursionError, TypeError, KeyError) as error:
            raise ClusterUnreachableError(
                f"the API server sent something else than an event while {path} was watched"
            ) from error
        if not isinstance(kind, str) or not isinstance(found, dict):
            raise ClusterUnreachableError(
                f"the API server sent a malformed event while {path} was watched"
            )
        if kind == "ERROR":
            raise status_error("watch", path, found, 500)
        yield Event(kind, found)
    if len(buffer) > _LONGEST_LINE:
        raise ClusterUnreachableError(
            f"the API server sent an event longer than 8 MiB while {path} was watched"
        )
