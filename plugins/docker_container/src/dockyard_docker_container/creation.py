"""Make and start a node's container, and take it away again when nothing comes of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dockyard.cancellation import Cancellation
from dockyard.driver import Node, Step
from dockyard.engine.client import api_client, translated
from dockyard.engine.wait import OutOfTimeError, Wait
from dockyard.errors import BootstrapError, EngineError, EngineUnreachableError
from dockyard_docker_container.container import (
    PROBE_LABEL,
    Surroundings,
    container_config,
    image_of,
    labels,
    probe_config,
    surroundings,
    volume_name,
)
from dockyard_docker_container.image import obtain_image
from dockyard_docker_container.provenance import provenance_files
from dockyard_docker_container.ready import await_answer, refusal, start_failure
from dockyard_docker_container.removal import labelled, remove_container
from dockyard_docker_container.state import Container, container_name, engine_of, look
from dockyard_docker_container.upload import upload

if TYPE_CHECKING:
    from docker import APIClient

_SILENCE = 120.0
_OTHERS_SECONDS = 10.0
_OTHERS_PAUSE = 0.05


def create(node: Node, step: Step, cancel: Cancellation) -> None:
    """Make the container, start it, and return once BuildKit answers.

    Raises:
        BootstrapError: It does not come up. What was made for it is gone then.
        EngineError: The engine refuses.
        CanceledError: ``cancel`` was turned.
    """
    image = obtain_image(node, step, cancel)
    _check_policy(node, image)
    name = container_name(node)
    with (
        step.status(f"creating container {name}"),
        translated(cancel, f"creating container {name}"),
        api_client(engine_of(node), silence=_SILENCE, cancel=cancel) as client,
    ):
        config = container_config(node, image_of(node), _surroundings(node, client))
        _Creation(node, cancel).run(client, config)


def start(node: Node, found: Container, step: Step, cancel: Cancellation) -> None:
    """Start the container that is there, and return once BuildKit answers.

    One that was never started may lack its files: whoever made it is gone, or about to go on.

    Raises:
        BootstrapError: It does not come up.
        EngineError: The engine refuses.
        CanceledError: ``cancel`` was turned.
    """
    with (
        step.status(f"starting container {found.name}"),
        translated(cancel, f"starting container {found.name}"),
        api_client(engine_of(node), silence=_SILENCE, cancel=cancel) as client,
    ):
        if found.status == "created":
            _upload(node, cancel)
        if found.status == "paused":
            client.unpause(found.name)
        elif found.status not in ("running", "restarting"):
            _start(node, client, cancel)
        # One that was up may have ended just now: the engine starts it again, but not forever.
        was_up = found.status in ("running", "restarting", "paused")
        await_answer(node, cancel, restarts=found.restarts + 1 if was_up else 0)


class _Creation:
    """One try to make the container. Knows what it has made, to take it away on failure."""

    def __init__(self, node: Node, cancel: Cancellation) -> None:
        self._node = node
        self._cancel = cancel
        self._new_volume = False
        self._new_container = False

    def run(self, client: APIClient, config: Mapping[str, Any]) -> None:
        try:
            self._make(client, config)
            if self._new_container or self._is_unstarted():
                _upload(self._node, self._cancel)
                _start(self._node, client, self._cancel)
            await_answer(self._node, self._cancel)
        except BaseException:
            self._undo()
            raise

    def _make(self, client: APIClient, config: Mapping[str, Any]) -> None:
        name = container_name(self._node)
        try:
            with translated(self._cancel, f"making container {name}"):
                self._new_volume = _ensure_volume(self._node, client)
                self._new_container = self._make_or_find(client, config, name)
        except EngineUnreachableError:
            raise
        except EngineError as error:
            raise refusal(self._node, "created", error) from error

    def _make_or_find(self, client: APIClient, config: Mapping[str, Any], name: str) -> bool:
        """Make the container; False when somebody else has made it meanwhile.

        An engine keeps a name before others can see the container.
        """
        with Wait(_OTHERS_SECONDS, self._cancel) as wait:
            while not _create_container(client, config, name):
                if look(self._node, cancel=self._cancel) is not None:
                    return False
                try:
                    wait.pause(_OTHERS_PAUSE)
                except OutOfTimeError as error:
                    raise BootstrapError(
                        f"the docker engine has no container {name}, and its name is taken"
                    ) from error
        return True

    def _is_unstarted(self) -> bool:
        """Say whether whoever else has made the container has not started it yet."""
        found = look(self._node, cancel=self._cancel)
        return found is not None and found.status == "created"

    def _undo(self) -> None:
        """Remove what is new, as far as that goes; a container of others keeps its volume."""
        fresh = Cancellation()
        with (
            suppress(EngineError),
            translated(fresh, "cleaning up"),
            api_client(engine_of(self._node), silence=_SILENCE, cancel=fresh) as client,
        ):
            if self._new_container:
                remove_container(client, container_name(self._node))
            if self._new_volume:
                client.remove_volume(volume_name(self._node))


def _ensure_volume(node: Node, client: APIClient) -> bool:
    """Make the volume with our labels unless it is there; says whether it is new."""
    from docker.errors import NotFound

    try:
        client.inspect_volume(volume_name(node))
    except NotFound:
        client.create_volume(volume_name(node), labels=labels(node))
        return True
    return False


def _create_container(client: APIClient, config: Mapping[str, Any], name: str) -> bool:
    """Make the container; False when another of this name has been made meanwhile."""
    from docker.errors import APIError

    try:
        _make(client, config, name)
    except APIError as error:
        if error.status_code == 409:
            return False
        raise
    return True


def _make(client: APIClient, config: Mapping[str, Any], name: str | None = None) -> str:
    """Make a container and give its id."""
    made: object = client.create_container_from_config(  # type: ignore[no-untyped-call]  # not in the stubs
        dict(config), name
    )
    identity = made.get("Id") if isinstance(made, Mapping) else None
    if not isinstance(identity, str):
        raise EngineError("the docker engine gives no id for a container that it made")
    return identity


def _start(node: Node, client: APIClient, cancel: Cancellation) -> None:
    try:
        with translated(cancel, "starting it"):
            client.start(container_name(node))
    except EngineError as error:
        raise start_failure(node, error) from error


def _upload(node: Node, cancel: Cancellation) -> None:
    upload(node, {**node.files, **provenance_files(node)}, cancel)


def _surroundings(node: Node, client: APIClient) -> Surroundings:
    from docker.errors import APIError

    gpus = _has_gpus(node, client)
    info: object = None
    with suppress(APIError):
        info = client.info()
    return surroundings(node, info if isinstance(info, Mapping) else {}, gpus=gpus)


def _has_gpus(node: Node, client: APIClient) -> bool:
    """Try whether the engine starts a container that asks for GPUs. It is gone afterwards."""
    from docker.errors import APIError

    mark = os.urandom(8).hex()
    try:
        client.start(_make(client, probe_config(node, image_of(node), mark)))
    except APIError:
        return False
    finally:
        _remove_probe(node, mark)
    return True


def _remove_probe(node: Node, mark: str) -> None:
    """Remove the container that was tried with, also one whose making was not waited for."""
    fresh = Cancellation()
    with (
        suppress(EngineError),
        translated(fresh, "cleaning up"),
        api_client(engine_of(node), silence=_SILENCE, cancel=fresh) as client,
    ):
        for each in labelled(client, {PROBE_LABEL: mark}):
            remove_container(client, each["Id"])


def _check_policy(node: Node, image: Mapping[str, Any]) -> None:
    """Refuse an image that a policy wants verified: nobody here can do that.

    Raises:
        BootstrapError: It is one.
    """
    if node.variables.get("BUILDX_DEFAULT_POLICY") != "1":
        return
    name = image_of(node).removeprefix("docker.io/")
    ours = name.partition("@")[0].partition(":")[0] == "moby/buildkit"
    if ours and image.get("Descriptor") and not node.options.get("allow-untrusted-image"):
        raise BootstrapError(
            f"failed to verify image {image_of(node)}: dockyard cannot verify signatures",
            hint="--driver-opt allow-untrusted-image=true takes it as it is",
        )
