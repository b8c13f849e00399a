r"""One ignore pattern: checked, cut into tokens, turned into a regular expression.

The grammar is that of wire.md 5.9, with its oddities: a pattern without any special character is
compared as text; one with is a regular expression in which ``{2}``, ``|`` and ``^`` keep their
meaning there, because the escaping in the original misses them. ``**`` at the very start or end
of an otherwise plain pattern compares the end or the start of a path.

Not carried over: in the original ``*`` and ``?`` inside ``[...]`` tear the class apart, and
``\d`` means a digit. Here a class is a class and ``\d`` is the letter d.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

FLAGS = re.DOTALL
_REPEAT = r"\{(\d{1,4})(,(\d{0,4}))?\}"
_LONGEST_REPEAT = len("{1000,1000}")
_MOST_REPEATS = 1000


class PatternError(ValueError):
    """A pattern breaks the grammar; the message says which and how."""


class Shape(Enum):
    """How a pattern is compared with a path."""

    EXACT = auto()
    """The path is the text."""
    PREFIX = auto()
    """The path starts with the text."""
    SUFFIX = auto()
    """The path ends with the text; a text that starts with ``/`` may also be the whole path."""
    REGEX = auto()


class Kind(Enum):
    """What a token is."""

    CHARACTER = auto()
    ANY = auto()
    CLASS = auto()
    STAR = auto()
    DEEP = auto()
    """``**`` with the slash after it: any directories, or none."""
    REST = auto()
    """``**`` at the end."""
    OPERATOR = auto()
    """A character that means something to regular expressions and was never escaped."""


class Token(NamedTuple):
    """A piece of a pattern."""

    kind: Kind
    regex: str
    slash: bool = False
    """Whether it can match a ``/``."""

    @property
    def opens(self) -> bool:
        """Whether it can match more than the rest of one name, so that depth is unknown."""
        return self.slash and self.regex != "/"


_STAR = Token(Kind.STAR, "[^/]*")
_DEEP = Token(Kind.DEEP, "(?:.*/)?", slash=True)
_REST = Token(Kind.REST, ".*", slash=True)


class Glob(NamedTuple):
    """A pattern without its ``!``, ready to be compared."""

    text: str
    """What EXACT, PREFIX and SUFFIX compare with; the pattern itself otherwise."""
    shape: Shape
    tokens: tuple[Token, ...] = ()
    """Only of a REGEX."""

    @property
    def opaque(self) -> bool:
        """Whether only the regular expression as a whole, searched for, has a meaning."""
        return any(token.kind is Kind.OPERATOR for token in self.tokens)


def parse(pattern: str) -> Glob:
    """Read a pattern that was trimmed, cleaned and freed of its ``!``.

    Raises:
        PatternError: It is malformed.
    """
    check_syntax(pattern)
    tokens, special = _scan(pattern)
    if special:
        _try_compile(pattern, tokens)
        return Glob(text=pattern, shape=Shape.REGEX, tokens=_merged(tokens))
    if pattern.startswith("**"):
        return Glob(text=pattern[2:], shape=Shape.SUFFIX)
    if pattern.endswith("**"):
        return Glob(text=pattern[:-2], shape=Shape.PREFIX)
    return Glob(text=pattern, shape=Shape.EXACT)


def name_regex(pattern: str) -> re.Pattern[str]:
    """Compile a pattern for one name, in which ``**`` is just two stars.

    Raises:
        PatternError: It is malformed.
    """
    check_syntax(pattern)
    tokens, _ = _scan(pattern, one_name=True)
    _try_compile(pattern, tokens)
    return re.compile(regex(tokens), FLAGS)


def has_wildcard(text: str) -> bool:
    """Tell whether a path's component has ``*``, ``?`` or ``[`` that no backslash precedes."""
    return re.search(r"(?<!\\)(?:\\\\)*[*?\[]", text) is not None


def regex(tokens: Sequence[Token]) -> str:
    """Join tokens into a regular expression for ``fullmatch``.

    Between two stars of one name the shortest match is as good as any, so there is no way back
    into it: else a few stars could make a match take minutes.
    """
    parts: list[str] = []
    star = -1
    fixed = False
    for token in tokens:
        if token.kind is Kind.STAR and star >= 0 and fixed:
            parts[star] = "(?>[^/]*?"
            parts.append(")")
        if token.kind is Kind.STAR:
            star, fixed = len(parts), True
        elif token.slash or token.kind is Kind.OPERATOR:
            fixed = False
        parts.append(token.regex)
    return "".join(parts)


