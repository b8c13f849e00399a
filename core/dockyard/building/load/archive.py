"""Images as archives for an engine to load, made while they are read."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Generator, Sequence
from typing import Any, BinaryIO

from dockyard.driver import ImageBlob, ImageContent
from dockyard.engine.image import tagged
from dockyard.errors import ProtocolError

_PIECE = 256 << 10
_BLOCK = 512
_INDEX = "application/vnd.oci.image.index.v1+json"
_HUB = "docker.io/"


class _Made(io.RawIOBase):
    """A file to read from whose content is made on the way."""

    def __init__(self, pieces: Generator[bytes, None, None]) -> None:
        super().__init__()
        self._pieces = pieces
        self._piece = memoryview(b"")

    def close(self) -> None:
        self._pieces.close()  # and with it the blob that is being read
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401  # any writable buffer
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count


def archive(
    content: ImageContent, *, layers: Collection[str] | None = None, names: Sequence[str] = ()
) -> BinaryIO:
    """Give an image as an archive that both kinds of image stores understand.

    Args:
        content: The image.
        layers: The digests of the layers to put in; None puts in all.
        names: What the image is called afterwards; without any it is known by its id only.
    """
    return io.BufferedReader(_Made(_archive(content, layers, names)), _PIECE)


def probe(content: ImageContent) -> BinaryIO:
    """Give an archive that has no layer at all, to hear from a classic store which it lacks.

    The layers' names say their numbers: see :func:`probe_name`.
    """
    names = [probe_name(number) for number in range(len(content.layers))]
    manifest = [{"Config": "config.json", "RepoTags": None, "Layers": names}]

    def pieces() -> Generator[bytes, None, None]:
        yield from _blob("config.json", content, content.config)
        yield _file("manifest.json", _json(manifest))
        yield bytes(2 * _BLOCK)

    return io.BufferedReader(_Made(pieces()), _PIECE)


def probe_name(number: int) -> str:
    """Give the name of a layer in a probe."""
    return f"L{number}L"


def _archive(
    content: ImageContent, layers: Collection[str] | None, names: Sequence[str]
) -> Generator[bytes, None, None]:
    blobs = {blob.digest: blob for blob in content.layers}
    for digest, blob in blobs.items():
        if layers is None or digest in layers:
            yield from _blob(_path(blob), content, blob)
    for blob in (content.config, content.manifest):
        yield from _blob(_path(blob), content, blob)
    names = [tagged(name) for name in names]
    yield _file("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
    yield _file("index.json", _json(_index(content.manifest, names)))
    manifest = {
        "Config": _path(content.config),
        "RepoTags": names or None,
        "Layers": [_path(layer) for layer in content.layers],
    }
    yield _file("manifest.json", _json([manifest]))
    yield bytes(2 * _BLOCK)


def _index(manifest: ImageBlob, names: Sequence[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": manifest.size,
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


def _path(blob: ImageBlob) -> str:
    return f"blobs/{blob.digest.replace(':', '/')}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _blob(name: str, content: ImageContent, blob: ImageBlob) -> Generator[bytes, None, None]:
    yield _head(name, blob.size)
    file: BinaryIO
    left = blob.size
    with content.open(blob) as file:
        while left >= 0 and (piece := file.read(_PIECE)):
            left -= len(piece)
            if left >= 0:
                yield piece
    if left:  # what came would be taken for the next files' headers, or the other way round
        raise ProtocolError(f"BuildKit's blob {blob.digest} has not its {blob.size} bytes")
    yield bytes(-blob.size % _BLOCK)


def _file(name: str, data: bytes) -> bytes:
    return _head(name, len(data)) + data + bytes(-len(data) % _BLOCK)


def _head(name: str, size: int) -> bytes:
    from tarfile import GNU_FORMAT, TarInfo

    entry = TarInfo(name)
    entry.size = size
    entry.mode = 0o444
    return entry.tobuf(GNU_FORMAT)
