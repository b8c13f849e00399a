"""Lists of ignore patterns: which paths they match, and which directories need no look at all.

The last pattern of a list that hits a path, or any directory above it, decides; ``!`` turns its
answer round. Neighbours of the same sign therefore form a group whose order does not matter, and
the number of the last group that hit is all that a directory hands down to what lies in it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from posixpath import normpath

from dockyard.fsutil.glob import (
    FLAGS,
    Glob,
    Kind,
    PatternError,
    Shape,
    Token,
    parse,
    regex,
    search_regex,
)

__all__ = ["Matcher", "PatternError", "clean", "read_ignore_file"]

# What Go calls space; str.strip() would also take the separators 0x1c to 0x1f.
_SPACE = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
UNMATCHED = -1
"""The state of a path that no pattern hit."""


def clean(path: str) -> str:
    """Give the shortest path that names the same: no ``.``, ``a/..``, double or last slash."""
    cleaned = normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def read_ignore_file(content: bytes) -> list[str]:
    """Read the patterns of a ``.dockerignore``, as the daemon's frontend does."""
    patterns = []
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        text = line.decode("utf-8", "surrogateescape").strip(_SPACE)
        if line.startswith(b"#") or not text:
            continue
        negation = "!" if text.startswith("!") else ""
        text = text.removeprefix("!").strip(_SPACE)
        if text:
            text = clean(text)
            text = text[1:] if len(text) > 1 and text.startswith("/") else text
        patterns.append(negation + text)
    return patterns


class Matcher:
    """A list of patterns, ready to be asked about many paths.

    A *state* is what ``match`` gives for a directory and takes for what lies in it.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compile the list.

        Raises:
            PatternError: One of the patterns is malformed.
        """
        signed = [_signed(text) for text in map(_trimmed, patterns) if text]
        self._groups: list[_Group] = []
        self._signs: list[bool] = []
        for positive, members in groupby(signed, lambda pair: pair[0]):
            self._signs.append(positive)
            self._groups.append(_Group([glob for _, glob in members]))
        self._any = _Group([glob for _, glob in signed])
        self._downwards = [(i, self._groups[i].hits) for i in reversed(range(len(self._groups)))]

    def __bool__(self) -> bool:
        return bool(self._groups)

    def match(self, path: str, name: str, depth: int, parent: int = UNMATCHED) -> int:
        """Give the state of a path.

        Args:
            path: The path from the root, clean.
            name: Its last component.
            depth: How many slashes it has.
            parent: The state of the directory that it lies in.
        """
        if not self._any.hits(path, name, depth):
            return parent
        for number, hits in self._downwards:
            if number <= parent:
                break
            if hits(path, name, depth):
                return number
        return parent

    def matched(self, state: int) -> bool:
        """Tell whether a path of this state is matched by the list."""
        return state >= 0 and self._signs[state]

    def matches(self, path: str) -> bool:
        """Tell whether the list matches a path; asks for every directory above it too."""
        state = UNMATCHED
        names = path.split("/")
        for depth, name in enumerate(names):
            state = self.match("/".join(names[: depth + 1]), name, depth, state)
        return self.matched(state)

    def may_change_below(self, directory: str, state: int) -> bool:
        """Tell whether something below a directory could be matched other than the directory.

        False is a proof; True only means that none was found.
        """
        sign = self.matched(state)
        return any(
            self._signs[number] is not sign and self._groups[number].may_hit_below(directory)
            for number in range(state + 1, len(self._groups))
        )


def _trimmed(pattern: str) -> str:
    text = pattern.strip(_SPACE)
    return clean(text) if text else ""


def _signed(pattern: str) -> tuple[bool, Glob]:
    if pattern == "!":
        raise PatternError('illegal exclusion pattern: "!"')
    return not pattern.startswith("!"), parse(pattern.removeprefix("!"))


class _Sorted:
    """The patterns of a group, by the cheapest way to compare them."""

    def __init__(self) -> None:
        self.exact: set[str] = set()
        self.prefixes: list[str] = []
        self.suffixes: list[str] = []
        self.names: set[str] = set()
        self.name_starts: list[str] = []
        self.name_ends: list[str] = []
        self.name_regexes: list[str] = []
        self.by_depth: dict[int, list[str]] = defaultdict(list)
        self.deep: list[str] = []
        self.searches: list[str] = []

    def add(self, glob: Glob) -> None:
        match glob.shape:
            case Shape.EXACT:
                self.exact.add(glob.text)
            case Shape.PREFIX:
                self.prefixes.append(glob.text)
            case Shape.SUFFIX:
                self._add_suffix(glob.text)
            case Shape.REGEX:
                self._add_regex(glob)

    def _add_suffix(self, text: str) -> None:
        if text.startswith("/") and "/" not in text[1:]:
            self.names.add(text[1:])
            return
        self.suffixes.append(text)
        if text.startswith("/"):
            self.exact.add(text[1:])

    def _add_regex(self, glob: Glob) -> None:
        tokens = glob.tokens
        if glob.opaque:
            self.searches.append(search_regex(glob))
        elif tokens[0].kind is Kind.DEEP and not any(token.slash for token in tokens[1:]):
            self._add_name(tokens[1:])
        elif any(token.opens for token in tokens):
            self.deep.append(regex(tokens))
        else:
            self.by_depth[sum(token.slash for token in tokens)].append(regex(tokens))

    def _add_name(self, tokens: Sequence[Token]) -> None:
        """Add a pattern that only looks at the last name, whatever the directory."""
        first, *rest = tokens
        *start, last = tokens
        if first.kind is Kind.STAR and _plain(rest):
            self.name_ends.append(_text(rest))
        elif last.kind is Kind.STAR and _plain(start):
            self.name_starts.append(_text(start))
        else:
            self.name_regexes.append(regex(tokens))


