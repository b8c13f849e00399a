"""The paths that have to be sent so that given paths can be followed through symbolic links.

A Dockerfile that copies ``current/app``, where ``current`` links to ``v2``, needs the link and
``v2/app`` (wire.md 5.7). Links are read as if the root of the tree were the root of everything:
an absolute target starts there and ``..`` stops there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from dockyard.errors import ContextError
from dockyard.fsutil.glob import PatternError, has_wildcard, name_regex
from dockyard.fsutil.name import display, reason
from dockyard.fsutil.patterns import clean
from dockyard.fsutil.tree import Tree

_MOST_LINKS = 255
"""Links followed one after another for one path; a longer chain is taken for a loop."""


class Links(Protocol):
    """What following needs to know of a tree."""

    def link(self, path: str) -> str | None:
        """Give a symbolic link's text; None for anything else, and for what is not there."""
        ...

    def names(self, path: str) -> Sequence[str]:
        """List a directory; nothing for anything else."""
        ...


class TreeLinks:
    """The links of a directory on disk."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def link(self, path: str) -> str | None:
        """Read a symbolic link.

        Raises:
            ContextError: It is out of reach.
        """
        parent, _, name = _raw(path).rpartition(b"/")
        try:
            text = os.readlink(name, dir_fd=self._tree.directory(parent))
        except OSError as exc:
            _refuse_unreadable(path, exc)
            return None
        return text.decode("utf-8", "surrogateescape")

    def names(self, path: str) -> Sequence[str]:
        """List a directory.

        Raises:
            ContextError: It is out of reach.
        """
        try:
            with os.scandir(self._tree.directory(_raw(path))) as found:
                names = [os.fsencode(item.name) for item in found]
        except OSError as exc:
            _refuse_unreadable(path, exc)
            return ()
        return [name.decode("utf-8", "surrogateescape") for name in names]


class NoLinks:
    """A tree without any link."""

    def link(self, path: str) -> str | None:
        return None

    def names(self, path: str) -> Sequence[str]:
        return ()


def include_list(links: Links, include: Sequence[str], follow: Sequence[str]) -> tuple[str, ...]:
    """Give the include patterns of a transfer; none means that everything is included.

    Raises:
        ContextError: A link or a directory on the way cannot be read.
    """
    if not follow:
        return tuple(include)
    followed = follow_paths(links, follow)
    if "." in (*followed, *map(clean, include)):
        return ()
    return (*include, *(path for path in followed if path not in include))


def follow_paths(links: Links, paths: Iterable[str]) -> tuple[str, ...]:
    """Give the paths, and the links and targets met on the way: sorted, none below another.

    A component with a wildcard stands for the links among the names that it matches; it is given
    back as it is. A path that does not exist is given back too.

    Raises:
        ContextError: A link or a directory on the way cannot be read.
    """
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(_inside(path), 0) for path in paths]
    while waiting:
        path, length = waiting.pop()
        for target, rest in _next_links(links, path, found):
            if (target, rest) not in seen and length < _MOST_LINKS:
                seen.add((target, rest))
                waiting.append((_inside(f"{target}/{rest}"), length + 1))
    return tuple(sorted(path for path in found if not _covered(path, found)))


def _next_links(links: Links, path: str, found: set[str]) -> Iterator[tuple[str, str]]:
    """Walk a path to its end or its first link; give the link's targets and what is left."""
    names = path.split("/")
    for count in range(1, len(names) + 1):
        current = "/".join(names[:count])
        targets = _targets(links, current)
        if targets or count == len(names):
            found.add(current)
        if targets:
            rest = "/".join(names[count:])
            yield from ((target, rest) for target in targets)
            return


def _targets(links: Links, path: str) -> list[str]:
    parent, _, name = path.rpartition("/")
    if has_wildcard(name):
        prefix = f"{parent}/" if parent else ""
        candidates = [prefix + match for match in _matching(links.names(parent), name)]
    else:
        candidates = [path]
    targets = []
    for candidate in candidates:
        text = links.link(candidate)
        if text is not None:
            above = candidate.rpartition("/")[0]
            targets.append(_inside(text if text.startswith("/") else f"{above}/{text}"))
    return targets


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    try:
        matches = name_regex(pattern).fullmatch
    except PatternError:
        return []
    return sorted(name for name in names if matches(name))


def _inside(path: str) -> str:
    """Clean a path, read from the root of the tree; the root itself is ``.``."""
    return clean(f"/{path}")[1:] or "."


def _covered(path: str, found: set[str]) -> bool:
    at = path.find("/")
    while at >= 0:
        if path[:at] in found:
            return True
        at = path.find("/", at + 1)
    return False


def _raw(path: str) -> bytes:
    return b"" if path == "." else path.encode("utf-8", "surrogateescape")


def _refuse_unreadable(path: str, error: OSError) -> None:
    if isinstance(error, PermissionError):
        raise ContextError(f"cannot read {display(path)}: {reason(error)}") from error