def search_regex(glob: Glob) -> str:
    """Give the regular expression of an opaque pattern, for ``search``."""
    return "^" + "".join(token.regex for token in glob.tokens) + r"\Z"


def check_syntax(pattern: str) -> None:
    """Refuse what Go's ``filepath.Match`` refuses.

    Raises:
        PatternError: An open or empty ``[...]``, a range without an end, a last backslash.
    """
    at, end = 0, len(pattern)
    while at < end:
        if pattern[at] == "\\":
            if at + 1 == end:
                raise _syntax_error(pattern)
            at += 2
        elif pattern[at] == "[":
            at, _ = _scan_class(pattern, at)
        else:
            at += 1


def _syntax_error(pattern: str) -> PatternError:
    return PatternError(f'invalid pattern "{pattern}": syntax error in pattern')


def _try_compile(pattern: str, tokens: Sequence[Token]) -> None:
    try:
        re.compile("".join(token.regex for token in tokens), FLAGS)
    except re.error as exc:
        raise _syntax_error(pattern) from exc


def _scan(pattern: str, *, one_name: bool = False) -> tuple[list[Token], bool]:
    """Cut a pattern into tokens, and tell whether it is a regular expression at all."""
    tokens: list[Token] = []
    special = False
    at, end = 0, len(pattern)
    while at < end:
        char = pattern[at]
        if not one_name and pattern.startswith("**", at):
            first = at == 0
            at += 3 if pattern.startswith("/", at + 2) else 2
            if at < end:
                tokens.append(_DEEP)
                special = special or not first
            else:
                tokens.append(_REST)
                # At the end it only makes an expression of what is none by another reason.
                special = special or (not first and pattern.startswith("**"))
            continue
        if char == "[":
            at, token = _scan_class(pattern, at)
        elif char == "\\":
            token = Token(Kind.CHARACTER, re.escape(pattern[at + 1]), pattern[at + 1] == "/")
            at += 2
        elif char == "{" and not one_name and (repeat := _match_repeat(pattern, at)):
            token = Token(Kind.OPERATOR, _repeat(pattern, repeat))
            at += repeat.end()
        else:
            token = _one(char, one_name=one_name)
            at += 1
        special = special or char in "*?[]\\"
        tokens.append(token)
    return tokens, special


def _one(char: str, *, one_name: bool) -> Token:
    if char == "*":
        return _STAR
    if char == "?":
        return Token(Kind.ANY, "[^/]")
    if char in "|^" and not one_name:
        return Token(Kind.OPERATOR, char)
    return Token(Kind.CHARACTER, re.escape(char), char == "/")


def _match_repeat(pattern: str, at: int) -> re.Match[str] | None:
    # Not compiled when the module is imported: hardly any pattern has one.
    return re.match(_REPEAT, pattern[at : at + _LONGEST_REPEAT])


def _repeat(pattern: str, found: re.Match[str]) -> str:
    low, high = found[1], found[3]
    if max(int(low), int(high or 0)) > _MOST_REPEATS:
        raise _syntax_error(pattern)
    return found[0]


def _scan_class(pattern: str, at: int) -> tuple[int, Token]:
    """Read ``[...]``; give where it ends and its token."""
    at += 1
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern.startswith("]", at)):
        at, low = _class_character(pattern, at)
        high = low
        if pattern.startswith("-", at):
            at, high = _class_character(pattern, at + 1)
        ranges.append((low, high))
    body = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges)
    slash = any(low <= "/" <= high for low, high in ranges) is not negated
    return at + 1, Token(Kind.CLASS, f"[{'^' if negated else ''}{body}]", slash)


def _class_character(pattern: str, at: int) -> tuple[int, str]:
    escaped = pattern.startswith("\\", at)
    at += escaped
    if at >= len(pattern) or (not escaped and pattern[at] in "-]"):
        raise _syntax_error(pattern)
    return at + 1, pattern[at]


def _merged(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Make one of ``**/**/``, which means the same and would be tried in every division."""
    kept = [a for a, b in itertools.pairwise((*tokens, None)) if not (a is _DEEP and b is _DEEP)]
    return tuple(token for token in kept if token is not None)
