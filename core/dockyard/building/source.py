"""Where a build's context and Dockerfile come from, and how BuildKit is told."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from dockyard.building.place import MISSING, is_directory, is_fifo, state
from dockyard.driver import BuildRequest
from dockyard.errors import ContextError, InputError
from dockyard.fsutil.name import display

_HEAD = 1024
_DOCKERFILE_LIMIT = 16 << 20
_ARCHIVES = (b"BZh", b"\x1f\x8b\x08", b"\xfd7zXZ\x00")
_REMOTE = r"(?:https?|git|ssh)://|github\.com/|[a-zA-Z0-9_.-]+@[a-zA-Z0-9.-]+:"
_GIT = r"(?:git|ssh)://|github\.com/|[a-zA-Z0-9_.-]+@[a-zA-Z0-9.-]+:|https?://[^?#]*\.git(?:[?#]|$)"

LocalDirectory = Path | Mapping[str, bytes]
"""A directory on this machine, or one that exists only as names and contents."""


class Archive(NamedTuple):
    """A context that comes as an archive through ``stdin``."""

    stream: BinaryIO
    head: bytes
    """What was already read of it."""


class Source(NamedTuple):
    """A build's context and Dockerfile, ready to be offered to BuildKit."""

    attributes: Mapping[str, str] = MappingProxyType({})
    """For the frontend."""
    directories: Mapping[str, LocalDirectory] = MappingProxyType({})
    """What the session serves, by name."""
    archive: Archive | None = None
    key: str = ""
    """The name under which the daemon keeps what was sent, for the next time."""


def open_source(request: BuildRequest) -> Source:
    """Find a request's context and Dockerfile.

    Reads ``stdin`` as far as it has to: to its end for a Dockerfile, 1 KiB for an archive.

    Raises:
        ContextError: Something is missing or cannot be read.
        InputError: What was asked for contradicts itself.
    """
    if not request.build_context:
        raise InputError('please specify build context (e.g. "." for the current directory)')
    if request.build_context == "-":
        if request.dockerfile == "-":
            raise InputError(
                "invalid argument: can't use stdin for both build context and dockerfile"
            )
        return _from_stdin(request)
    working_directory = Path(request.working_directory)
    directory = working_directory / request.build_context
    if is_directory(directory):
        return _from_directory(request, directory)
    if re.match(_REMOTE, request.build_context):
        return _from_remote(request)
    shown = display(request.build_context)
    raise ContextError(f"unable to prepare context: path {shown} {state(directory)}")


def is_archive(head: bytes) -> bool:
    """Tell whether data begins like a tar, gzip, bzip2 or xz archive."""
    return head.startswith(_ARCHIVES) or _is_tar(head)


def _from_stdin(request: BuildRequest) -> Source:
    stream = _stdin(request)
    head = _read_head(stream)
    if is_archive(head):
        return Source(
            attributes={"filename": request.dockerfile or "Dockerfile"},
            archive=Archive(stream=stream, head=head),
        )
    if request.dockerfile is not None:
        raise InputError(
            "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles"
        )
    return Source(
        attributes={"filename": "Dockerfile", "dockerfilekey": "dockerfile"},
        directories={"context": {}, "dockerfile": {"Dockerfile": _rest(stream, head)}},
        key="stdin",
    )


def _from_directory(request: BuildRequest, directory: Path) -> Source:
    directory = directory.resolve()
    key = directory.name
    _check_ignore_file(directory / ".dockerignore")
    if request.dockerfile == "-":
        stream = _stdin(request)
        return Source(
            attributes={"filename": "Dockerfile", "dockerfilekey": "dockerfile"},
            directories={
                "context": directory,
                "dockerfile": {"Dockerfile": _rest(stream, b"")},
            },
            key=key,
        )
    dockerfile = _find_dockerfile(request, directory)
    _check_ignore_file(dockerfile.with_name(f"{dockerfile.name}.dockerignore"))
    return Source(
        attributes={"filename": dockerfile.name},
        directories={"context": directory, "dockerfile": dockerfile.parent},
        key=key,
    )


