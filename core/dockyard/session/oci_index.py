"""The list of what a directory in OCI layout holds: its ``index.json``.

The file is replaced as a whole, under the lock that other tools take for it too.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from dockyard.errors import OutputError
from dockyard.fsutil.name import reason
from dockyard.quote import in_line
from dockyard.session.oci_graph import (
    INDEX_TYPE,
    MOST,
    Descriptor,
    UnreadableError,
    parsed,
    reachable,
)
from dockyard.session.oci_layout import OciLayout, failure

_INDEX = "index.json"
_LOCK = "index.json.lock"
_LAYOUT = "oci-layout"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_IMAGE_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"
_PATIENCE = 10.0
"""Seconds for which another process may hold the lock."""
_LOOK_AGAIN = 0.05


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
    entries = _listed(layout)
    for key in (_IMAGE_NAME, _REF_NAME):
        for entry in entries:
            if _annotations(entry).get(key) == tag:
                return entry
    return None


def only(layout: OciLayout) -> Descriptor | None:
    """Give what a directory holds, if that is one thing, whatever it is called.

    Raises:
        UnreadableError: There is no index, or it makes no sense.
    """
    entries = _listed(layout)
    return entries[0] if len(entries) == 1 else None


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
            wanted = {digest for digest, _size in reachable(layout, entries)}
            layout.remove_others(wanted, before=before)
    except UnreadableError as error:
        raise OutputError(f"cannot reset {layout.path}: {error}") from error
    except OSError as error:
        raise failure(layout.path, "write", error) from error


# --- entries ------------------------------------------------------------------------------------


def _listed(layout: OciLayout) -> list[Descriptor]:
    """Give the entries of a directory's index."""
    try:
        with layout.folder() as folder:
            return _entries(parsed(_read(folder)))
    except OSError as error:
        raise _unreadable(layout, error) from error
    except UnreadableError as error:
        name = in_line(str(layout.shown / _INDEX))
        raise UnreadableError(f"could not read {name}: {error}") from error


def _unreadable(layout: OciLayout, error: OSError) -> UnreadableError:
    """Say in the words of the reference what is missing.

    It locks before it reads, and makes the directory of a cache, even of one that it only reads.
    """
    locking = isinstance(error, NotADirectoryError) or (
        layout.read_only and not layout.path.is_dir()
    )
    name = in_line(str(layout.shown / (_LOCK if locking else _INDEX)))
    verb = "lock" if locking else "read"
    return UnreadableError(f"could not {verb} {name}: open {name}: {reason(error)}")


def _current(layout: OciLayout, folder: int) -> dict[str, Any]:
    """Give the index that is there, or an empty one."""
    try:
        data = _read(folder)
    except FileNotFoundError:
        data = b""
    try:
        index = parsed(data) if data.strip() else {}
        _entries(index)
    except UnreadableError as error:
        raise OutputError(
            f"cannot add to {layout.path / _INDEX}: {error}",
            hint="remove the file, or choose another directory",
        ) from error
    return {
        **index,
        "schemaVersion": index.get("schemaVersion") or 2,
        "mediaType": index.get("mediaType") or INDEX_TYPE,
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


# --- files --------------------------------------------------------------------------------------


def _read(folder: int) -> bytes:
    descriptor = os.open(
        _INDEX, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder
    )
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise UnreadableError(f"it is longer than {MOST >> 20} MiB")
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
