"""An image made of blobs: from what an exporter wrote into the session's content store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

from dockyard.driver import ImageBlob, ImageContent
from dockyard.errors import ProtocolError
from dockyard.session.content_store import ExportStore, is_digest

_MANIFESTS = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
_SUPPOSED = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_ROLE = "vnd.docker.reference.type"
_ATTESTS = "attestation-manifest"
_MOST_LAYERS = 1000
_MOST_BYTES = (1 << 63) - 1


def image_content(
    store: ExportStore, open_blob: Callable[[ImageBlob], BinaryIO]
) -> ImageContent | None:
    """Give the only image of an export; None when it has several, or something unknown beside it.

    What is attested of the image belongs to it.

    Args:
        store: What the daemon wrote.
        open_blob: Opens any of the image's blobs.

    Raises:
        ProtocolError: What the daemon wrote is no image.
    """
    roots = [digest for digest, ref in store.refs.items() if ref.startswith("manifest-")]
    indexes = [digest for digest, ref in store.refs.items() if ref.startswith("index-")]
    family = _Family()
    if len(indexes) == 1:
        found = _family(store, indexes[0])
        if found is None:
            return None
        family, roots = found, list(found.images)
    if len(roots) != 1 or len(indexes) > 1:
        return None
    values = _object(store.blobs[roots[0]], "manifest")
    media_type = values.get("mediaType") or _SUPPOSED
    if not isinstance(media_type, str) or media_type not in _MANIFESTS:
        return None
    config = _blob(values.get("config"), "config")
    if config.digest not in store.blobs:
        raise _wrong("it has no configuration")

    return ImageContent(
        manifest=ImageBlob(digest=roots[0], size=len(store.blobs[roots[0]]), media_type=media_type),
        config=config,
        layers=_layers(values.get("layers"), _diff_ids(store.blobs[config.digest])),
        index=family.root,
        attested=family.attested,
        opener=open_blob,
    )


class _Family(NamedTuple):
    """What an index leads to."""

    images: tuple[str, ...] = ()
    """The digests of the images' manifests."""
    attested: tuple[ImageBlob, ...] = ()
    root: ImageBlob | None = None


def _family(store: ExportStore, digest: str) -> _Family | None:
    """Sort out what an index names; None when some of it did not come."""
    data = store.blobs[digest]
    values = _object(data, "index")
    entries = values.get("manifests")
    media_type = str(values.get("mediaType") or _INDEX)
    images: list[str] = []
    attested: list[ImageBlob] = []
    for entry in entries if isinstance(entries, list) else []:
        manifest = _blob(entry, "manifest")
        if manifest.digest not in store.blobs:
            return None
        notes = entry.get("annotations")
        if not isinstance(notes, dict) or notes.get(_ROLE) != _ATTESTS:
            images.append(manifest.digest)
            continue
        said = _object(store.blobs[manifest.digest], "manifest")
        layers = said.get("layers")
        parts = [_blob(said.get("config"), "config")]
        parts += [_blob(each, "layer") for each in (layers if isinstance(layers, list) else [])]
        if any(part.digest not in store.blobs for part in parts):
            return None
        attested += [*parts, manifest]
    unique = {blob.digest: blob for blob in attested}
    index = ImageBlob(digest=digest, size=len(data), media_type=media_type)
    return _Family(tuple(images), tuple(unique.values()), index)


def _layers(entries: object, diff_ids: list[str]) -> tuple[ImageBlob, ...]:
    if entries is None:
        entries = []
    if not isinstance(entries, list) or len(entries) != len(diff_ids):
        raise _wrong("its manifest and its configuration have different numbers of layers")
    if len(entries) > _MOST_LAYERS:
        raise _wrong(f"it has more than {_MOST_LAYERS} layers")
    return tuple(
        _blob(entry, "layer", diff_id) for entry, diff_id in zip(entries, diff_ids, strict=True)
    )


def _diff_ids(config: bytes) -> list[str]:
    root = _object(config, "configuration").get("rootfs") or {}
    found = root.get("diff_ids") if isinstance(root, dict) else None
    found = found or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise _wrong("its configuration names no layers")
    return found


def _blob(entry: object, what: str, diff_id: str = "") -> ImageBlob:
    values: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    digest, size = values.get("digest"), values.get("size")
    if not (isinstance(digest, str) and is_digest(digest)):
        raise _wrong(f"a {what} has no digest")
    if not isinstance(size, int) or not 0 <= size <= _MOST_BYTES:
        raise _wrong(f"{what} {digest} has no size")
    media_type = str(values.get("mediaType") or "")
    return ImageBlob(digest=digest, size=size, media_type=media_type, diff_id=diff_id)


def _object(data: bytes, what: str) -> dict[str, Any]:
    import json

    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"its {what} is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise _wrong(f"its {what} is no JSON object")
    return values


def _wrong(why: str) -> ProtocolError:
    return ProtocolError(f"BuildKit exported an image that makes no sense: {why}")
