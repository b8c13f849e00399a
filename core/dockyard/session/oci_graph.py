"""What blobs refer to: descriptors, and the graph that manifests and indexes make of them.

All of it was written by somebody else, and is read with care.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dockyard.errors import OutputError
from dockyard.session.content_store import is_digest
from dockyard.session.oci_layout import OciLayout
from dockyard.wire.errors import CallError

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_WITH_CHILDREN = frozenset(
    {
        INDEX_TYPE,
        _MANIFEST_TYPE,
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
MOST = 32 << 20
"""Bytes of an index or a manifest."""

Descriptor = Mapping[str, Any]
"""What OCI says of a blob: ``mediaType``, ``digest``, ``size``, ``annotations``."""


class UnreadableError(Exception):
    """An index or a manifest is not there, or makes no sense; the text says why."""


def check_whole(layout: OciLayout, descriptor: Descriptor) -> None:
    """Make sure that all that a blob refers to is there.

    Raises:
        OutputError: It is not.
    """
    try:
        wrong = _first_wrong(layout, descriptor)
    except UnreadableError as error:
        wrong = str(error)
    if wrong:
        raise OutputError(
            f"BuildKit reports success, but sent no whole result for {layout.path}: {wrong}"
        )


def has(layout: OciLayout, digest: str) -> bool:
    """Say whether a blob is there."""
    return _size(layout, digest) >= 0


def root_of(layout: OciLayout, answer: Descriptor) -> Descriptor:
    """Give what a daemon wrote into a directory, all else being part of it.

    Args:
        layout: The directory.
        answer: What the daemon says that it wrote: the last of several results, if there are
            several, which may be somewhere else.
    """
    if answer["digest"] in layout.written:
        return answer
    found: dict[str, Descriptor] = {}
    parts: set[str] = set()
    for digest in layout.written:
        try:
            data = _blob(layout, digest, begin=b"{")
            values = parsed(data)
            media_type = _media_type(values)
            if media_type:
                found[digest] = {"mediaType": media_type, "digest": digest, "size": len(data)}
                parts.update(_pair(each)[0] for each in _children(values, digest))
        except UnreadableError:
            continue  # it is a layer or a configuration
    roots = [entry for digest, entry in found.items() if digest not in parts]
    return roots[-1] if roots else answer


def parse_descriptor(text: str | bytes) -> Descriptor:
    """Read a descriptor that a daemon gave.

    Raises:
        UnreadableError: It is none.
    """
    values = parsed(text)
    _pair(values)
    if not isinstance(values.get("mediaType"), str):
        raise UnreadableError("a descriptor without a media type")
    if not isinstance(values.get("annotations") or {}, dict):
        raise UnreadableError("a descriptor whose annotations are none")
    return values


def reachable(layout: OciLayout, entries: Iterable[Descriptor]) -> Iterator[tuple[str, int]]:
    """Give the digests and sizes of entries and of all that they refer to.

    Raises:
        UnreadableError: One of them makes no sense.
    """
    waiting = list(entries)
    seen = set()
    while waiting:
        entry = waiting.pop()
        digest, size = _pair(entry)
        if digest in seen:
            continue
        seen.add(digest)
        yield digest, size
        if entry.get("mediaType") in _WITH_CHILDREN:
            waiting += _children(parsed(_blob(layout, digest)), digest)


def parsed(data: str | bytes) -> dict[str, Any]:
    """Read JSON, which has to be an object.

    Raises:
        UnreadableError: It is none.
    """
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"it is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise UnreadableError("it is no JSON object")
    return values


# --- inside ----------------------------------------------------------------------------------


def _first_wrong(layout: OciLayout, descriptor: Descriptor) -> str:
    for digest, size in reachable(layout, [descriptor]):
        found = _size(layout, digest)
        if found < 0:
            return f"{digest} is missing"
        if found != size:
            return f"{digest} has {found} bytes instead of {size}"
    return ""


def _children(manifest: Mapping[str, Any], digest: str) -> list[Descriptor]:
    found = [manifest["config"]] if manifest.get("config") is not None else []
    for key in ("layers", "manifests"):
        more = manifest.get(key) or []
        if not isinstance(more, list):
            raise UnreadableError(f"the {key} of {digest} are no list")
        found += more
    if not all(isinstance(each, dict) for each in found):
        raise UnreadableError(f"{digest} refers to what is no descriptor")
    return [each for each in found if not each.get("urls")]  # those lie elsewhere


def _pair(descriptor: Descriptor) -> tuple[str, int]:
    digest, size = descriptor.get("digest"), descriptor.get("size")
    if not (isinstance(digest, str) and is_digest(digest)):
        raise UnreadableError("a descriptor without a digest")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise UnreadableError(f"a descriptor of {digest} without a size")
    return digest, size


def _size(layout: OciLayout, digest: str) -> int:
    try:
        blob = layout.open(digest)
    except CallError:
        return -1
    blob.close()
    return blob.size


def _media_type(values: Mapping[str, Any]) -> str:
    """Give the type of a manifest or index; nothing for anything else."""
    given = values.get("mediaType")
    if given is not None:
        return given if isinstance(given, str) and given in _WITH_CHILDREN else ""
    if "manifests" in values:
        return INDEX_TYPE
    return _MANIFEST_TYPE if {"config", "layers"} <= values.keys() else ""


def _blob(layout: OciLayout, digest: str, *, begin: bytes = b"") -> bytes:
    try:
        blob = layout.open(digest)
    except CallError as error:
        raise UnreadableError(error.message) from error
    try:
        if blob.size > MOST:
            raise UnreadableError(f"{digest} is longer than {MOST >> 20} MiB")
        if begin and blob.read(0, len(begin)) != begin:
            raise UnreadableError(f"{digest} does not begin with {begin!r}")
        data = bytearray()
        while piece := blob.read(len(data), blob.size - len(data)):
            data += piece
        return bytes(data)
    finally:
        blob.close()
