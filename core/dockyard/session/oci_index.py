"""The list of what a directory in OCI layout holds: its ``index.json``.

The file is replaced as a whole, under the lock that other tools take for it too.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from dockyard.errors import OutputError
from dockyard.session.content_store import is_digest
from dockyard.session.oci_layout import OciLayout, failure
from dockyard.wire.errors import CallError

_INDEX = "index.json"
_LOCK = "index.json.lock"
_LAYOUT = "oci-layout"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_IMAGE_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_WITH_CHILDREN = frozenset(
    {
        _INDEX_TYPE,
        _MANIFEST_TYPE,
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
_MOST = 32 << 20
"""Bytes of an index or a manifest."""
_PATIENCE = 10.0
"""Seconds for which another process may hold the lock."""
_LOOK_AGAIN = 0.05

Descriptor = Mapping[str, Any]
"""What OCI says of a blob: ``mediaType``, ``digest``, ``size``, ``annotations``."""


class UnreadableError(Exception):
    """An index or a manifest is not there, or makes no sense; the text says why."""


class Name(NamedTuple):
    """What an entry is called."""

    ref: str
    """The tag."""
    image: str = ""
    """The full name of an image; empty where there is only a tag."""

    @classmethod
    def of_image(cls, image: str) -> Name:
        """Give the name for an image: ``docker.io/library/a:b`` has the tag ``b``."""
        name, _, digest = image.partition("@")
        _, colon, tag = name.rpartition("/")[2].partition(":")
        return cls(ref=digest or (tag if colon else image), image=image)


def find(layout: OciLayout, tag: str) -> Descriptor | None:
    """Give what is called by a name or tag; None when nothing is.

    Raises:
        UnreadableError: There is no index, or it makes no sense.
    """
    try:
        with layout.folder() as folder:
            entries = _entries(_parsed(_read(folder)))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UnreadableError(f"could not read {layout.path / _INDEX}: {reason}") from error
    except UnreadableError as error:
        raise UnreadableError(f"could not read {layout.path / _INDEX}: {error}") from error
    for key in (_IMAGE_NAME, _REF_NAME):
        for entry in entries:
            if _annotations(entry).get(key) == tag:
                return entry
    return None


def put(layout: OciLayout, descriptor: Descriptor, names: Sequence[Name]) -> None:
    """Enter a blob under names; other entries stay, but for those of the same names.

    Raises:
        OutputError: The index cannot be written, or what is there makes no sense.
    """
    try:
        with layout.folder(make=True) as folder, _locked(layout, folder):
            index = _current(layout, folder)
            entries = _entries(index)
            for name in names:
                entries = [entry for entry in entries if _name(entry) != name]
                entries.append(_named(descriptor, name))
            index["manifests"] = entries
            _write(folder, _LAYOUT, _VERSION)
            _write(folder, _INDEX, json.dumps(index, separators=(",", ":")).encode())
    except OSError as error:
        raise failure(layout.path, "write", error) from error


def reset(layout: OciLayout, *, before: float) -> None:
    """Remove what can be reached from no entry, unless it was written or used meanwhile.

    Raises:
        OutputError: It cannot be removed, or it is not known what can be reached.
    """
    try:
        with layout.folder() as folder, _locked(layout, folder):
            entries = _entries(_current(layout, folder))
            wanted = {digest for digest, _size in _reachable(layout, entries)}
            layout.remove_others(wanted, before=before)
    except UnreadableError as error:
        raise OutputError(f"cannot reset {layout.path}: {error}") from error
    except OSError as error:
        raise failure(layout.path, "write", error) from error


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
            values = _parsed(data)
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
    values = _parsed(text)
    _pair(values)
    if not isinstance(values.get("mediaType"), str):
        raise UnreadableError("a descriptor without a media type")
    if not isinstance(values.get("annotations") or {}, dict):
        raise UnreadableError("a descriptor whose annotations are none")
    return values


# --- entries ------------------------------------------------------------------------------------


def _current(layout: OciLayout, folder: int) -> dict[str, Any]:
    """Give the index that is there, or an empty one."""
    try:
        data = _read(folder)
    except FileNotFoundError:
        data = b""
    try:
        index = _parsed(data) if data.strip() else {}
        _entries(index)
    except UnreadableError as error:
        raise OutputError(
            f"cannot add to {layout.path / _INDEX}: {error}",
            hint="remove the file, or choose another directory",
        ) from error
    return {
        **index,
        "schemaVersion": index.get("schemaVersion") or 2,
        "mediaType": index.get("mediaType") or _INDEX_TYPE,
    }


def _entries(index: Mapping[str, Any]) -> list[Descriptor]:
    entries = index.get("manifests") or []
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise UnreadableError("its manifests are no list of descriptors")
    return entries


def _named(descriptor: Descriptor, name: Name) -> Descriptor:
    annotations = dict(descriptor.get("annotations") or {})
    if name.image:
        annotations[_IMAGE_NAME] = name.image
    annotations[_REF_NAME] = name.ref
    return {**descriptor, "annotations": annotations}


def _name(entry: Descriptor) -> Name:
    annotations = _annotations(entry)
    return Name(ref=annotations.get(_REF_NAME, ""), image=annotations.get(_IMAGE_NAME, ""))


def _annotations(entry: Descriptor) -> Mapping[str, str]:
    found = entry.get("annotations")
    return found if isinstance(found, dict) else {}


# --- blobs --------------------------------------------------------------------------------------


def _reachable(layout: OciLayout, entries: Iterable[Descriptor]) -> Iterator[tuple[str, int]]:
    """Give the digests and sizes of entries and of all that they refer to."""
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
            waiting += _children(_parsed(_blob(layout, digest)), digest)


def _first_wrong(layout: OciLayout, descriptor: Descriptor) -> str:
    for digest, size in _reachable(layout, [descriptor]):
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
        return _INDEX_TYPE
    return _MANIFEST_TYPE if {"config", "layers"} <= values.keys() else ""


def _blob(layout: OciLayout, digest: str, *, begin: bytes = b"") -> bytes:
    try:
        blob = layout.open(digest)
    except CallError as error:
        raise UnreadableError(error.message) from error
    try:
        if blob.size > _MOST:
            raise UnreadableError(f"{digest} is longer than {_MOST >> 20} MiB")
        if begin and blob.read(0, len(begin)) != begin:
            raise UnreadableError(f"{digest} does not begin with {begin!r}")
        data = bytearray()
        while piece := blob.read(len(data), blob.size - len(data)):
            data += piece
        return bytes(data)
    finally:
        blob.close()


def _parsed(data: str | bytes) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"it is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise UnreadableError("it is no JSON object")
    return values


# --- files --------------------------------------------------------------------------------------


def _read(folder: int) -> bytes:
    descriptor = os.open(
        _INDEX, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
    )
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise UnreadableError(f"it is longer than {_MOST >> 20} MiB")
    return data


def _write(folder: int, name: str, data: bytes) -> None:
    """Replace a file so that it is there whole or not at all."""
    temporary = f".{name}.{os.urandom(6).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o644, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


@contextmanager
def _locked(layout: OciLayout, folder: int) -> Iterator[None]:
    """Hold the lock of the index; its file is there only meanwhile."""
    end = time.monotonic() + _PATIENCE
    while (descriptor := _lock(folder)) is None:
        if time.monotonic() > end:
            raise OutputError(
                f"cannot write {layout.path}: another process holds {_LOCK}",
                hint="wait for the other build to end",
            )
        time.sleep(_LOOK_AGAIN)
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(_LOCK, dir_fd=folder)
        os.close(descriptor)


def _lock(folder: int) -> int | None:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(_LOCK, flags, 0o644, dir_fd=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there = os.stat(_LOCK, dir_fd=folder, follow_symlinks=False)
        if os.path.samestat(there, os.fstat(descriptor)):  # nobody removed it meanwhile
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
