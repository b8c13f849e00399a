"""A place among tokens, from which the parser reads on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.token import Token, tokens

T = TypeVar("T")

KEYWORDS = frozenset(
    {
        "as", "contains", "default", "else", "every", "false", "if", "import", "in", "not", "null",
        "package", "some", "true", "with",
    }
)  # fmt: skip
_DEEPEST = 80


class Reader:
    """Reads tokens one after the other."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self._tokens = tokens(text, file)
        self._position = 0
        self._depth = 0

    @property
    def now(self) -> Token:
        return self._tokens[self._position]

    @property
    def following(self) -> Token:
        return self._tokens[min(self._position + 1, len(self._tokens) - 1)]

    def take(self) -> Token:
        """Give the token and go on."""
        token = self.now
        if token.kind != "end":
            self._position += 1
        return token

    def at(self, *texts: str) -> bool:
        """Say whether the token is one of these words or signs."""
        return self.now.kind in ("name", "operator") and self.now.text in texts

    def accept(self, text: str) -> bool:
        """Go past a word or sign if it is there."""
        if not self.at(text):
            return False
        self.take()
        return True

    def expect(self, text: str) -> Token:
        """Go past a word or sign that has to be there."""
        if not self.at(text):
            raise self.wrong(f"expected {text}")
        return self.take()

    def name(self) -> str:
        """Go past a name."""
        if self.now.kind != "name" or self.now.text in KEYWORDS:
            raise self.wrong("expected a name")
        return self.take().text

    def wrong(self, why: str) -> PolicyFaultError:
        """Make the error for what stands here."""
        token = self.now
        found = "the end" if token.kind == "end" else repr(token.text[:40])
        return PolicyFaultError(f"{why}, found {found}", self.file, token.line)

    def deeper(self, read: Callable[[], T]) -> T:
        """Read something that may be nested."""
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                raise self.wrong("nested too deeply")
            return read()
        finally:
            self._depth -= 1
