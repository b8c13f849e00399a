"""The files that a build leaves beside its outputs: the image's id (``--iidfile``), metadata."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from dockyard.errors import InputError
from dockyard.fsutil.name import reason
from dockyard.quote import in_line

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link directly",
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device file",
    stat.S_IFBLK: "a block device file",
}


def remove_image_id(here: Path, name: str) -> None:
    """Remove an earlier build's image id, so that a build that fails leaves none.

    Args:
        here: What a relative path is relative to.
        name: The file, as a person said it.

    Raises:
        InputError: It cannot be removed.
    """
    path = here / name
    if _kind(path) in {stat.S_IFCHR, stat.S_IFIFO}:  # one writes to these, they hold nothing
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        full = path.is_dir() and any(path.iterdir())
        why = "directory not empty" if full else reason(error)
        raise InputError(f"removing image ID file: remove {in_line(name)}: {why}") from error


def write_image_id(here: Path, name: str, image_id: str) -> None:
    """Write an image's id, into a device as it is, elsewhere into a new file.

    Args:
        here: What a relative path is relative to.
        name: The file, as a person said it.
        image_id: What to write.

    Raises:
        InputError: It cannot be written.
    """
    path = here / name
    try:
        if _kind(path) in {stat.S_IFCHR, stat.S_IFIFO}:
            path.write_text(image_id)
        else:
            _replace(path, image_id)
    except OSError as error:
        raise InputError(f"writing image ID file: open {in_line(name)}: {reason(error)}") from error


def write_metadata(here: Path, name: str, text: str) -> None:
    """Write a build's metadata, as a file that is there whole or not at all.

    Args:
        here: What a relative path is relative to.
        name: The file, as a person said it.
        text: What to write.

    Raises:
        InputError: It cannot be written.
    """
    path, above = here / name, Path(name).parent
    try:
        if not stat.S_ISDIR((here / above).stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "")
    except OSError as error:
        shown = in_line(str(above))
        raise InputError(f"invalid output path: stat {shown}: {reason(error)}") from error
    kind = _kind(path)
    if kind in _KINDS:
        raise InputError(
            f"cannot write to {_KINDS[kind]}", hint=f"the metadata file is {in_line(name)}"
        )
    try:
        _replace(path, text)
    except OSError as error:
        raise InputError(
            f"failed to write the metadata file {in_line(name)}: {reason(error)}"
        ) from error


def _kind(path: Path) -> int | None:
    """Say what stands at a path, as the bits of its mode; None where nothing can be seen."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except OSError:
        return None


def _replace(path: Path, content: str) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.parent / f".{path.name[:200]}.{os.urandom(6).hex()}"
    try:
        # Half a character, as JSON may have it, is escaped as JSON has it.
        with temporary.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(content)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
