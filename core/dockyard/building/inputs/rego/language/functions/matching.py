r"""Looking for regular expressions with Google's RE2, whose kind of expressions Rego has.

Python's own differ where it matters (``$`` matches before a last line's end, ``\d`` means more
digits), and can take for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from types import ModuleType

from dockyard.building.inputs.rego.language.fault import PolicyFaultError, WrongOperandError

_LONGEST = 1 << 16
"""Characters of an expression."""
_MEMORY = 4 << 20
"""Bytes for one expression; RE2 keeps 128 of them."""
_MOST = 100_000_000
"""The size of an expression times that of a text: at worst two seconds, which nothing can end."""
_SECONDS = 2.0
"""For all matches in a text together."""

Spans = tuple[int, ...]
"""Begin and end of the whole and of each group; -1 for what did not match."""


class Pattern:
    """A regular expression that can be looked for."""

    def __init__(self, text: str) -> None:
        """Read an expression.

        Raises:
            WrongOperandError: It is none.
            PolicyFaultError: It is too large, or RE2 is not there.
        """
        re2, text = _library(), _encodable(text)
        if len(text) > _LONGEST:
            raise _too_large()
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MEMORY
        try:
            self._regexp = re2.compile(text, options)
        except re2.error as error:
            if "too large" in str(error):
                raise _too_large() from error
            raise WrongOperandError from error
        _check_dialect(text)
        self.names: dict[str, int] = self._regexp.groupindex
        self._size: int = self._regexp.programsize * (1 + self._regexp.groups)

    def matches(self, text: str) -> bool:
        """Say whether it is anywhere in a text."""
        return next(self.find_all(text, 1), None) is not None

    def find_all(self, text: str, most: int = -1) -> Iterator[Spans]:
        """Give where it is in a text, from the left; no two of them overlap."""
        data = _encodable(text).encode()
        if self._size * len(data) > _MOST:
            raise _too_long()
        place, char = 0, 0
        for spans in islice(self._found(data), most if most >= 0 else None):
            begin = spans[0]
            char += len(data[place:begin].decode())
            place = begin
            yield tuple(at if at < 0 else char + len(data[begin:at].decode()) for at in spans)

    def _found(self, data: bytes) -> Iterator[Spans]:
        """Give where it is, in bytes."""
        from time import monotonic

        at, before, last = 0, -1, monotonic() + _SECONDS
        while at <= len(data):
            if monotonic() > last:
                raise _too_long()
            found = self._regexp.search(data, at)
            if found is None:
                return
            begin, end = found.span()
            if data[begin : begin + 1] and data[begin] & 0xC0 == 0x80:
                at = _next(data, begin)  # RE2 takes the middle of a character for a \B
                continue
            accepted = begin != end or begin != before  # not empty right behind another
            at, before = _next(data, end) if end == at else end, end
            if accepted:
                spans = (found.span(group) for group in range(self._regexp.groups + 1))
                yield tuple(chain.from_iterable(spans))


def _next(data: bytes, at: int) -> int:
    """Give where the next character begins."""
    at += 1
    while at < len(data) and data[at] & 0xC0 == 0x80:
        at += 1
    return at


def _too_long() -> PolicyFaultError:
    return PolicyFaultError("a regular expression takes too long")


def _too_large() -> PolicyFaultError:
    return PolicyFaultError("a regular expression is too large")


def _encodable(text: str) -> str:
    """Replace halves of characters, which JSON can have, as Open Policy Agent does."""
    import re

    return text if text.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", text)


def _library() -> ModuleType:
    missing = "regex.* and glob.match need google-re2: pip install 'dockyard[policy]'"
    try:
        import re2
    except ImportError as error:
        raise PolicyFaultError(missing) from error
    library: ModuleType = re2
    if not hasattr(library, "Options"):  # another package of that name
        raise PolicyFaultError(missing)
    return library


def _check_dialect(text: str) -> None:
    r"""Refuse what Rego does not have though RE2 does: ``\C`` and odd names of groups.

    Two groups of one name it has, but RE2 tells of the first only.
    """
    import re

    plain = re.sub(r"\\Q.*?(?:\\E|\Z)|\\[^C]", "x", text, flags=re.DOTALL)
    plain = re.sub(r"\[\^?\]?(?:\[:\^?\w+:\]|[^\]])*+\]", "x", plain)
    names = re.findall(r"\(\?P?<([^>]*)>", plain)
    if "\\C" in plain or not "".join(names).isascii():
        raise WrongOperandError
    if len(names) > len(set(names)):
        raise PolicyFaultError("a regular expression with two groups of one name")
