"""The classic image store: it knows layers by what they unpack to, and tells which it lacks."""

from __future__ import annotations

import re

from dockyard.building.load.archive import probe
from dockyard.building.load.place import Place
from dockyard.driver import ImageContent
from dockyard.engine.image import StoredImage, load_archive
from dockyard.errors import EngineError

_LACKING = re.compile(r"L(\d{1,4})L")


class ClassicStore:
    """One image and an engine with a classic store.

    The engine is offered the image without any layer. Unless it has all of them, it refuses, and
    names the lowest that it lacks; nothing is left of such a load.
    """

    def __init__(self, content: ImageContent, place: Place) -> None:
        self._content = content
        self._place = place

    @property
    def expected(self) -> str:
        return self._content.config.digest

    def missing(self, found: StoredImage | None) -> frozenset[str] | None:
        layers = self._content.layers
        if found is not None:
            return None
        first = self._first_missing()
        if first is None and self._place.find(self.expected) is not None:
            return None
        return frozenset(layer.digest for layer in layers[first or 0 :])

    def check(self, found: StoredImage) -> None:
        """Do nothing: this store takes whole images only."""

    def keep(self) -> None:
        """Do nothing: this store is asked again the next time."""

    def drop(self, found: StoredImage | None) -> None:
        """Do nothing: this store leaves nothing behind."""

    def _first_missing(self) -> int | None:
        """Give the number of the lowest layer that the engine lacks; None when it lacks none."""
        try:
            load_archive(
                self._place.engine,
                probe(self._content),
                on_message=lambda _message: None,
                cancel=self._place.cancel,
            )
        except EngineError as error:
            named = _LACKING.search(error.message)
            if error.status is not None or named is None:
                return 0  # it says something else; it shall say it of the whole image
            return min(int(named[1]), len(self._content.layers))
        return None
