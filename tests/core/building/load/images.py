"""Images made by hand, blob by blob."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence

import attrs

from dockyard.driver import ImageBlob, ImageContent
from dockyard.session.content_store import ExportStore

CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob(data: bytes, media_type: str, diff_id: str = "") -> ImageBlob:
    return ImageBlob(digest=digest(data), size=len(data), media_type=media_type, diff_id=diff_id)


@attrs.define
class MadeImage:
    """An image, its blobs, and which of them were opened."""

    content: ImageContent
    blobs: dict[str, bytes]
    opened: list[str]

    @property
    def store(self) -> ExportStore:
        """What an exporter would have written of it."""
        store = ExportStore()
        for kind, each in (("config", self.content.config), ("manifest", self.content.manifest)):
            store.add(f"{kind}-{each.digest}", each.digest, self.blobs[each.digest])
        return store


def make_image(files: Sequence[bytes], *, compressed: Sequence[bool] | None = None) -> MadeImage:
    """Make an image with a layer for each file."""
    tars = [_tar(f"file{number}", data) for number, data in enumerate(files)]
    gzipped = compressed or [True] * len(tars)
    packed = [
        gzip.compress(tar, mtime=0) if wanted else tar
        for tar, wanted in zip(tars, gzipped, strict=True)
    ]
    layers = tuple(
        blob(data, LAYER + ("+gzip" if wanted else ""), digest(tar))
        for data, tar, wanted in zip(packed, tars, gzipped, strict=True)
    )
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(blob(config, CONFIG)),
            "layers": [_descriptor(layer) for layer in layers],
        }
    ).encode()
    blobs = {digest(data): data for data in (config, manifest, *packed)}
    opened: list[str] = []

    def open_blob(wanted: ImageBlob) -> io.BytesIO:
        opened.append(wanted.digest)
        return io.BytesIO(blobs[wanted.digest])

    content = ImageContent(
        manifest=blob(manifest, MANIFEST),
        config=blob(config, CONFIG),
        layers=layers,
        opener=open_blob,
    )
    return MadeImage(content, blobs, opened)


def attested(image: MadeImage, **changes: object) -> ExportStore:
    """Give what an exporter writes of an image of which something is attested.

    Args:
        image: The image.
        changes: Other values for the attestation's entry in the index.
    """
    store = image.store
    statement, config = b'{"_type": "statement"}', b'{"rootfs": {}}'
    manifest = json.dumps(
        {
            "mediaType": MANIFEST,
            "config": _descriptor(blob(config, CONFIG)),
            "layers": [_descriptor(blob(statement, "application/vnd.in-toto+json"))],
        }
    ).encode()
    notes = {"vnd.docker.reference.type": "attestation-manifest"}
    entry = {**_descriptor(blob(manifest, MANIFEST)), "annotations": notes, **changes}
    entries = [_descriptor(image.content.manifest), entry]
    index = json.dumps({"mediaType": INDEX, "manifests": entries}).encode()
    for kind, data in (
        ("intoto", statement),
        ("config", config),
        ("manifest", manifest),
        ("index", index),
    ):
        store.add(f"{kind}-{digest(data)}", digest(data), data)
        image.blobs[digest(data)] = data
    return store


def _descriptor(each: ImageBlob) -> dict[str, object]:
    return {"mediaType": each.media_type, "digest": each.digest, "size": each.size}


def _tar(name: str, data: bytes) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as made:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        made.addfile(entry, io.BytesIO(data))
    return written.getvalue()
