"""Load an image into an engine by sending only what the engine lacks.

What an engine has is never taken for granted. Each load goes without a name, is compared with what
was expected, and only then gets the names that were asked for; any doubt leads to sending all of
it. So nobody sees half an image under a name.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from dockyard.building.load.archive import archive
from dockyard.building.load.classic import ClassicStore
from dockyard.building.load.containerd import ContainerdStore
from dockyard.building.load.place import ImageStores, Place
from dockyard.building.load.record import LoadRecords
from dockyard.building.load.stream import STEP, send
from dockyard.cancellation import Cancellation
from dockyard.driver import Image, ImageContent, LoadResult, Progress
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.engine.image import StoredImage, name_image
from dockyard.errors import EngineError, EngineUnreachableError


class Store(Protocol):
    """What depends on the kind of an engine's image store."""

    @property
    def expected(self) -> str:
        """The id that the image has in the engine."""
        ...

    def missing(self, found: StoredImage | None) -> frozenset[str] | None:
        """Give the digests of the layers to send; None when the engine has all of the image.

        Args:
            found: The image, if the engine knows it already.
        """
        ...

    def check(self, found: StoredImage) -> None:
        """Look whether a loaded image is whole; raises EngineError when that is in doubt."""
        ...

    def keep(self) -> None:
        """Note that the engine has all of the image."""
        ...

    def drop(self, found: StoredImage | None) -> None:
        """Forget what was believed, and remove what a failed load may have left.

        Args:
            found: What the engine had before the load.
        """
        ...


class _Work(NamedTuple):
    """The load of one image."""

    image: Image
    content: ImageContent
    place: Place
    store: Store

    def run(self) -> LoadResult:
        names, expected = self.image.names, self.store.expected
        named = {name: self.place.find(name) for name in names}
        unnamed = [name for name, image in named.items() if image is None or image.id != expected]
        found = self.place.find(expected)
        missing = self.store.missing(found)
        if missing is None:
            self.place.step.report("nothing to send, the engine has the image", done=True)
        else:
            self._bring(missing, found)
        for name in unnamed:
            name_image(self.place.engine, expected, name, cancel=self.place.cancel)
        return LoadResult(image_id=expected, names=names)

    def _bring(self, missing: frozenset[str], found: StoredImage | None) -> None:
        """Send what is missing; where that does not lead to the whole image, send all."""
        everything = frozenset(layer.digest for layer in self.content.layers)
        try:
            self._send(missing)
        except EngineError as error:
            self.store.drop(found)
            if missing == everything or not is_doubt(error):
                raise
            self.place.step.log(f"{error}; sending all layers\n".encode())
        else:
            return
        try:
            self._send(everything)
        except EngineError:
            self.store.drop(found)
            raise

    def _send(self, layers: frozenset[str]) -> None:
        place, expected = self.place, self.store.expected
        with archive(self.content, layers=layers) as packed:
            result = send(packed, place.engine, place.step, place.cancel)
        if result.image_id not in ("", expected):
            raise EngineError(f"the engine loaded {result.image_id} instead of {expected}")
        found = place.find(expected)
        if found is None:
            raise EngineError(f"the engine does not have image {expected} after loading it")
        if found.layers != tuple(layer.diff_id for layer in self.content.layers):
            raise EngineError(f"the engine has not all layers of image {expected}")
        self.store.check(found)
        self.store.keep()


def load_content(
    image: Image,
    engine: EngineEndpoint,
    stores: ImageStores,
    records: LoadRecords,
    progress: Progress,
    cancel: Cancellation,
) -> LoadResult:
    """Bring an image whose content is known into an engine.

    Raises:
        EngineError: The engine does not take it, not even all of it.
        EngineUnreachableError: No engine answers.
        DaemonError: BuildKit does not give what is to be sent.
        ConnectionLostError: The connection to BuildKit broke.
        CanceledError: ``cancel`` was turned.
    """
    content = image.content
    assert content is not None
    with progress.step(STEP) as step:
        place = Place(engine, step, cancel)
        kind = stores.get(engine, cancel)
        store: Store
        if kind.containerd:
            store = ContainerdStore(content, place, kind, records)
        else:
            store = ClassicStore(content, place)
        return _Work(image, content, place, store).run()


def is_doubt(error: EngineError) -> bool:
    """Say whether the engine took offence at what it was sent, and may take it otherwise."""
    return error.status is None and not isinstance(error, EngineUnreachableError)