def _from_remote(request: BuildRequest) -> Source:
    attributes = {"context": request.build_context}
    if re.match(_GIT, request.build_context) and "?" in request.build_context:
        attributes["frontend.caps"] = "moby.buildkit.frontend.gitquerystring"
    dockerfile = request.dockerfile
    if dockerfile is None:
        return Source(attributes={**attributes, "filename": "Dockerfile"})
    attributes["dockerfilekey"] = "dockerfile"
    if dockerfile == "-":
        content = {"Dockerfile": _rest(_stdin(request), b"")}
        return Source(
            attributes={**attributes, "filename": "Dockerfile"},
            directories={"dockerfile": content},
        )
    path = Path(dockerfile)
    if path.is_absolute():
        _check_file(path, dockerfile)
        return Source(
            attributes={**attributes, "filename": path.name},
            directories={"dockerfile": path.parent},
        )
    del attributes["dockerfilekey"]
    return Source(attributes={**attributes, "filename": dockerfile})


def _find_dockerfile(request: BuildRequest, directory: Path) -> Path:
    if request.dockerfile is None:
        default, lower = directory / "Dockerfile", directory / "dockerfile"
        if state(default) == MISSING and state(lower) != MISSING:
            return lower
        _check_file(default, "Dockerfile")
        return default
    if re.match(r"https?://", request.dockerfile):
        raise InputError(
            f"a Dockerfile from a URL is not supported yet: {request.dockerfile}",
            hint="download it and pass it with -f -",
        )
    # The directory is resolved, the last name is not: it may be a link inside the directory.
    path = Path(request.working_directory) / request.dockerfile
    _check_file(path, request.dockerfile)
    return path.parent.resolve() / path.name


def _check_file(path: Path, shown: str) -> None:
    """Say what the daemon would say, without asking it."""
    try:
        # Not blocking: what stands there may be a FIFO.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(shown, (error.strerror or str(error)).lower()) from error
    try:
        mode = os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise _unreadable(shown, "is a directory")
    if not stat.S_ISREG(mode):
        raise _unreadable(shown, "not a regular file", hint="pipe it in, with -f -")


def _check_ignore_file(path: Path) -> None:
    """Keep back a FIFO, which the daemon would open and wait at for ever."""
    if is_fifo(path):
        raise ContextError(f"failed to solve: failed to read {path.name}: not a regular file")


def _unreadable(shown: str, reason: str, hint: str | None = None) -> ContextError:
    return ContextError(
        f"failed to solve: failed to read dockerfile: open {shown}: {reason}", hint=hint
    )


def _stdin(request: BuildRequest) -> BinaryIO:
    if request.stdin is None:
        raise InputError("nothing to read: the request has no stdin")
    return request.stdin


def _read_head(stream: BinaryIO) -> bytes:
    head = b""
    while len(head) < _HEAD:
        part = stream.read(_HEAD - len(head))
        if not part:
            break
        head += part
    return head


def _rest(stream: BinaryIO, head: bytes) -> bytes:
    content = head + stream.read(_DOCKERFILE_LIMIT + 1 - len(head))
    if len(content) > _DOCKERFILE_LIMIT:
        raise ContextError(
            f"the Dockerfile on stdin is longer than {_DOCKERFILE_LIMIT >> 20} MiB",
            hint="an archive must be tar, or tar compressed with gzip, bzip2 or xz",
        )
    return content


def _is_tar(head: bytes) -> bool:
    """Check the checksum of a tar header: the sum of its bytes, its own field as blanks."""
    if len(head) < 512:
        return False
    field = head[148:156].strip(b" \0")
    try:
        expected = int(field, 8)
    except ValueError:
        return False
    return sum(head[:148]) + 8 * 0x20 + sum(head[156:512]) == expected
