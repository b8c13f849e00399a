"""Images as archives for an engine to load, made while they are read."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import Any, BinaryIO

from dockyard.building.results.tarball import (
    END,
    PIECE,
    blob_path,
    head,
    json_file,
    made_of,
    padding,
)
from dockyard.driver import ImageBlob, ImageContent
from dockyard.engine.image import tagged
from dockyard.errors import ProtocolError

_INDEX = "application/vnd.oci.image.index.v1+json"
_HUB = "docker.io/"


def archive(
    content: ImageContent, *, layers: Collection[str] | None = None, names: Sequence[str] = ()
) -> BinaryIO:
    """Give an image as an archive that both kinds of image stores understand.

    Args:
        content: The image.
        layers: The digests of the layers to put in; None puts in all.
        names: What the image is called afterwards; without any it is known by its id only.
    """
    return made_of(_archive(content, layers, names))


def probe(content: ImageContent) -> BinaryIO:
    """Give an archive that has no layer at all, to hear from a classic store which it lacks.

    The layers' names say their numbers: see :func:`probe_name`.
    """
    names = [probe_name(number) for number in range(len(content.layers))]
    manifest = [{"Config": "config.json", "RepoTags": None, "Layers": names}]

    def pieces() -> Generator[bytes, None, None]:
        yield from _blob("config.json", content, content.config)
        yield json_file("manifest.json", manifest)
        yield END

    return made_of(pieces())


def probe_name(number: int) -> str:
    """Give the name of a layer in a probe."""
    return f"L{number}L"


def _archive(
    content: ImageContent, layers: Collection[str] | None, names: Sequence[str]
) -> Generator[bytes, None, None]:
    blobs = {blob.digest: blob for blob in content.layers}
    for digest, blob in blobs.items():
        if layers is None or digest in layers:
            yield from _blob(blob_path(blob.digest), content, blob)
    for blob in (content.config, content.manifest, *content.attested):
        yield from _blob(blob_path(blob.digest), content, blob)
    if content.index is not None:
        yield from _blob(blob_path(content.index.digest), content, content.index)
    names = [tagged(name) for name in names]
    yield json_file("oci-layout", {"imageLayoutVersion": "1.0.0"})
    yield json_file("index.json", _index(content.root, names))
    manifest = {
        "Config": blob_path(content.config.digest),
        "RepoTags": names or None,
        "Layers": [blob_path(layer.digest) for layer in content.layers],
    }
    yield json_file("manifest.json", [manifest])
    yield END


def _index(root: ImageBlob, names: Sequence[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "mediaType": root.media_type,
        "digest": root.digest,
        "size": root.size,
    }
    entries = [
        {**entry, "annotations": {"io.containerd.image.name": _full(name)}} for name in names
    ]
    return {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries or [entry]}


def _full(name: str) -> str:
    """Give a name with its registry, as containerd wants it."""
    first, slash, _ = name.partition("/")
    is_host = first == "localhost" or first != first.lower() or any(mark in first for mark in ".:")
    if slash and is_host:
        return name
    return f"{_HUB}{name}" if slash else f"{_HUB}library/{name}"


def _blob(name: str, content: ImageContent, blob: ImageBlob) -> Generator[bytes, None, None]:
    yield head(name, blob.size)
    file: BinaryIO
    left = blob.size
    with content.open(blob) as file:
        while left >= 0 and (piece := file.read(PIECE)):
            left -= len(piece)
            if left >= 0:
                yield piece
    if left:  # what came would be taken for the next files' headers, or the other way round
        raise ProtocolError(f"BuildKit's blob {blob.digest} has not its {blob.size} bytes")
    yield padding(blob.size)
