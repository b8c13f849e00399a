"""The parts of a policy, as they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from dockyard.building.inputs.rego.language.value import Value


class Scalar(NamedTuple):
    """A value that is written out."""

    value: Value


class Var(NamedTuple):
    """A name. After :mod:`.resolve`: ``input``, ``data``, or one that no other place uses."""

    name: str


class Ref(NamedTuple):
    """What is found by following a path."""

    head: Term
    path: tuple[Term, ...]
    line: int = 0


class Call(NamedTuple):
    """A function's result."""

    name: tuple[str, ...]
    """The parts of its name; those of a function in a policy begin with ``data``."""
    arguments: tuple[Term, ...]
    line: int = 0


class ArrayTerm(NamedTuple):
    """An array that is written out."""

    items: tuple[Term, ...]


class SetTerm(NamedTuple):
    """A set that is written out."""

    items: tuple[Term, ...]


class ObjectTerm(NamedTuple):
    """An object that is written out."""

    pairs: tuple[tuple[Term, Term], ...]


class Comprehension(NamedTuple):
    """A collection of what a body finds."""

    kind: str
    """``array``, ``set`` or ``object``."""
    heads: tuple[Term, ...]
    """The member; or key and value."""
    body: Body
    own: frozenset[str] = frozenset()
    """The variables that nobody outside sees."""


Term: TypeAlias = "Scalar | Var | Ref | Call | ArrayTerm | SetTerm | ObjectTerm | Comprehension"


class Statement(NamedTuple):
    """One condition of a body."""

    kind: str
    """``term``, ``assign``, ``unify``, ``some``, ``in``, ``every`` or ``not``."""
    terms: tuple[Term, ...]
    """What it is about, by kind: the term; both sides; names; key (or none), value and collection
    of ``in`` and ``every``."""
    body: Body = ()
    """Of ``every``; of ``not``, the one statement."""
    changes: tuple[tuple[Term, Term], ...] = ()
    """Each ``with``: what is replaced, and by what."""
    line: int = 0
    own: frozenset[str] = frozenset()


Body: TypeAlias = "tuple[Statement, ...]"


class Branch(NamedTuple):
    """A value and when it holds."""

    value: Term
    body: Body


class Rule(NamedTuple):
    """One definition of a name."""

    name: str
    path: tuple[Term, ...]
    """What follows the name in the head."""
    arguments: tuple[Term, ...] | None
    """Of a function."""
    member: Term | None
    """What a set contains."""
    branches: tuple[Branch, ...]
    """The second and later ones follow an ``else``."""
    default: bool
    file: str
    line: int


class Module(NamedTuple):
    """One file."""

    file: str
    package: tuple[str, ...]
    imports: tuple[tuple[tuple[str, ...], str], ...]
    """Paths, and the names that stand for them."""
    rules: tuple[Rule, ...]


NO_TERM = Scalar(None)
"""Stands where there is no key."""


def variables(term: Term, *, bodies: bool = True) -> Iterator[str]:
    """Give the names in a term, some more than once.

    Args:
        term: Where to look.
        bodies: Whether to look into comprehensions, too.
    """
    parts: Iterable[Term] = ()
    match term:
        case Var(name):
            yield name
        case Ref(head, path):
            parts = (head, *path)
        case Call(_, arguments):
            parts = arguments
        case ArrayTerm(items) | SetTerm(items):
            parts = items
        case ObjectTerm(pairs):
            parts = [part for pair in pairs for part in pair]
        case Comprehension() if bodies:
            parts = term.heads
    for part in parts:
        yield from variables(part, bodies=bodies)
    if bodies and isinstance(term, Comprehension):
        yield from body_variables(term.body)


def body_variables(body: Body) -> Iterator[str]:
    """Give the names in a body."""
    for statement in body:
        yield from statement_variables(statement)


def statement_variables(statement: Statement) -> Iterator[str]:
    """Give the names in a statement."""
    for term in statement.terms:
        yield from variables(term)
    yield from body_variables(statement.body)
    for target, value in statement.changes:
        yield from variables(target)
        yield from variables(value)
