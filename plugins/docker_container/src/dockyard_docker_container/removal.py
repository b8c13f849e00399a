"""Stop a node's container, and remove everything that was made for the node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dockyard.cancellation import Cancellation
from dockyard.driver import Node
from dockyard.engine.client import api_client, translated
from dockyard.errors import EngineError
from dockyard_docker_container.container import labels, volume_name
from dockyard_docker_container.state import container_name, engine_of, look

if TYPE_CHECKING:
    from docker import APIClient

_SILENCE = 120.0
_REMOVAL_SECONDS = 60.0


def stop(node: Node) -> None:
    """Stop the container if it runs.

    Raises:
        EngineError: The engine refuses.
    """
    found = look(node)
    if found is None or found.status not in ("running", "restarting", "paused"):
        return
    cancel = Cancellation()
    with (
        translated(cancel, f"stopping container {found.name}"),
        api_client(engine_of(node), silence=_SILENCE, cancel=cancel) as client,
    ):
        if found.status == "paused":
            client.unpause(found.name)
        client.stop(found.name)


def remove(node: Node, *, keep_state: bool) -> tuple[str, ...]:
    """Remove what was made for the node, whether it is all there or not.

    The container is known by its name, because buildx labels none, and by the labels, because
    containers that were only tried with have no name of ours. The volume is known by its name.

    Returns:
        What was removed, in words.

    Raises:
        EngineError: The engine refuses; what is left is there for the next time.
    """
    cancel = Cancellation()
    removed = []
    with (
        translated(cancel, f"removing node {node.name}"),
        api_client(engine_of(node), silence=_SILENCE, cancel=cancel) as client,
    ):
        ours = f"/{container_name(node)}"
        found = labelled(client, labels(node))
        others = (each["Id"] for each in found if [ours] != each.get("Names"))
        names = (container_name(node), *others)
        removed += [f"container {name}" for name in names if remove_container(client, name)]
        volume = volume_name(node)
        if not keep_state and _is_done(lambda: client.remove_volume(volume)):
            removed.append(f"volume {volume}")
    return tuple(removed)


def remove_container(client: APIClient, name: str) -> bool:
    """Remove a container, also one that runs, and wait until it is gone; False if none was there.

    Raises:
        EngineError: It is still there.
    """
    from docker.errors import APIError

    try:
        return _is_done(lambda: client.remove_container(name, v=True, force=True))
    except APIError as error:
        if error.status_code != 409:
            raise
    _await_removal(client, name)
    return True


def _await_removal(client: APIClient, name: str) -> None:
    """Wait for a removal that somebody else has begun."""
    from dockyard.engine.wait import OutOfTimeError, Wait

    wait = Wait(_REMOVAL_SECONDS)
    try:
        while _is_done(lambda: client.inspect_container(name)):
            wait.pause(0.1)
    except OutOfTimeError as error:
        raise EngineError(f"container {name} is still being removed") from error


def labelled(client: APIClient, marks: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Give the containers that have all of the labels, as the engine lists them."""
    wanted = [f"{key}={value}" for key, value in marks.items()]
    found: object = client.containers(all=True, filters={"label": wanted})
    listed = found if isinstance(found, list) else ()
    return [
        each for each in listed if isinstance(each, Mapping) and isinstance(each.get("Id"), str)
    ]


def _is_done(work: Callable[[], object]) -> bool:
    """Do something to a thing, and say whether it was there."""
    from docker.errors import NotFound

    try:
        work()
    except NotFound:
        return False
    return True
