"""Bring a built image into an engine: it is there already, or another engine has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockyard.driver import LoadResult
from dockyard.engine.image import StoredImage, find_image
from dockyard.errors import EngineError

if TYPE_CHECKING:
    from dockyard.cancellation import Cancellation
    from dockyard.driver import Image, Node, Progress
    from dockyard.engine.endpoint import EngineEndpoint


def load(
    node: Node, image: Image, engine: EngineEndpoint, progress: Progress, cancel: Cancellation
) -> LoadResult:
    """Make sure that the engine has the image.

    Raises:
        EngineError: The image is not where it was built, or the engine refuses it.
        CanceledError: ``cancel`` was turned.
    """
    built_in = node.engine or engine
    found = _find(built_in, image, cancel)
    if (built_in.host, built_in.tls) != (engine.host, engine.tls):
        from dockyard.engine.image import load_archive, save_images
        from dockyard.engine.layer import Layers

        references = image.names or (found.id,)
        with (
            progress.step("importing to docker") as step,
            save_images(built_in, references, cancel=cancel) as archive,
        ):
            load_archive(engine, archive, on_message=Layers(step, "loading").take, cancel=cancel)
        found = _find(engine, image, cancel)
    return LoadResult(image_id=found.id, names=image.names or found.names)


def _find(engine: EngineEndpoint, image: Image, cancel: Cancellation) -> StoredImage:
    """Look for the image by its id, and by its name where the two image stores name it otherwise.

    An id that another engine gave is worth trying only: with containerd's store it is another.
    """
    references = [reference for reference in (image.image_id, *image.names[:1]) if reference]
    for reference in references[:-1]:
        try:
            return find_image(engine, reference, cancel=cancel)
        except EngineError as error:
            if error.status != 404:
                raise
    if not references:
        raise EngineError("the build left no image that could be loaded")
    return find_image(engine, references[-1], cancel=cancel)
