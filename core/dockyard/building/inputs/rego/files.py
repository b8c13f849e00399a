"""Where policies lie, and what they read: files below the build context, or below where we are."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dockyard.errors import InputError
from dockyard.fsutil.name import reason

if TYPE_CHECKING:
    from dockyard.building.inputs.rego.remote import RemoteContext

_HERE = "cwd://"
POLICY_LIMIT = 1 << 20


class NoFileError(InputError):
    """A file is not there."""


class PolicyFiles:
    """Reads files for policies, and none that lie elsewhere."""

    def __init__(self, context: Path | RemoteContext | None, here: Path) -> None:
        """Say where files may lie.

        Args:
            context: The build context; None if nobody can read in it, as in an archive from stdin.
            here: What ``cwd://`` stands for.
        """
        self.context = context
        self._here = here

    def read(self, name: str, limit: int = POLICY_LIMIT) -> bytes:
        """Read a file.

        Args:
            name: Its path in the build context, or ``cwd://`` and its path from where we are.
            limit: More bytes than it may have.

        Raises:
            NoFileError: It is not there.
            InputError: It cannot be read.
        """
        if name.startswith(_HERE):
            return read_file(_below(self._here, name.removeprefix(_HERE), name), name, limit)
        if self.context is None:
            raise NoFileError(
                f"policy file {name} not found: the build context is an archive",
                hint=f"name a file of this machine: filename={_HERE}PATH",
            )
        if isinstance(self.context, Path):
            return read_file(_below(self.context, _inside(self.context, name), name), name, limit)
        data = self.context.read(name, limit)
        if data is None:
            raise NoFileError(f"policy file {name} not found")
        return _checked(data, name, limit)


def _inside(context: Path, name: str) -> str:
    """Give a path from the context, which a person may have written from the root."""
    path = PurePosixPath(name)
    if path.is_absolute() and path.is_relative_to(context):
        return str(path.relative_to(context))
    return name


def _below(root: Path, path: str, name: str) -> Path:
    """Give a path below a directory; links may not lead out of it, either."""
    root = root.resolve()
    try:
        found = (root / path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"failed to read policy file {name}: {error}") from error
    if PurePosixPath(path).is_absolute() or not found.is_relative_to(root):
        raise InputError(
            f"failed to read policy file {name}: it lies outside of {root}",
            hint=f"a path from where you are is written: {_HERE}PATH",
        )
    return found


def read_file(path: Path, name: str, limit: int = POLICY_LIMIT) -> bytes:
    """Read a file that is no pipe and not too long.

    Raises:
        NoFileError: It is not there.
        InputError: It cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError(f"failed to read policy file {name}: not a regular file")
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise NoFileError(f"policy file {name} not found") from error
    except (OSError, ValueError) as error:
        raise InputError(f"failed to read policy file {name}: {reason(error)}") from error
    return _checked(data, name, limit)


def _checked(data: bytes, name: str, limit: int) -> bytes:
    if len(data) > limit:
        raise InputError(f"failed to read policy file {name}: more than {limit >> 10} KiB")
    return data
