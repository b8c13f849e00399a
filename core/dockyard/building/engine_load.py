"""The core's way to bring a build's image into an engine: stream the archive into its store."""

from __future__ import annotations

from typing import Any, BinaryIO

from dockyard.cancellation import Cancellation
from dockyard.driver import LoadResult, Progress
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.image import load_archive
from dockyard.engine.layer import Layers

_LOADED_ID = "Loaded image ID: "
_LOADED_NAME = "Loaded image: "


def load_into_engine(
    archive: BinaryIO, engine: EngineEndpoint, progress: Progress, cancel: Cancellation
) -> LoadResult:
    """Load an archive, showing the layers as the engine takes them.

    Raises:
        EngineError: The engine refuses it.
        EngineUnreachableError: No engine answers.
        CanceledError: ``cancel`` was turned.
    """
    image_id = ""
    names: list[str] = []
    with progress.step("importing to docker") as step:
        layers = Layers(step, "loading")

        def on_message(message: dict[str, Any]) -> None:
            nonlocal image_id
            text = str(message.get("stream") or "").strip()
            if text.startswith(_LOADED_ID):
                image_id = text.removeprefix(_LOADED_ID)
            elif text.startswith(_LOADED_NAME):
                names.append(text.removeprefix(_LOADED_NAME))
            else:
                layers.take(message)

        load_archive(engine, archive, on_message=on_message, cancel=cancel)
    return LoadResult(image_id=image_id, names=tuple(names))
