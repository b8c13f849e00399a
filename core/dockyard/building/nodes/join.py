"""One OCI archive of several: an index of what they have, and each blob once.

It is made while it is read, so it needs no more room than the archives that it comes from.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

from dockyard.building.results.tarball import (
    END,
    PIECE,
    blob_path,
    head,
    json_file,
    made_of,
    padding,
    plain_file,
)
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildRequest
from dockyard.errors import InputError, ProtocolError
from dockyard.registry.annotation import Annotations
from dockyard.registry.descriptor import (
    OCI_INDEX,
    Descriptor,
    Index,
    check,
    entries,
    flatten,
    make_index,
    read_object,
)
from dockyard.registry.reference import DIGEST, Reference

_LARGEST = 4 << 20
"""Bytes of a manifest, an index or a configuration."""
_MOST_MEMBERS = 100_000


class _Blob(NamedTuple):
    """A blob in one of the archives."""

    archive: tarfile.TarFile
    member: tarfile.TarInfo

    def open(self) -> BinaryIO:
        file = self.archive.extractfile(self.member)
        assert file is not None  # it is a regular file
        return file  # type: ignore[return-value]  # all that is done with it is reading


class JoinedArchive:
    """The archives of several nodes as one. Closing it closes them."""

    def __init__(
        self, pieces: Sequence[Path], names: Sequence[str], annotations: Annotations
    ) -> None:
        """Open the archives and look what is in them.

        Args:
            pieces: The archives, in the order in which their images shall stand in the index.
            names: What the image is called.
            annotations: For the index.

        Raises:
            ProtocolError: An archive is none, or has no image.
        """
        self._stack = ExitStack()
        self._blobs: dict[str, _Blob] = {}
        self._indexes: set[str] = set()
        self._names = names
        try:
            manifests = [manifest for piece in pieces for manifest in self._manifests(piece)]
            self.index: Index = make_index(
                map(annotations.annotated, manifests), annotations=annotations.on_index
            )
        except BaseException:
            self.close()
            raise

    @cached_property
    def stream(self) -> BinaryIO:
        """The archive, to be read once."""
        return made_of(self._content())

    def write(self, dest: str, request: BuildRequest, cancel: Cancellation) -> None:
        """Write the archive to a file, which appears when it is whole, or to the request's stdout.

        Raises:
            OutputError: It cannot be written.
            CanceledError: ``cancel`` was turned.
        """
        from dockyard.session.sink import FileSink, StreamSink

        if dest != "-":
            sink: FileSink | StreamSink = FileSink(Path(request.working_directory, dest))
        elif request.stdout is not None:
            sink = StreamSink(request.stdout)
        else:
            raise InputError("an output goes to stdout, and the request has none")
        forget = cancel.on_cancel(sink.abort)
        try:
            while piece := self.stream.read(PIECE):
                sink.write(bytearray(piece))
            sink.commit()
        except BaseException:
            sink.abort()
            raise
        finally:
            forget()

    def close(self) -> None:
        """Close the archives."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- reading ----------------------------------------------------------------------------

    def _manifests(self, piece: Path) -> list[Descriptor]:
        """Open an archive, and give the manifests of its image."""
        try:
            archive = self._stack.enter_context(tarfile.open(piece, "r:"))  # noqa: SIM115
            members = _members(archive)
        except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
            raise ProtocolError(f"a node's archive cannot be read: {error}") from error
        for name, member in members.items():
            folder, _, rest = name.partition("/")
            digest = rest.replace("/", ":", 1)
            if folder == "blobs" and re.fullmatch(DIGEST, digest):
                self._blobs.setdefault(digest, _Blob(archive, member))
        if "index.json" not in members:
            raise ProtocolError("a node's archive has no index.json")
        index = read_object(_read(_Blob(archive, members["index.json"])), "index.json")
        roots = {root.digest: root for root in entries(index, "index.json")}
        return [manifest for root in roots.values() for manifest in flatten(root, self._fetch)]

    def _fetch(self, descriptor: Descriptor) -> bytes:
        blob = self._blobs.get(descriptor.digest)
        if blob is None:
            raise ProtocolError(f"a node's archive lacks {descriptor.digest}")
        if descriptor.is_index:
            self._indexes.add(descriptor.digest)
        return check(descriptor, _read(blob))

    # --- writing ----------------------------------------------------------------------------

    def _content(self) -> Generator[bytes, None, None]:
        for digest, blob in self._blobs.items():
            if digest in self._indexes:
                continue  # what they name stands in ours
            yield head(blob_path(digest), blob.member.size)
            with blob.open() as file:
                while piece := file.read(PIECE):
                    yield piece
            yield padding(blob.member.size)
        descriptor, data = self.index
        yield plain_file(blob_path(descriptor.digest), data)
        yield json_file("index.json", self._top())
        yield json_file("oci-layout", {"imageLayoutVersion": "1.0.0"})
        yield END

    def _top(self) -> dict[str, Any]:
        """Make the archive's own index: the image under each of its names."""
        image = self.index.descriptor.values
        named = [{**image, "annotations": _annotations(name)} for name in self._names]
        return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": named or [image]}


def _members(archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Give the regular files of an archive by name."""
    found = {}
    for count, member in enumerate(archive):
        # Behind a negative size tarfile finds the same member again, for ever.
        if member.size < 0 or count >= _MOST_MEMBERS:
            raise ProtocolError("a node's archive makes no sense")
        if member.isreg() and not member.issparse():  # which could stand for more than there is
            found[member.name] = member
    return found


def _read(blob: _Blob) -> bytes:
    if blob.member.size > _LARGEST:
        raise ProtocolError(f"{blob.member.name} is larger than {_LARGEST} bytes")
    with blob.open() as file:
        return file.read()


def _annotations(name: str) -> dict[str, str]:
    reference = Reference.parse(name)
    full = f"{reference.name}{'@' if reference.digest else ':'}{reference.target}"
    return {
        "io.containerd.image.name": full,
        "org.opencontainers.image.ref.name": reference.target,
    }
