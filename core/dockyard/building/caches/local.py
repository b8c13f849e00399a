"""Caches in directories of this machine: what the daemon is told of them, and what it leaves.

The daemon only moves blobs. Which of them begins a cache stands in the directory's index, which
is read before the build and written after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from attrs import evolve

from dockyard.driver import BuildRequest, CacheEntry, boolean
from dockyard.errors import DockyardError, InputError, OutputError
from dockyard.quote import in_line

if TYPE_CHECKING:
    from dockyard.session.oci_graph import Descriptor
    from dockyard.session.oci_layout import OciLayout

_MANIFEST = "cache.manifest"
_LATEST = "latest"

Warn = Callable[[str], None]


class _Written(NamedTuple):
    """One directory that a cache is written to."""

    layout: OciLayout
    tag: str
    reset: bool
    may_fail: bool
    """Whether the build goes on when the daemon cannot write it."""


class LocalCaches:
    """The directories that one build reads caches from and writes caches to."""

    def __init__(self) -> None:
        self.stores: dict[str, OciLayout] = {}
        """By the names that the daemon calls them by."""
        self._written: list[_Written] = []
        self._began = time.time()

    def prepare(self, request: BuildRequest, warn: Warn) -> BuildRequest:
        """Find the caches that a request names, and give it as the daemon has to be asked.

        Args:
            request: What to build.
            warn: Takes why a cache is not read.

        Raises:
            InputError: A cache is named in a way that makes no sense.
            OutputError: A directory to write to cannot be one.
        """
        here = Path(request.working_directory)
        return evolve(
            request,
            cache_to=tuple(self._export(entry, here) for entry in request.cache_to),
            cache_from=tuple(self._imports(request.cache_from, here, warn)),
        )

    def finish(self, response: Mapping[str, str]) -> None:
        """Enter what the daemon wrote into the indexes of the directories.

        Raises:
            OutputError: An index cannot be written, or the daemon did not write all of a cache.
        """
        if not self._written:
            return
        from dockyard.session.oci_graph import check_whole
        from dockyard.session.oci_index import Name, put, reset

        for written in self._written:
            descriptor = _root(written.layout, response.get(_MANIFEST, ""))
            if descriptor is None:
                if written.may_fail:
                    continue
                raise OutputError(
                    f"BuildKit reports success, but wrote no cache to {written.layout.path}"
                )
            check_whole(written.layout, descriptor)
            put(written.layout, descriptor, [Name(ref=written.tag)])
            if written.reset:
                reset(written.layout, before=self._began)

    def close(self) -> None:
        """Leave nothing half-written behind."""
        for layout in self.stores.values():
            layout.close()

    def _export(self, entry: CacheEntry, here: Path) -> CacheEntry:
        if entry.type != "local":
            return entry
        from dockyard.session.sink import check_directory

        attributes = dict(entry.attributes)
        given = attributes["dest"]
        path = here / given
        check_directory(path)
        attributes["dest"], layout = self._store(path, given, shared=False)
        self._written.append(
            _Written(
                layout=layout,
                tag=attributes.get("tag", _LATEST),
                reset=_flag(attributes, "reset"),
                may_fail=_flag(attributes, "ignore-error"),
            )
        )
        return evolve(entry, attributes=attributes)

    def _imports(
        self, entries: Sequence[CacheEntry], here: Path, warn: Warn
    ) -> Iterator[CacheEntry]:
        for entry in entries:
            if entry.type != "local":
                yield entry
                continue
            attributes = dict(entry.attributes)
            given = attributes["src"]
            attributes["src"], layout = self._store(here / given, given)
            try:
                attributes["digest"] = _begin_of(layout, attributes)
            except _SkippedError as error:
                warn(f"local cache import at {in_line(given)} skipped{error}")
            else:
                yield evolve(entry, attributes=attributes)

    def _store(self, path: Path, shown: str, *, shared: bool = True) -> tuple[str, OciLayout]:
        """Give a directory, and a name for it that can travel in a header.

        Each cache that is written has a name of its own, to know what belongs to it.
        """
        from dockyard.session.oci_layout import OciLayout
        from dockyard.session.session import printable

        name = printable(str(path))
        while not shared and f"local:{name}" in self.stores:
            name += "+"
        layout = self.stores.setdefault(f"local:{name}", OciLayout(path, shown))
        return name, layout


class _SkippedError(Exception):
    """A cache is not read; the text goes on where "skipped" ends."""


def with_inline_cache(request: BuildRequest) -> BuildRequest:
    """Give a request that writes the cache into the image, if a build argument says so."""
    if not _asks_inline(request.build_args) or any(
        entry.type == "inline" for entry in request.cache_to
    ):
        return request
    return evolve(request, cache_to=(*request.cache_to, CacheEntry(type="inline")))


def _asks_inline(arguments: Mapping[str, str]) -> bool:
    try:
        return boolean(arguments.get("BUILDKIT_INLINE_CACHE", ""))
    except ValueError:
        return False


def check_caches(request: BuildRequest) -> bool:
    """Check the caches that a request names.

    Returns:
        Whether some are directories of this machine.

    Raises:
        InputError: One lacks what says where it is, or lies where the build removes it.
    """
    mirrors = [output.dest for output in request.outputs if output.deletes and output.dest]
    for entry, needed, role in (
        *((entry, {"local": "src", "registry": "ref"}, "importer") for entry in request.cache_from),
        *((entry, {"local": "dest", "registry": "ref"}, "exporter") for entry in request.cache_to),
    ):
        key = needed.get(entry.type)
        if key and not entry.attributes.get(key):
            raise InputError(f"{entry.type} cache {role} requires {key}")
        if key and entry.type == "local":
            _check_outside(entry.attributes[key], mirrors, request.working_directory)
    return any(entry.type == "local" for entry in (*request.cache_from, *request.cache_to))


def _check_outside(given: str, mirrors: Iterable[str], here: str) -> None:
    """Refuse a cache in a directory where an output removes all but itself."""
    for mirror in mirrors:
        path = Path(here, given).resolve()
        if path.is_relative_to(Path(here, mirror).resolve()):
            raise InputError(
                f"the cache {given} lies in {mirror}, from where mode=delete would remove it",
                hint="keep one of the two somewhere else",
            )


def _begin_of(layout: OciLayout, attributes: Mapping[str, str]) -> str:
    """Give the digest that a cache begins with."""
    from dockyard.session.content_store import is_digest
    from dockyard.session.oci_graph import UnreadableError, has
    from dockyard.session.oci_index import find

    digest = attributes.get("digest", "")
    if not digest:
        tag = attributes.get("tag", _LATEST)
        if not tag:
            raise InputError(
                'local cache importer requires either explicit digest, "latest" tag or custom tag '
                "on index.json"
            )
        try:
            found = find(layout, tag)
        except UnreadableError as error:
            raise _SkippedError(f" due to err: {error}") from error
        if found is None:
            raise _SkippedError(f": no digest found for tag {tag}")
        digest = str(found.get("digest", ""))
    try:
        there = is_digest(digest) and has(layout, digest)
    except DockyardError as error:
        raise _SkippedError(f" due to err: {error}") from error
    if not there:
        raise _SkippedError(f": digest {digest} unavailable: content {digest}: not found")
    return digest


def _root(layout: OciLayout, answer: str) -> Descriptor | None:
    """Give what a cache begins with."""
    from dockyard.session.oci_graph import UnreadableError, parse_descriptor, root_of

    if not answer:
        return None
    try:
        return root_of(layout, parse_descriptor(answer))
    except UnreadableError as error:
        raise OutputError(f"BuildKit wrote a cache that makes no sense: {error}") from error


def _flag(attributes: Mapping[str, str], key: str) -> bool:
    value = attributes.get(key) or "false"
    try:
        return boolean(value)
    except ValueError as error:
        raise InputError(f'failed to parse {key} attribute: invalid syntax: "{value}"') from error
