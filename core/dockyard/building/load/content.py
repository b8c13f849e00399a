"""An image made of blobs: from what an exporter wrote into the session's content store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

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
_MOST_LAYERS = 1000
_MOST_BYTES = (1 << 63) - 1


def image_content(
    store: ExportStore, open_blob: Callable[[ImageBlob], BinaryIO]
) -> ImageContent | None:
    """Give the only image of an export; None when it has several, or something beside it.

    Args:
        store: What the daemon wrote.
        open_blob: Opens any of the image's blobs.

    Raises:
        ProtocolError: What the daemon wrote is no image.
    """
    roots = [digest for digest, ref in store.refs.items() if ref.startswith("manifest-")]
    indexes = [ref for ref in store.refs.values() if ref.startswith("index-")]
    if len(roots) != 1 or indexes:
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
        opener=open_blob,
    )


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
