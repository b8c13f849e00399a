"""Named contexts (``--build-context``): their grammar, and what the daemon is told and offered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.building.grammar.reference import familiar_name
from dockyard.building.inputs.place import is_directory
from dockyard.building.inputs.source import GIT, REMOTE, check_ignore_file
from dockyard.buildkit.request import new_id
from dockyard.errors import ContextError, InputError
from dockyard.fsutil.name import reason
from dockyard.quote import in_line, quoted

if TYPE_CHECKING:
    from dockyard.session.oci_layout import OciLayout

CAPS = "frontend.caps"
_CONTEXTS = "moby.buildkit.frontend.contexts+forward"
_QUERY = "moby.buildkit.frontend.gitquerystring+forward"
_IMAGE = "docker-image://"
_LAYOUT = "oci-layout://"
_TARGET = "target:"
_TAG = r"(?a)\w[\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_TAKEN = frozenset({"context", "dockerfile"})


class NamedContexts(NamedTuple):
    """A build's named contexts, ready to be offered to BuildKit."""

    attributes: Mapping[str, str]
    """For the frontend."""
    directories: Mapping[str, Path]
    """What the session serves, by name."""
    layouts: Mapping[str, OciLayout]
    """The places for blobs that the session serves, by the names that the daemon calls them by."""

    def shared_keys(self, node_id: str) -> dict[str, str]:
        """Give the attributes by which the daemon knows the directories again.

        Args:
            node_id: The id of this machine.
        """
        return {
            f"sharedkey:localdir:{_plain(name)}": f"{path.name}:{node_id}"
            for name, path in self.directories.items()
        }


class LayoutReference(NamedTuple):
    """What ``oci-layout://PATH[:TAG][@DIGEST]`` names."""

    path: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, value: str) -> LayoutReference:
        """Take it apart. What does not look like a tag or a digest is part of the path."""
        path, digest = _cut(value.removeprefix(_LAYOUT), "@", _DIGEST)
        path, tag = _cut(path, ":", _TAG)
        return cls(path, tag or ("" if digest else "latest"), digest)


def parse_build_contexts(values: Iterable[str] | Mapping[str, str]) -> dict[str, str]:
    """Turn ``NAME=VALUE`` into a mapping, the names in their shortest form.

    Raises:
        InputError: There is no value, or the name is none that ``FROM`` could have.
    """
    pairs = values.items() if isinstance(values, Mapping) else map(_split, filter(None, values))
    found = {}
    for name, value in pairs:
        try:
            found[familiar_name(name)] = value
        except InputError as error:
            raise InputError(f"invalid context name {in_line(name)}: {error}") from error
    return found


def open_build_contexts(contexts: Mapping[str, str], here: Path) -> NamedContexts:
    """Find named contexts.

    Args:
        contexts: By name; from :func:`parse_build_contexts`.
        here: What relative paths are relative to.

    Raises:
        InputError: One cannot be used.
        ContextError: One is not there.
    """
    attributes: dict[str, str] = {}
    directories: dict[str, Path] = {}
    layouts: dict[str, OciLayout] = {}
    caps = {_CONTEXTS} if contexts else set()
    for name, value in contexts.items():
        if value.startswith(_IMAGE) or re.match(REMOTE, value):
            attributes[f"context:{name}"] = value
            if re.match(GIT, value) and "?" in value:
                caps.add(_QUERY)
        elif value.startswith(_TARGET):
            raise InputError(
                f"failed to find target {in_line(value.removeprefix(_TARGET))} for context {name}",
                hint="only bake knows other targets",
            )
        elif value.startswith(_LAYOUT):
            store = new_id()
            attributes[f"context:{name}"], layouts[f"oci:{store}"] = _layout(value, here, store)
        else:
            served = f"_{name}" if name in _TAKEN else name
            directories[served] = _directory(name, value, here)
            attributes[f"context:{name}"] = f"local:{served}"
    if caps:
        attributes[CAPS] = ",".join(sorted(caps))
    return NamedContexts(attributes, directories, layouts)


def join_caps(*attributes: Mapping[str, str]) -> dict[str, str]:
    """Put attributes together; what each asks of the frontend is asked for by all."""
    joined: dict[str, str] = {}
    caps: set[str] = set()
    for each in attributes:
        joined |= each
        caps.update(filter(None, each.get(CAPS, "").split(",")))
    if caps:
        joined[CAPS] = ",".join(sorted(caps))
    return joined


def _split(value: str) -> tuple[str, str]:
    name, equals, text = value.partition("=")
    if not equals:
        raise InputError(f"invalid context value: {in_line(value)}, expected key=value")
    return name, text


def _plain(served: str) -> str:
    """Give the name of a context that is served under another one."""
    return served[1:] if served[1:] in _TAKEN else served


def _directory(name: str, value: str, here: Path) -> Path:
    path = here / value
    if value and is_directory(path):
        check_ignore_file(path / ".dockerignore")
        return path.resolve()
    why = "no such file or directory"
    if value:
        try:
            path.stat()
        except (OSError, ValueError) as error:
            why = reason(error)
        else:
            shown = f"{{{in_line(value)} <nil>}}"
            raise ContextError(f"failed to get build context path {shown}: not a directory")
    raise ContextError(f"failed to get build context {name}: stat {in_line(value)}: {why}")


def _layout(value: str, here: Path, store: str) -> tuple[str, OciLayout]:
    """Give what the daemon is told of a layout, and the place of its blobs."""
    from dockyard.session.oci_layout import ReadOnlyLayout

    if "\0" in value:
        raise _unresolved(value, "there is no such path")
    reference = LayoutReference.parse(value)
    layout = ReadOnlyLayout(here / reference.path, reference.path)
    digest = reference.digest or _digest(layout, reference.tag, value)
    tag = f":{reference.tag}" if reference.tag else ""
    return f"{_LAYOUT}{store}{tag}@{digest}", layout


def _digest(layout: OciLayout, tag: str, value: str) -> str:
    from dockyard.session.content_store import is_digest
    from dockyard.session.oci_graph import UnreadableError
    from dockyard.session.oci_index import find, only

    try:
        entry = find(layout, tag) or only(layout)
    except UnreadableError as error:
        raise _unresolved(value, str(error)) from error
    if entry is None:
        raise _unresolved(value, f"failed to resolve digest: nothing in it is called {tag}")
    digest = str(entry.get("digest", ""))
    if not is_digest(digest):
        raise _unresolved(value, f"invalid digest {digest[:100]}")
    return digest


def _unresolved(value: str, why: str) -> ContextError:
    return ContextError(f"oci-layout reference {quoted(value)} could not be resolved: {why}")


def _cut(text: str, mark: str, pattern: str) -> tuple[str, str]:
    """Cut off what follows the last mark, if it is what it has to be."""
    head, found, tail = text.rpartition(mark)
    return (head, tail) if found and re.fullmatch(pattern, tail) else (text, "")
