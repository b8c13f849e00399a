"""Reading terms: values, references, calls, operators, comprehensions."""

from __future__ import annotations

from collections.abc import Callable

from dockyard.building.inputs.rego.language.reader import KEYWORDS, Reader
from dockyard.building.inputs.rego.language.tree import (
    ArrayTerm,
    Body,
    Call,
    Comprehension,
    ObjectTerm,
    Ref,
    Scalar,
    SetTerm,
    Term,
    Var,
)

_LEVELS: tuple[dict[str, str], ...] = (
    {"==": "equal", "!=": "neq", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"},
    {"|": "or"},
    {"&": "and"},
    {"+": "plus", "-": "minus"},
    {"*": "mul", "/": "div", "%": "rem"},
)
"""The operators and their functions, the loosest first; ``in`` is looser still."""
_OR = 1
"""The level that means something else at the head of a comprehension."""
_CONSTANTS = {"true": True, "false": False, "null": None}

ReadBody = Callable[[str], Body]
"""Reads statements up to a closing sign, and goes past it."""


class Expressions:
    """Reads terms from tokens."""

    def __init__(self, reader: Reader, read_body: ReadBody) -> None:
        self._reader = reader
        self._read_body = read_body
        self._wildcards = 0

    def term(self, *, alone: bool = True) -> Term:
        """Read a term with all its operators.

        Args:
            alone: Whether ``|`` joins sets here; after the head of a comprehension it does not.
        """
        return self._reader.deeper(lambda: self._membership(alone=alone))

    def _membership(self, *, alone: bool) -> Term:
        left = self._level(0, alone=alone)
        while self._reader.at("in"):
            line = self._reader.take().line
            left = Call(("internal", "member_2"), (left, self._level(0, alone=alone)), line)
        return left

    def _level(self, level: int, *, alone: bool) -> Term:
        if level == len(_LEVELS):
            return self.factor()
        if level == _OR and not alone:
            return self._level(level + 1, alone=alone)
        left = self._level(level + 1, alone=alone)
        operators = _LEVELS[level]
        while self._reader.at(*operators):
            token = self._reader.take()
            right = self._level(level + 1, alone=alone)
            left = Call((operators[token.text],), (left, right), token.line)
        return left

    # --- without operators ------------------------------------------------------------------

    def factor(self) -> Term:
        """Read a term without operators, with what is appended to it."""
        return self._reader.deeper(self._factor)

    def _factor(self) -> Term:
        reader, token = self._reader, self._reader.now
        if token.kind == "number":
            return Scalar(_number(reader.take().text))
        if reader.at("-") and reader.following.kind == "number" and reader.following.glued:
            reader.take()
            return Scalar(-_number(reader.take().text))
        if token.kind == "string":
            return self._appended(Scalar(reader.take().text), token.line)
        if token.kind == "name":
            return self._named()
        if reader.accept("("):
            inner = self.term()
            reader.expect(")")
            return inner
        if reader.accept("["):
            return self._appended(self._array(), token.line)
        if reader.accept("{"):
            return self._appended(self._braces(), token.line)
        raise reader.wrong("expected a term")

    def _named(self) -> Term:
        reader = self._reader
        token = reader.take()
        if token.text in _CONSTANTS:
            return Scalar(_CONSTANTS[token.text])
        if token.text == "set" and self._glued("(") and reader.following.text == ")":
            reader.take()
            reader.take()
            return SetTerm(())
        if token.text in KEYWORDS - {"contains"}:
            raise reader.wrong(f"unexpected word {token.text!r}")
        if token.text == "_":
            self._wildcards += 1
            return self._appended(Var(f"$_{self._wildcards}"), token.line)
        return self._appended(Var(token.text), token.line)

    def _glued(self, text: str) -> bool:
        return self._reader.at(text) and self._reader.now.glued

    def _appended(self, head: Term, line: int) -> Term:
        """Read what follows without a blank: ``.name``, ``[term]``, ``(arguments)``."""
        reader = self._reader
        path: list[Term] = []
        while True:
            if self._glued("."):
                reader.take()
                token = reader.take()
                if token.kind != "name" or not token.glued:
                    raise reader.wrong("expected a name after the dot")
                path.append(Scalar(token.text))
            elif self._glued("["):
                reader.take()
                path.append(self.term())
                reader.expect("]")
            elif self._glued("("):
                head, path = self._call(head, path, line), []
            else:
                return Ref(head, tuple(path), line) if path else head

    def _call(self, head: Term, path: list[Term], line: int) -> Term:
        reader = self._reader
        names = [part.value for part in path if isinstance(part, Scalar)]
        words = [name for name in names if isinstance(name, str)]
        if not isinstance(head, Var) or len(words) != len(path):
            raise reader.wrong("only what has a name can be called")
        reader.take()
        arguments = self._listed(")")
        return Call((head.name, *words), tuple(arguments), line)

    def _listed(self, end: str, first: Term | None = None) -> list[Term]:
        """Read terms with commas between them, up to a closing sign."""
        reader = self._reader
        found = [] if first is None else [first]
        if first is not None and not reader.at(end):
            reader.expect(",")
        while not reader.accept(end):
            found.append(self.term())
            if not reader.at(end):
                reader.expect(",")
        return found

    # --- collections ------------------------------------------------------------------------

    def _array(self) -> Term:
        reader = self._reader
        if reader.accept("]"):
            return ArrayTerm(())
        head = self.term(alone=False)
        if reader.accept("|"):
            return Comprehension("array", (head,), self._read_body("]"))
        return ArrayTerm(tuple(self._listed("]", head)))

    def _braces(self) -> Term:
        reader = self._reader
        if reader.accept("}"):
            return ObjectTerm(())
        head = self.term(alone=False)
        if reader.accept("|"):
            return Comprehension("set", (head,), self._read_body("}"))
        if not reader.accept(":"):
            return SetTerm(tuple(self._listed("}", head)))
        value = self.term(alone=False)
        if reader.accept("|"):
            return Comprehension("object", (head, value), self._read_body("}"))
        return self._object(head, value)

    def _object(self, key: Term, value: Term) -> Term:
        reader = self._reader
        pairs = [(key, value)]
        while not reader.accept("}"):
            reader.expect(",")
            if reader.accept("}"):
                break
            key = self.term()
            reader.expect(":")
            pairs.append((key, self.term()))
        return ObjectTerm(tuple(pairs))


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)
