"""What names mean: variables, arguments, imports, rules, functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.negation import parted
from dockyard.building.inputs.rego.language.tree import (
    ArrayTerm,
    Body,
    Call,
    Comprehension,
    Module,
    ObjectTerm,
    Ref,
    Rule,
    Scalar,
    SetTerm,
    Statement,
    Term,
    Var,
    variables,
)

WILD = "$"
"""How the names of variables begin that stand in one place only."""
ROOTS = frozenset({"input", "data"})
PRINT = "print"


class Names:
    """The names that a whole file knows."""

    def __init__(
        self,
        module: Module,
        arities: Mapping[tuple[str, ...], int | None],
        functions: Mapping[str, int],
    ) -> None:
        self.file = module.file
        self._package = module.package
        self._imports = {alias: path for path, alias in module.imports}
        self._arities = arities
        self._functions = functions
        self.numbers = count(1)

    def path(self, name: str) -> tuple[str, ...] | None:
        """Give the path from ``input`` or ``data`` that a name stands for."""
        if name in self._imports:
            return self._imports[name]
        if (*self._package, name) in self._arities:
            return ("data", *self._package, name)
        return (name,) if name in ROOTS else None

    def function(self, call: Call) -> Call:
        """Give a call with the whole name of the function.

        Raises:
            PolicyFaultError: There is no such function.
        """
        path = self.path(call.name[0])
        name = call.name if path is None else (*path, *call.name[1:])
        given = len(call.arguments)
        if name[0] == "data":
            arity = self._arities.get(name[1:])
        elif name == (PRINT,):
            arity = given
        else:
            arity = self._functions.get(".".join(name))
        if arity is None:
            message = f"there is no function {'.'.join(call.name)}"
            raise PolicyFaultError(message, self.file, call.line)
        if arity != given:
            message = f"{'.'.join(call.name)} takes {arity} arguments, not {given}"
            raise PolicyFaultError(message, self.file, call.line)
        return call._replace(name=name)


class Scope:
    """The variables of one body, inside of another's."""

    def __init__(self, names: Names, rule: Rule, outer: Scope | None = None) -> None:
        self._names = names
        self._rule = rule
        self._outer = outer
        self._own: dict[str, str] = {}
        self._below: set[str] = set()

    def inner(self) -> Scope:
        return Scope(self._names, self._rule, self)

    @property
    def own(self) -> frozenset[str]:
        """All variables that nobody outside sees."""
        return frozenset(self._own.values()) | self._below

    def declare(self, names: Iterable[str]) -> None:
        """Make variables of this scope."""
        for name in names:
            if name not in self._own and not name.startswith(WILD):
                self._own[name] = f"{name}#{next(self._names.numbers)}"

    def enter(self, body: Body, heads: Iterable[Term]) -> None:
        """Find the variables of a body, and of what stands before it."""
        assigned: set[str] = set()
        for statement in body:
            if statement.kind in ("some", "assign", "in"):
                targets = statement.terms
                if statement.kind == "assign":
                    targets = targets[:1]
                elif statement.kind == "in":
                    targets = targets[:2]
                names = {name for term in targets for name in _targets(term)}
                if assigned & names and statement.kind == "assign":
                    self._fail(f"{min(assigned & names)} is assigned twice", statement.line)
                if statement.kind == "assign":
                    assigned |= names
                self.declare(names)
        for statement in body:
            self._enter_statement(statement)
        for term in heads:
            self._enter_term(term)

    def _enter_statement(self, statement: Statement) -> None:
        terms = statement.terms[2:] if statement.kind == "every" else statement.terms
        for term in terms:
            self._enter_term(term)
        for target, value in statement.changes:
            self._enter_term(target)
            self._enter_term(value)
        if statement.kind == "not":
            for inner in statement.body:
                self._enter_statement(inner)

    def _enter_term(self, term: Term) -> None:
        """Make variables of the names that mean nothing else."""
        self.declare(name for name in variables(term, bodies=False) if self._known(name) is None)

    def _known(self, name: str) -> Term | None:
        if name in self._own:
            return Var(self._own[name])
        if self._outer is not None:
            return self._outer._known(name)  # noqa: SLF001  # another of this class
        path = self._names.path(name)
        if path is None:
            return None
        root = Var(path[0])
        return Ref(root, tuple(map(Scalar, path[1:]))) if path[1:] else root

    # --- with the names' meaning ------------------------------------------------------------

    def term(self, term: Term) -> Term:
        """Give a term in which each name is unique."""
        match term:
            case Var(name):
                return term if name.startswith(WILD) else self._known(name) or term
            case Ref(head, path, line):
                head = self.term(head)
                parts = tuple(map(self.term, path))
                if isinstance(head, Ref):
                    return Ref(head.head, (*head.path, *parts), line)
                return Ref(head, parts, line)
            case Call(_, arguments):
                call = self._names.function(term)
                return call._replace(arguments=tuple(map(self.term, arguments)))
            case ArrayTerm(items):
                return ArrayTerm(tuple(map(self.term, items)))
            case SetTerm(items):
                return SetTerm(tuple(map(self.term, items)))
            case ObjectTerm(pairs):
                return ObjectTerm(tuple((self.term(k), self.term(v)) for k, v in pairs))
            case Comprehension(_, heads, body):
                scope = self.inner()
                scope.enter(body, heads)
                found = term._replace(heads=tuple(map(scope.term, heads)), body=scope.body(body))
                self._below |= scope.own
                return found._replace(own=scope.own)
        return term

    def body(self, body: Body) -> Body:
        """Give a body in which each name is unique, without what only declares names."""
        found: list[Statement] = []
        for one in body:
            if one.kind == "not":
                found += parted(self._statement(one), self._new_name)
            elif one.kind != "some":
                found.append(self._statement(one))
        return tuple(found)

    def _new_name(self) -> str:
        name = f"not#{next(self._names.numbers)}"
        self._own[name] = name
        return name

    def _statement(self, statement: Statement) -> Statement:
        changes = tuple(
            (self._target(target, statement.line), self.term(value))
            for target, value in statement.changes
        )
        statement = statement._replace(changes=changes)
        if statement.kind == "not":
            return statement._replace(body=tuple(map(self._statement, statement.body)))
        if statement.kind != "every":
            return statement._replace(terms=tuple(map(self.term, statement.terms)))
        key, value, domain = statement.terms
        scope = self.inner()
        scope.declare(name for term in (key, value) for name in variables(term))
        scope.enter(statement.body, ())
        found = statement._replace(
            terms=(scope.term(key), scope.term(value), self.term(domain)),
            body=scope.body(statement.body),
        )
        self._below |= scope.own
        return found._replace(own=scope.own)

    def _target(self, target: Term, line: int) -> Term:
        """Give what ``with`` replaces: ``input``, something in it, or a rule."""
        found = self.term(target)
        match found:
            case Var("input"):
                return found
            case Ref(Var("input" | "data"), path) if all(isinstance(p, Scalar) for p in path):
                return found
        self._fail("only input and rules can be replaced, by with", line)
        return found

    def _fail(self, message: str, line: int) -> None:
        raise PolicyFaultError(message, self._rule.file, line)


def _targets(term: Term) -> Iterable[str]:
    """Give the names that a pattern declares."""
    match term:
        case Var(name):
            yield name
        case ArrayTerm(items):
            for item in items:
                yield from _targets(item)
        case ObjectTerm(pairs):
            for _, value in pairs:
                yield from _targets(value)
        case _:
            pass
