"""One load: an archive goes to the engine, and what the engine says of it is shown."""

from __future__ import annotations

from typing import Any, BinaryIO

from dockyard.cancellation import Cancellation
from dockyard.driver import LoadResult, Progress, Step
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.image import load_archive
from dockyard.engine.layer import Layers
from dockyard.errors import EngineError

STEP = "importing to docker"
"""What the step is called in which an engine loads."""

_LOADED_ID = "Loaded image ID: "
_LOADED_NAME = "Loaded image: "
_BROKEN = "Error unpacking"


def load_stream(
    archive: BinaryIO, engine: EngineEndpoint, progress: Progress, cancel: Cancellation
) -> LoadResult:
    """Load an archive as it is, showing the layers as the engine takes them.

    Raises:
        EngineError: The engine refuses it.
        EngineUnreachableError: No engine answers.
        CanceledError: ``cancel`` was turned.
    """
    with progress.step(STEP) as step:
        return send(archive, engine, step, cancel)


def send(archive: BinaryIO, engine: EngineEndpoint, step: Step, cancel: Cancellation) -> LoadResult:
    """Load an archive within a step; raises as :func:`load_stream` does."""
    image_id = ""
    names: list[str] = []
    broken = ""
    layers = Layers(step, "loading")

    def on_message(message: dict[str, Any]) -> None:
        nonlocal image_id, broken
        text = str(message.get("stream") or "").strip()
        if text.startswith(_LOADED_ID):
            image_id = text.removeprefix(_LOADED_ID)
        elif text.startswith(_LOADED_NAME):
            names.append(text.removeprefix(_LOADED_NAME))
        elif text.startswith(_BROKEN):
            broken = broken or text
        else:
            layers.take(message)

    load_archive(engine, archive, on_message=on_message, cancel=cancel)
    if broken:  # some engines report success then
        raise EngineError(" ".join(broken.split()))
    return LoadResult(image_id=image_id, names=tuple(names))
