"""An image piece by piece, for who can do with less than all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from attrs import define, field, frozen

from dockyard.value import Value


@frozen(kw_only=True, eq=False, repr=False)
class ImageBlob(Value):
    """One piece of an image, as a registry or a content store knows it."""

    digest: str
    size: int
    media_type: str
    diff_id: str = ""
    """Of a layer: the digest of what it unpacks to, by which classic image stores know it."""


@define(eq=False, kw_only=True)
class ImageContent:
    """An image for one platform, piece by piece; its layers still lie where it was built."""

    manifest: ImageBlob
    config: ImageBlob
    layers: tuple[ImageBlob, ...]
    """From the bottom up. The same blob may be there more than once."""
    index: ImageBlob | None = None
    """What names the manifest, where something is attested of the image; the image is known by
    it then."""
    attested: tuple[ImageBlob, ...] = ()
    """All else that the index leads to."""
    _opener: Callable[[ImageBlob], BinaryIO] = field(repr=False)

    @property
    def root(self) -> ImageBlob:
        """What the image is known by in a store that knows images by their manifests."""
        return self.index or self.manifest

    def open(self, blob: ImageBlob) -> BinaryIO:
        """Give one of the blobs as a file to read from, which has to be closed.

        One at a time, and from the thread that was given the image. What is read is checked
        against the digest; reading raises our own errors.
        """
        return self._opener(blob)
