"""Where an image shall go: an engine, and what is asked of it again and again."""

from __future__ import annotations

from typing import NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.driver import Step
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.image import ImageStore, StoredImage, find_image, find_store
from dockyard.errors import EngineError


class Place(NamedTuple):
    """An engine during one load."""

    engine: EngineEndpoint
    step: Step
    cancel: Cancellation

    def find(self, reference: str, *, ask_whole: bool = False) -> StoredImage | None:
        """Give the image that the engine knows by a name or an id, if any."""
        try:
            return find_image(self.engine, reference, ask_whole=ask_whole, cancel=self.cancel)
        except EngineError as error:
            if error.status == 404:
                return None
            raise


class ImageStores:
    """The kinds of image stores that engines have, each asked for once."""

    def __init__(self) -> None:
        self._known: dict[EngineEndpoint, ImageStore] = {}

    def get(self, engine: EngineEndpoint, cancel: Cancellation) -> ImageStore:
        """Give what an engine says of its store.

        Raises:
            EngineError: It does not tell.
            EngineUnreachableError: No engine answers.
        """
        if engine not in self._known:
            self._known[engine] = find_store(engine, cancel=cancel)
        return self._known[engine]
