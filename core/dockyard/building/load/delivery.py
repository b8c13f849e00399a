"""One image of a build on its way into an engine: as an archive, or only what the engine lacks.

Both are offered to BuildKit, which exports into the content store when it was asked to and knows
how, and sends an archive otherwise.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from dockyard.building.export import Export
from dockyard.building.load.incremental import is_doubt
from dockyard.building.load.pipe import StreamedLoad
from dockyard.building.load.sending import Sending
from dockyard.cancellation import Cancellation
from dockyard.driver import Image, ImageBlob, LoadResult, Progress
from dockyard.errors import (
    BuildError,
    CanceledError,
    DaemonError,
    DockyardError,
    EngineError,
    ProtocolError,
)
from dockyard.session.content_store import ExportStore
from dockyard.session.output import StreamTarget

if TYPE_CHECKING:
    from dockyard.buildkit.client import Client

_REFUSED = re.compile(
    r"\b(attribute|option|key|for) *[\"']?tar\b|containerd\.services\.content|content store export"
)
"""How daemons speak of an exporter that cannot do without an archive."""
_WHOLE_ONLY = re.compile(r"tar|name-canonical|dangl?ing-name-.*|annotation-.*(index|descriptor).*")
"""Attributes of exporters whose effect lies in the archive and not in the image."""

Load = Callable[[Image, Progress, Cancellation], LoadResult]


class ArchiveNeededError(Exception):
    """The image has to come as an archive after all; nobody but the build ever sees this."""

    def __init__(self, cause: DockyardError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Delivery:
    """What is offered to BuildKit for one image, and what is made of what it gives."""

    def __init__(
        self, names: Sequence[str], load: Load, progress: Progress, cancel: Cancellation
    ) -> None:
        """Prepare to load an image.

        Args:
            names: What it shall be called; empty when it is known by its id only.
            load: Has an image loaded, by whoever can.
            progress: Where that is shown.
            cancel: Ends it.
        """
        self._names = tuple(names)
        self._load = load
        self._progress = progress
        self._stop = Cancellation()
        cancel.on_cancel(self._stop.cancel)
        self._pipe = StreamedLoad(self._load_archive, self._stop.cancel)
        self.target = StreamTarget(stream=cast("BinaryIO", self._pipe), closes=True)

    def abandon(self) -> None:
        """End what was begun: the build failed."""
        self._pipe.abandon()

    def _load_archive(self, archive: BinaryIO) -> LoadResult:
        return self._load(Image(names=self._names, stream=archive), self._progress, self._stop)


class IncrementalDelivery(Delivery):
    """The same for an image that is asked for in pieces."""

    def __init__(
        self, names: Sequence[str], load: Load, progress: Progress, cancel: Cancellation
    ) -> None:
        super().__init__(names, load, progress, cancel)
        self.store = ExportStore()
        self.sending = Sending(progress, repeats=is_doubtful)

    @property
    def came(self) -> bool:
        """Whether the image came in pieces."""
        return bool(self.store.blobs) and not self._pipe.begun

    def check_failure(self, error: DockyardError) -> None:
        """Look whether a build failed only because of how its image was asked for.

        Raises:
            ArchiveNeededError: It did.
        """
        if isinstance(error, CanceledError) or self._pipe.begun:
            return
        if self.store.problem or _is_refusal(error):
            raise ArchiveNeededError(error) from error

    def abandon(self) -> None:
        super().abandon()
        self.sending.end(sent=False)

    def finish(self, client: Client, *, containerd: bool, names: Sequence[str]) -> None:
        """Load the image, if it came in pieces.

        Args:
            client: Where the layers are.
            containerd: Whether the engine knows images by their manifests.
            names: What the image is called, when that was not known before.

        Raises:
            ArchiveNeededError: That did not do.
        """
        if self.came:
            try:
                self._load_pieces(client, containerd=containerd, names=self._names or names)
            except DockyardError as error:
                if is_doubtful(error):
                    raise ArchiveNeededError(error) from error
                raise
            self.sending.end(sent=True)

    def _load_pieces(self, client: Client, *, containerd: bool, names: Sequence[str]) -> None:
        from dockyard.building.load.archive import archive
        from dockyard.building.load.content import image_content
        from dockyard.buildkit.content import open_blob

        def open_any(blob: ImageBlob) -> BinaryIO:
            data = self.store.blobs.get(blob.digest)
            if data is not None:  # what describes the image is read before all layers or after
                self.sending.sent()
                return io.BytesIO(data)
            self.sending.start()
            return open_blob(client, blob.digest, blob.size, cancel=self._stop)

        content = image_content(self.store, open_any)
        if content is None:
            raise ProtocolError("BuildKit exported more than one image")
        expected = content.root if containerd else content.config
        image = Image(
            names=tuple(names),
            image_id=expected.digest,
            stream=archive(content, names=names),
            content=content,
        )
        self._load(image, self.sending, self._stop)


def _is_refusal(error: DockyardError) -> bool:
    """Say whether a daemon cannot do what we asked for; a step that failed is something else."""
    if isinstance(error, BuildError) and (error.vertex or error.step_exit_code is not None):
        return False
    return isinstance(error, DaemonError) and _REFUSED.search(error.message) is not None


def is_doubtful(error: DockyardError) -> bool:
    """Say whether an archive may succeed where the pieces of an image did not."""
    if isinstance(error, EngineError):
        return is_doubt(error)
    return isinstance(error, (DaemonError, ProtocolError))


def can_be_incremental(export: Export) -> bool:
    """Say whether an image's pieces are all that an export is asked for."""
    return not any(_WHOLE_ONLY.fullmatch(key) for key in export.attributes)