class _Group:
    """Patterns of one sign: a path is hit by any of them or by none."""

    def __init__(self, globs: Sequence[Glob]) -> None:
        self._globs = globs
        self._below: _Below | None = None
        found = _Sorted()
        for glob in globs:
            found.add(glob)
        self._exact = found.exact
        self._names = found.names
        self._starts = tuple(found.prefixes)
        self._ends = tuple(found.suffixes)
        self._name_starts = tuple(found.name_starts)
        self._name_ends = tuple(found.name_ends)
        self._name_regex = _any_of(found.name_regexes)
        self._deep = _any_of(found.deep)
        self._by_depth = {
            depth: _any_of(texts + found.deep) for depth, texts in found.by_depth.items()
        }
        self._searches = [re.compile(text, FLAGS).search for text in found.searches]

    def hits(self, path: str, name: str, depth: int) -> bool:
        """Tell whether one of the patterns hits the path itself, not a directory above it."""
        if (
            name in self._names
            or path in self._exact
            or name.endswith(self._name_ends)
            or name.startswith(self._name_starts)
            or path.startswith(self._starts)
            or path.endswith(self._ends)
        ):
            return True
        pattern = self._name_regex
        if pattern and pattern.fullmatch(name):
            return True
        pattern = self._by_depth.get(depth, self._deep)
        if pattern and pattern.fullmatch(path):
            return True
        return any(search(path) for search in self._searches) if self._searches else False

    def may_hit_below(self, directory: str) -> bool:
        if self._below is None:
            self._below = _Below(self._globs)
        return self._below.possible(directory)


class _Below:
    """Knows of which directories a group's patterns could hit something inside."""

    def __init__(self, globs: Iterable[Glob]) -> None:
        self._everywhere = False
        self._directories: set[str] = set()
        regexes: list[str] = []
        for glob in globs:
            if glob.shape in (Shape.EXACT, Shape.PREFIX):
                self._directories.update(_ancestors(glob.text))
            elif glob.shape is Shape.SUFFIX or glob.opaque:
                self._everywhere = True
            else:
                text = _directories_regex(glob.tokens)
                self._everywhere = self._everywhere or text == ".*"
                regexes.append(text)
        self._regex = _any_of([text for text in regexes if text])

    def possible(self, directory: str) -> bool:
        if self._everywhere or directory in self._directories:
            return True
        return self._regex is not None and self._regex.fullmatch(directory) is not None


def _ancestors(text: str) -> Iterator[str]:
    at = text.find("/")
    while at >= 0:
        yield text[:at]
        at = text.find("/", at + 1)


def _directories_regex(tokens: Sequence[Token]) -> str:
    """Give an expression for the directories below which the tokens could match something.

    ``a/b*/c`` gives ``a(?:/b[^/]*)?``; where the depth is open, as in ``a/**/c``, everything
    from there on. Empty if there is no such directory.
    """
    names: list[list[Token]] = [[]]
    deeper = ""
    for token in tokens:
        if token.opens:
            deeper = regex(names[-1]) + ".*"
            break
        if token.slash:
            names.append([])
        else:
            names[-1].append(token)
    texts = [regex(name) for name in names[:-1]]
    if deeper:
        texts.append(deeper)
    result = ""
    for text in reversed(texts):
        result = f"{text}(?:/{result})?" if result else text
    return result


def _plain(tokens: Sequence[Token]) -> bool:
    return bool(tokens) and all(token.kind is Kind.CHARACTER for token in tokens)


def _text(tokens: Sequence[Token]) -> str:
    return "".join(re.sub(r"\\(.)", r"\1", token.regex, flags=FLAGS) for token in tokens)


def _any_of(regexes: Sequence[str]) -> re.Pattern[str] | None:
    if not regexes:
        return None
    return re.compile("|".join(f"(?:{text})" for text in regexes), FLAGS)
