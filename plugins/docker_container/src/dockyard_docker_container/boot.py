"""Make a node's BuildKit run: find its container, start it, or make it."""

from __future__ import annotations

from datetime import datetime

from dockyard.cancellation import Cancellation
from dockyard.driver import Node, Progress
from dockyard.errors import EngineError
from dockyard_docker_container.ready import probe
from dockyard_docker_container.state import BOOTED, Container, look

_PROBE_SECONDS = 5.0
_YOUTH = 60.0
"""Seconds after which BuildKit is sure to have come up in a container that still runs."""


def bootstrap(node: Node, progress: Progress, cancel: Cancellation) -> None:
    """Return once BuildKit answers.

    Raises:
        BootstrapError: It does not come up; says why.
        EngineError: The engine refuses.
        CanceledError: ``cancel`` was turned.
    """
    found = look(node, cancel=cancel)
    if found is None or not found.running or not _answers(node, found, cancel):
        from dockyard_docker_container.creation import create, start

        with progress.step("[internal] booting buildkit") as step:
            if found is None:
                create(node, step, cancel)
            else:
                start(node, found, step, cancel)
        found = look(node, cancel=cancel)
    node.cache[BOOTED] = found


def _answers(node: Node, found: Container, cancel: Cancellation) -> bool:
    """Say whether BuildKit answers in the container that runs.

    It is asked only where the container was started just now, perhaps by somebody else: the
    connection that follows is proof enough of the others.
    """
    before = node.cache.get(BOOTED)
    if isinstance(before, Container) and before.started == found.started:
        return True
    if _age(found) > _YOUTH:
        return True
    answer = probe(node, cancel, seconds=_PROBE_SECONDS)
    return not isinstance(answer, EngineError) and answer.code == 0


def _age(found: Container) -> float:
    """Give the seconds since the container was started, by the engine's clock; 0 if unknown."""
    try:
        age = datetime.fromisoformat(found.now) - datetime.fromisoformat(found.started)
    except (ValueError, TypeError):
        return 0.0
    return age.total_seconds()
