"""A built image on its way into an engine or a registry, and the answers of who brings it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from attrs import define, field, frozen

from dockyard.value import Value

if TYPE_CHECKING:
    from dockyard.driver.content import ImageContent
    from dockyard.engine.credential import Credentials


@define(eq=False, kw_only=True)
class Image:
    """A build's image on its way into an engine."""

    names: tuple[str, ...] = ()
    image_id: str = ""
    """The id the build reported, as the engine's store will know it; empty while the image still
    streams."""
    stream: BinaryIO | None = None
    """The image as a Docker or OCI archive; None when it already lies in the node's store."""
    content: ImageContent | None = None
    """The same, for who can do with less than all of it. Either is read, never both."""
    credentials: Credentials | None = field(default=None, repr=False)
    """What docker's configuration knows about registries, for who pushes the image."""


@frozen(kw_only=True, eq=False, repr=False)
class LoadResult(Value):
    """Answer: the image is in the engine."""

    image_id: str = ""
    names: tuple[str, ...] = ()


@frozen(kw_only=True, eq=False, repr=False)
class PushResult(Value):
    """Answer: the image is in the registry."""

    digest: str = ""
    """The digest that the registry knows the image by."""
