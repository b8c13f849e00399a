"""Where a build's context and Dockerfile come from, and how BuildKit is told."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from dockyard.building.inputs.place import MISSING, is_directory, is_fifo, state
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildRequest
from dockyard.errors import ContextError, InputError
from dockyard.fsutil.name import reason
from dockyard.quote import quoted
from dockyard.session.reader import read_pieces

_HEAD = 1024
_DOCKERFILE_LIMIT = 16 << 20
_ARCHIVES = (b"BZh", b"\x1f\x8b\x08", b"\xfd7zXZ\x00")
_ZSTD = b"\x28\xb5\x2f\xfd"
REMOTE = r"(?:https?|git|ssh)://|github\.com/|[a-zA-Z0-9_.-]+@[a-zA-Z0-9.-]+:"
GIT = r"(?:git|ssh)://|github\.com/|[a-zA-Z0-9_.-]+@[a-zA-Z0-9.-]+:|https?://[^?#]*\.git(?:[?#]|$)"
"""How what a daemon fetches begins, and what of it is fetched with git."""

Fetch = Callable[[str], bytes]
"""Gives what lies at a URL."""

LocalDirectory = Path | Mapping[str, bytes]
"""A directory on this machine, or one that exists only as names and contents."""


class _Ways(NamedTuple):
    """How to get at what is no file."""

    fetch: Fetch
    read: Callable[[int], bytes]
    """Gives at most so many bytes from ``stdin``, fewer only at its end."""


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


def open_source(request: BuildRequest, fetch: Fetch, cancel: Cancellation) -> Source:
    """Find a request's context and Dockerfile.

    Reads ``stdin`` as far as it has to: to its end for a Dockerfile, 1 KiB for an archive.

    Args:
        request: What to build.
        fetch: Is asked for a Dockerfile that lies at a URL.
        cancel: Ends a wait for ``stdin``.

    Raises:
        CanceledError: ``cancel`` was turned.
        ContextError: Something is missing or cannot be read.
        InputError: What was asked for contradicts itself.
    """
    ways = _Ways(fetch, partial(_read, request, cancel))
    if not request.build_context:
        raise InputError('please specify build context (e.g. "." for the current directory)')
    if request.build_context == "-":
        if request.dockerfile == "-":
            raise InputError(
                "invalid argument: can't use stdin for both build context and dockerfile"
            )
        return _from_stdin(request, ways)
    check_context(request)
    directory = Path(request.working_directory) / request.build_context
    if is_directory(directory):
        return _from_directory(request, directory, ways)
    return _from_remote(request, ways)


def check_context(request: BuildRequest) -> None:
    """Make sure that a context in a directory is there.

    Raises:
        ContextError: It is not.
    """
    directory = Path(request.working_directory) / request.build_context
    if request.build_context in {"", "-"} or is_directory(directory):
        return
    if re.match(REMOTE, request.build_context):
        return
    found = state(directory)
    raise ContextError(
        f"unable to prepare context: path {quoted(request.build_context)} not found",
        hint=None if found == MISSING else f"it {found}",
    )


def is_archive(head: bytes) -> bool:
    """Tell whether data begins like a tar, gzip, bzip2 or xz archive."""
    return head.startswith(_ARCHIVES) or _is_tar(head)


def _from_stdin(request: BuildRequest, ways: _Ways) -> Source:
    head = ways.read(_HEAD)
    stream = _stdin(request)
    if is_archive(head):
        if is_url(request.dockerfile):
            return _inline(_dockerfile(request, ways))._replace(
                archive=Archive(stream=stream, head=head)
            )
        return Source(
            attributes={"filename": request.dockerfile or "Dockerfile"},
            archive=Archive(stream=stream, head=head),
        )
    if head.startswith(_ZSTD):
        raise ContextError(
            "the archive on stdin is compressed with zstd, which BuildKit does not unpack",
            hint="send it as tar, or compressed with gzip, bzip2 or xz",
        )
    if request.dockerfile is not None:
        raise InputError(
            "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles"
        )
    return _inline(_rest(ways, head), context={})._replace(key="stdin")


def _from_directory(request: BuildRequest, directory: Path, ways: _Ways) -> Source:
    directory = directory.resolve()
    key = directory.name
    check_ignore_file(directory / ".dockerignore")
    if request.dockerfile == "-" or is_url(request.dockerfile):
        return _inline(_dockerfile(request, ways), context=directory)._replace(key=key)
    dockerfile = _find_dockerfile(request, directory)
    check_ignore_file(dockerfile.with_name(f"{dockerfile.name}.dockerignore"))
    return Source(
        attributes={"filename": dockerfile.name},
        directories={"context": directory, "dockerfile": dockerfile.parent},
        key=key,
    )


def _from_remote(request: BuildRequest, ways: _Ways) -> Source:
    attributes = {"context": request.build_context}
    if re.match(GIT, request.build_context) and "?" in request.build_context:
        attributes["frontend.caps"] = "moby.buildkit.frontend.gitquerystring"
    dockerfile = request.dockerfile
    if dockerfile is None:
        return Source(attributes={**attributes, "filename": "Dockerfile"})
    if dockerfile == "-" or is_url(dockerfile):
        source = _inline(_dockerfile(request, ways))
        return source._replace(attributes={**attributes, **source.attributes})
    path = Path(dockerfile)
    if path.is_absolute():
        _check_file(path, dockerfile)
        return Source(
            attributes={**attributes, "dockerfilekey": "dockerfile", "filename": path.name},
            directories={"dockerfile": path.parent},
        )
    return Source(attributes={**attributes, "filename": dockerfile})


def is_url(dockerfile: str | None) -> bool:
    """Say whether a Dockerfile has to be fetched."""
    return dockerfile is not None and dockerfile.startswith(("http://", "https://"))


def _dockerfile(request: BuildRequest, ways: _Ways) -> bytes:
    """Give the content of a Dockerfile that is no file."""
    if request.dockerfile is not None and is_url(request.dockerfile):
        return ways.fetch(request.dockerfile)
    return _rest(ways, b"")


def _inline(content: bytes, context: LocalDirectory | None = None) -> Source:
    """Make the source of a Dockerfile that is no file."""
    dockerfile: dict[str, LocalDirectory] = {"dockerfile": {"Dockerfile": content}}
    return Source(
        attributes={"filename": "Dockerfile", "dockerfilekey": "dockerfile"},
        directories=dockerfile if context is None else {"context": context, **dockerfile},
    )


def _find_dockerfile(request: BuildRequest, directory: Path) -> Path:
    if request.dockerfile is None:
        default = _or_lower_case(directory / "Dockerfile")
        _check_file(default, "Dockerfile")
        return default
    # The directory is resolved, the last name is not: it may be a link inside the directory.
    path = _or_lower_case(Path(request.working_directory) / request.dockerfile)
    _check_file(path, request.dockerfile)
    return path.parent.resolve() / path.name


def _or_lower_case(path: Path) -> Path:
    """Give the path, or that of a ``dockerfile`` where there is no ``Dockerfile``."""
    lower = path.parent / "dockerfile"
    found = path.name != "Dockerfile" or state(path) != MISSING or state(lower) == MISSING
    return path if found else lower


def _check_file(path: Path, shown: str) -> None:
    """Say what the daemon would say, without asking it."""
    try:
        # Not blocking: what stands there may be a FIFO.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable(shown, reason(error)) from error
    try:
        mode = os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise _unreadable(shown, "is a directory")
    if not stat.S_ISREG(mode):
        raise _unreadable(shown, "not a regular file", hint="pipe it in, with -f -")


def check_ignore_file(path: Path) -> None:
    """Keep back a FIFO, which the daemon would open and wait at for ever."""
    if is_fifo(path):
        raise ContextError(f"failed to solve: failed to read {path.name}: not a regular file")


def _unreadable(shown: str, why: str, hint: str | None = None) -> ContextError:
    return ContextError(
        f"failed to solve: failed to read dockerfile: open {shown}: {why}", hint=hint
    )


def _stdin(request: BuildRequest) -> BinaryIO:
    if request.stdin is None:
        raise InputError("nothing to read: the request has no stdin")
    return request.stdin


def _read(request: BuildRequest, cancel: Cancellation, most: int) -> bytes:
    """Read from ``stdin`` to its end, or as much as is wanted."""
    try:
        return b"".join(read_pieces(_stdin(request), cancel, most))
    except (OSError, ValueError) as error:
        raise ContextError(f"cannot read stdin: {reason(error)}") from error


def _rest(ways: _Ways, head: bytes) -> bytes:
    content = head + ways.read(_DOCKERFILE_LIMIT + 1 - len(head))
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
