"""Bring the BuildKit image into the engine: pull it, or be content with what is there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockyard.cancellation import Cancellation
from dockyard.driver import Node, Step
from dockyard.engine.client import api_client, login_for, translated
from dockyard.engine.credential import Credentials
from dockyard.engine.image import checked
from dockyard.errors import BootstrapError, EngineError
from dockyard_docker_container.container import image_of
from dockyard_docker_container.state import engine_of

if TYPE_CHECKING:
    from docker import APIClient

_SILENCE = 300.0
"""Seconds for which an engine may say nothing while it pulls."""
_QUIET = 3.0
"""Seconds after which a pull tells how far it is."""
_PAUSE = 1.0
"""Seconds between two such tellings."""


def obtain_image(node: Node, step: Step, cancel: Cancellation) -> Mapping[str, Any]:
    """Pull the node's image, and give what the engine knows of it.

    Where it cannot be pulled, the image that the engine has under this name will do.

    Raises:
        BootstrapError: It can neither be pulled nor is it there.
        EngineError: The engine refuses.
        CanceledError: ``cancel`` was turned.
    """
    name = image_of(node)
    login = login_for(node.credentials or Credentials({}), name, cancel)
    with api_client(engine_of(node), silence=_SILENCE, cancel=cancel) as client:
        try:
            with translated(cancel, f"the pull of {name}"):
                _pull(client, name, login, step)
        except EngineError as error:
            cancel.check()
            found = _local(client, name, cancel)
            if found is None:
                raise BootstrapError(
                    f"failed to pull image {name}: {error}",
                    hint="the engine has no local image of this name either; "
                    "--driver-opt image=NAME chooses another one",
                ) from error
            with step.status(f"using local image {name}"):
                return found
        found = _local(client, name, cancel)
    if found is None:
        raise BootstrapError(f"failed to inspect pulled image {name}")
    return found


def _pull(client: APIClient, name: str, login: dict[str, str], step: Step) -> None:
    text = f"pulling image {name}"
    progress = _PullProgress()
    told = time.monotonic() + _QUIET
    step.report(text)
    try:
        for event in client.pull(name, stream=True, decode=True, auth_config=login):
            progress.take(checked(event))
            if time.monotonic() >= told and progress.total:
                told = time.monotonic() + _PAUSE
                step.report(text, progress.current, progress.total)
    finally:
        step.report(text, done=True)


class _PullProgress:
    """How many bytes of how many have come, all layers together."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}

    @property
    def current(self) -> int:
        return sum(current for current, _ in self._layers.values())

    @property
    def total(self) -> int:
        return sum(total for _, total in self._layers.values())

    def take(self, event: Mapping[str, Any]) -> None:
        """Note what an event says of a layer's download."""
        layer, detail = event.get("id"), event.get("progressDetail")
        if event.get("status") != "Downloading" or not isinstance(detail, dict):
            return
        current, total = detail.get("current"), detail.get("total")
        if isinstance(current, int) and isinstance(total, int) and total > 0:
            self._layers[str(layer)] = (current, total)


def _local(client: APIClient, name: str, cancel: Cancellation) -> Mapping[str, Any] | None:
    """Give the image that the engine has under the name, or None.

    Raises:
        EngineError: The engine refuses.
    """
    try:
        with translated(cancel, f"looking at image {name}"):
            found: object = client.inspect_image(  # type: ignore[no-untyped-call]  # not in the stubs
                name
            )
    except EngineError as error:
        if error.status == 404:
            return None
        raise
    if not isinstance(found, Mapping):
        raise EngineError(f"the docker engine does not describe image {name}")
    return found
