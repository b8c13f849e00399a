"""containerd's image store: it knows layers as blobs, and takes images without looking for them.

A blob that is not there makes a broken image, or one that runs but cannot be saved or pushed, and
some engines call that a success. So only what our own records say is left out.
"""

from __future__ import annotations

from contextlib import suppress

from dockyard.building.load.place import Place
from dockyard.building.load.record import LoadRecords
from dockyard.driver import ImageContent
from dockyard.engine.image import ImageStore, StoredImage, remove_image
from dockyard.errors import EngineError

_TRIED = 3
"""Images that the engine is asked for, in the hope that it still has them."""


class ContainerdStore:
    """One image and an engine with containerd's store."""

    def __init__(
        self, content: ImageContent, place: Place, store: ImageStore, records: LoadRecords
    ) -> None:
        self._content = content
        self._place = place
        self._engine = store.engine
        self._records = records
        self._layers = frozenset(layer.digest for layer in content.layers)
        self._believed = ""

    @property
    def expected(self) -> str:
        return self._content.root.digest

    def missing(self, found: StoredImage | None) -> frozenset[str] | None:
        if found is not None:
            known = self._records.layers(self._engine, self.expected)
            return None if known == self._layers and self._has(self.expected) else self._layers
        for manifest, shared in self._records.candidates(self._engine, self._layers)[:_TRIED]:
            if self._has(manifest):
                self._believed = manifest
                return self._layers - shared
            self._records.forget(self._engine, manifest)
        return self._layers

    def check(self, found: StoredImage) -> None:
        """Look once more whether the image is there that we relied on.

        If it went before its blobs were the new image's as well, the engine may have taken that
        for whole all the same.
        """
        if self._believed and not self._has(self._believed):
            raise EngineError(f"the engine lost image {self._believed} meanwhile")
        if not self._has(self.expected):
            raise EngineError(f"the engine has not all blobs of image {self.expected}")

    def keep(self) -> None:
        self._records.add(self._engine, self.expected, self._layers)

    def drop(self, found: StoredImage | None) -> None:
        self._records.forget(self._engine, self.expected)
        if self._believed:
            self._records.forget(self._engine, self._believed)
            self._believed = ""
        if found is not None:
            return  # it was there before us; a load of all of it repairs what we did
        left = self._place.find(self.expected)
        if left is not None and not left.names:
            with suppress(EngineError):
                remove_image(self._place.engine, self.expected, cancel=self._place.cancel)

    def _has(self, image: str) -> bool:
        """Say whether the engine has an image, and as far as it knows all of it."""
        found = self._place.find(image, ask_whole=True)
        return found is not None and found.whole
