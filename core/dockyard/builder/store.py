"""Builder records on disk, shared with buildx: the same tree, keys and lock, in both directions.

Everything happens inside :meth:`Store.locked`, which is to be held for file access only and never
while anything waits for a network.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.builder.directory import StateDirectory
from dockyard.builder.group import NodeGroup
from dockyard.builder.name import check, is_valid
from dockyard.builder.record import find, format_group, format_object, parse_group, parse_object
from dockyard.config import Environment, Owner
from dockyard.errors import StoreError

if TYPE_CHECKING:
    from datetime import datetime

_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Listing(NamedTuple):
    """All stored builders that can be read, and what is wrong with the others."""

    groups: tuple[NodeGroup, ...]
    """Sorted by name, in byte order."""
    problems: tuple[StoreError, ...] = ()


class BuildRecord(NamedTuple):
    """What is kept of a build, for tools that show past builds."""

    build_context: str
    """An absolute path, a URL, or ``-``."""
    dockerfile: str
    """An absolute path where the context is a directory, else as it was given."""
    target: str = "default"


class Store:
    """The place where builder records are kept."""

    def __init__(self, path: Path, *, owner: Owner | None = None) -> None:
        """Name the place; nothing is touched yet.

        Args:
            path: The state directory.
            owner: Whom to give what is made; None leaves it to the system.
        """
        self._directory = StateDirectory(path, owner=owner)

    @classmethod
    def of(cls, environment: Environment) -> Store:
        """Give the store that buildx would use in this environment."""
        return cls(environment.buildx, owner=environment.owner)

    @property
    def path(self) -> Path:
        return self._directory.path

    @contextmanager
    def locked(self) -> Iterator[Records]:
        """Give access to the records for as long as the block runs, and nobody else any.

        Raises:
            StoreError: The directory cannot be made or locked.
        """
        with self._directory.locked():
            for part in ("instances", "defaults", "activity"):
                self._directory.make(part)
            yield Records(self._directory)


class Records:
    """The records, while the lock is held."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory

    # --- builders ---------------------------------------------------------------------------

    def group(self, name: str) -> NodeGroup | None:
        """Give a stored builder; None when there is none of this name, in any letter case.

        Raises:
            StoreError: Its record cannot be read.
        """
        if not is_valid(name):
            return None
        return self._load(name.lower())

    def groups(self) -> Listing:
        """Give all stored builders. One that cannot be read is a problem and nothing else."""
        groups, problems = [], []
        for name in self._directory.names("instances"):
            try:
                found = self._load(name)
            except StoreError as error:
                problems.append(error)
            else:
                groups += [found] if found else []
        groups.sort(key=lambda group: group.name.encode("utf-8", "surrogatepass"))
        return Listing(groups=tuple(groups), problems=tuple(problems))

    def save(self, group: NodeGroup) -> None:
        """Write a builder, and note that it was used now.

        Raises:
            InvalidNameError: Its name breaks the rule for names.
            StoreError: It cannot be written.
        """
        name = check(group.name).lower()
        self._directory.replace(f"instances/{name}", format_group(group))
        self.touch(group.name)

    def remove(self, name: str) -> None:
        """Remove a builder, whatever state its record is in, and the records of its builds.

        Raises:
            StoreError: There is no such builder, or something of it cannot be removed.
        """
        file = check(name).lower()
        if not self._directory.remove(f"instances/{file}"):
            raise StoreError(
                f'failed to find instance "{name}": '
                f"open {self._directory.path / 'instances' / file}: no such file or directory"
            )
        for activity in {file, name}:
            self._directory.remove(f"activity/{activity}")
        self._remove_builds(name)

    # --- which builder is used --------------------------------------------------------------

    def selected(self, key: str) -> NodeGroup | None:
        """Give the builder that is selected for an engine; None means the context's own.

        As in buildx, asking under another key than the last one forgets a selection that was
        neither global nor a default.

        Args:
            key: The current docker context, or the engine's address when that is ``default``.

        Raises:
            StoreError: The selection cannot be read, or the selected builder's record is damaged.
        """
        current = self._current()
        if current is not None and current.name:
            if current.everywhere and (group := self.group(current.name)):
                return group
            if current.key == key:
                return self.group(current.name)
        name = self._default(key)
        if current != (chosen := _Selection(key=key, name=name)):
            self._write_current(chosen)
        return self.group(name)

    def _default(self, key: str) -> str:
        if not self._directory.names("defaults"):  # the rule, and finding the name takes 3 ms
            return ""
        default = self._directory.read(_default_file(key))
        return "" if default is None else default.decode("utf-8", "replace")

    def select(
        self, key: str, name: str, *, everywhere: bool = False, default: bool = False
    ) -> None:
        """Select a builder; an empty name selects the docker context's own.

        Args:
            key: The current docker context, or the engine's address when that is ``default``.
            name: The builder.
            everywhere: Use it whatever the docker context is.
            default: Come back to it whenever this key is current again.

        Raises:
            StoreError: The selection cannot be written.
        """
        if default and name:
            self._directory.replace(_default_file(key), name.encode())
        else:
            self._directory.remove(_default_file(key))
        self._write_current(_Selection(key=key, name=name, everywhere=everywhere))

    # --- use, identity, builds --------------------------------------------------------------

    def touch(self, name: str) -> None:
        """Note that a builder, stored or a context's, is used now.

        Raises:
            StoreError: It cannot be written.
        """
        now = time.strftime(_TIME, time.gmtime())
        self._directory.replace(f"activity/{_part(name)}", now.encode(), lasting=False)

    def last_activity(self, name: str) -> datetime | None:
        """Tell when a builder was last used; None when that is not known."""
        try:
            text = (self._directory.read(f"activity/{_part(name)}") or b"").decode().strip()
            if not text:
                return None
            from datetime import UTC, datetime

            return datetime.fromisoformat(text).astimezone(UTC)
        except (StoreError, ValueError):
            return None

    def node_id(self) -> str:
        """Give the id of this machine's client, made on the first call: 16 hex digits.

        Raises:
            StoreError: It cannot be kept.
        """
        kept = (self._directory.read(".buildNodeID") or b"").decode("utf-8", "replace").strip()
        if kept:
            return kept
        import os

        made = os.urandom(8).hex()
        self._directory.replace(".buildNodeID", made.encode())
        return made

    def save_build(self, builder: str, node: str, ref: str, record: BuildRecord) -> None:
        """Keep what a build was made of, under its ref.

        Raises:
            StoreError: It cannot be written.
        """
        values = {
            "Target": record.target,
            "LocalPath": record.build_context,
            "DockerfilePath": record.dockerfile,
        }
        if self._directory.read("refs/version") is None and not self._directory.names(
            _BUILD_GROUPS
        ):
            self._directory.replace("refs/version", b"2")
        file = f"refs/{_part(builder)}/{_part(node)}/{_part(ref)}"
        self._directory.replace(file, format_object(values), mode=0o644, lasting=False)

    # --- inside -----------------------------------------------------------------------------

    def _load(self, file: str) -> NodeGroup | None:
        path = self._directory.path / "instances" / file
        hint = f"repair or remove {path}"
        if not is_valid(file) or file != file.lower():
            raise StoreError(f"{path} is not a builder's record", hint=hint)
        data = self._directory.read(f"instances/{file}")
        if data is None:
            return None
        try:
            return parse_group(data, file)
        except ValueError as error:
            raise StoreError(
                f"builder {file!r} has a damaged record: {error}", hint=hint
            ) from error

    def _current(self) -> _Selection | None:
        data = self._directory.read("current")
        if data is None:
            return None
        try:
            source = parse_object(data)
        except ValueError as error:
            raise StoreError(
                f"{self._directory.path / 'current'} is damaged: {error}",
                hint="choose a builder anew: dockyard use NAME",
            ) from error
        name, key = find(source, "Name"), find(source, "Key")
        return _Selection(
            key=key if isinstance(key, str) else "",
            name=name if isinstance(name, str) else "",
            everywhere=find(source, "Global") is True,
        )

    def _write_current(self, selection: _Selection) -> None:
        values = {"Key": selection.key, "Name": selection.name, "Global": selection.everywhere}
        self._directory.replace("current", format_object(values))

    def _remove_builds(self, name: str) -> None:
        for builder in sorted({name, name.lower()}):
            nodes = self._directory.names(f"refs/{builder}")
            refs = {
                ref for node in nodes for ref in self._directory.names(f"refs/{builder}/{node}")
            }
            self._directory.remove(f"refs/{builder}")
            for group in self._directory.names(_BUILD_GROUPS):
                if self._is_made_of(f"{_BUILD_GROUPS}/{group}", refs):
                    self._directory.remove(f"{_BUILD_GROUPS}/{group}")

    def _is_made_of(self, file: str, refs: set[str]) -> bool:
        try:
            members = find(parse_object(self._directory.read(file) or b""), "Refs")
        except (StoreError, ValueError):
            return False  # not ours to judge
        if not isinstance(members, list) or not members:
            return False
        return all(isinstance(ref, str) and ref.rpartition("/")[2] in refs for ref in members)


class _Selection(NamedTuple):
    key: str
    name: str
    everywhere: bool = False


_BUILD_GROUPS = "refs/__group__"


def _default_file(key: str) -> str:
    import hashlib

    return f"defaults/{hashlib.sha256(key.encode()).hexdigest()[:20]}"


def _part(name: str) -> str:
    """Give a name back when it can be one part of a path.

    Raises:
        StoreError: It cannot, or would lead elsewhere.
    """
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise StoreError(f"{name!r} cannot be a file's name")
    return name
