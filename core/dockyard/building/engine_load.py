"""The core's way to bring a build's image into an engine: stream the archive into its store."""

from __future__ import annotations

from typing import Any, BinaryIO

from dockyard.cancellation import Cancellation
from dockyard.driver import LoadResult, Progress
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.image import load_archive

_LOADED = ("Loaded image ID: ", "Loaded image: ")


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

        def on_message(message: dict[str, Any]) -> None:
            nonlocal image_id
            text = str(message.get("stream") or "").strip()
            for prefix in _LOADED:
                if text.startswith(prefix):
                    found = text.removeprefix(prefix)
                    if prefix == _LOADED[0]:
                        image_id = found
                    else:
                        names.append(found)
                    return
            detail = message.get("progressDetail")
            if message.get("id") and isinstance(detail, dict):
                current, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
                done = bool(total) and current >= total
                step.report(f"loading layer {message['id']}", current, total, done=done)

        load_archive(engine, archive, on_message=on_message, cancel=cancel)
    return LoadResult(image_id=image_id, names=tuple(names))
