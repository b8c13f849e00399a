"""Reading a file: its package, its imports, its rules and their bodies."""

from __future__ import annotations

from dockyard.building.inputs.rego.language.expression import Expressions
from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.reader import Reader
from dockyard.building.inputs.rego.language.tree import (
    NO_TERM,
    Body,
    Branch,
    Call,
    Module,
    Ref,
    Rule,
    Scalar,
    Statement,
    Term,
    Var,
)

_TRUE = Scalar(value=True)
_ROOTS = ("data", "input")
_FEATURES = ("rego", "future")
"""Where the language's own features are imported from; they are all there."""


def parse(text: str, file: str) -> Module:
    """Read a policy.

    Args:
        text: Its content.
        file: Its name, for errors.

    Raises:
        PolicyFaultError: It is no Rego of version 1, or has something that is not supported.
    """
    try:
        return _Parser(text, file).module()
    except RecursionError as error:
        raise PolicyFaultError("nested too deeply", file) from error


class _Parser:
    """Reads one file."""

    def __init__(self, text: str, file: str) -> None:
        self._reader = Reader(text, file)
        self._expressions = Expressions(self._reader, self._body)
        self._file = file

    def module(self) -> Module:
        reader = self._reader
        reader.expect("package")
        package = self._dotted()
        imports: list[tuple[tuple[str, ...], str]] = []
        rules: list[Rule] = []
        while reader.now.kind != "end":
            if not reader.now.first and not reader.accept(";"):
                raise reader.wrong("expected a new line")
            if reader.at("import"):
                imports += self._import()
            elif reader.now.kind != "end":
                rules.append(self._rule())
        return Module(self._file, package, tuple(imports), tuple(rules))

    def _fault(self, message: str) -> PolicyFaultError:
        return PolicyFaultError(message, self._file, self._reader.now.line)

    def _dotted(self) -> tuple[str, ...]:
        """Read names with dots between them, or in brackets."""
        reader = self._reader
        found = [reader.name()]
        while reader.now.glued and reader.at(".", "["):
            if reader.take().text == ".":
                found.append(reader.take().text)
                continue
            if reader.now.kind != "string":
                raise reader.wrong("expected a text")
            found.append(reader.take().text)
            reader.expect("]")
        return tuple(found)

    def _import(self) -> list[tuple[tuple[str, ...], str]]:
        reader = self._reader
        reader.take()
        path = self._dotted()
        alias = reader.name() if reader.accept("as") else path[-1]
        if path[0] in _FEATURES:
            return []
        if path[0] not in _ROOTS:
            raise reader.wrong("what is imported has to begin with data or input")
        return [(path, alias)]

    # --- rules ------------------------------------------------------------------------------

    def _rule(self) -> Rule:
        reader = self._reader
        line = reader.now.line
        default = reader.accept("default")
        head = self._expressions.factor()
        name, path, arguments = self._head(head)
        member = None
        value: Term = _TRUE
        if reader.accept("contains"):
            member = self._expressions.term()
        elif reader.at(":=", "="):
            reader.take()
            value = self._expressions.term()
        elif default:
            raise reader.wrong("a default has to have a value")
        body = self._condition()
        if not body and reader.at("{"):
            raise reader.wrong("expected if before a rule's body")
        branches = [Branch(value, body), *self._others()]
        return Rule(name, path, arguments, member, tuple(branches), default, self._file, line)

    def _head(self, head: Term) -> tuple[str, tuple[Term, ...], tuple[Term, ...] | None]:
        """Take a rule's head apart: name, path behind it, arguments."""
        match head:
            case Var(name):
                return name, (), None
            case Ref(Var(name), path):
                return name, path, None
            case Call(names, arguments):
                return names[0], tuple(map(Scalar, names[1:])), arguments
        raise self._fault("expected the name of a rule")

    def _condition(self) -> Body:
        """Read what follows ``if``, if there is one."""
        reader = self._reader
        if not reader.accept("if"):
            return ()
        if reader.at("{"):
            return self._braced()
        return (self._statement(),)

    def _braced(self) -> Body:
        self._reader.expect("{")
        return self._body("}")

    def _others(self) -> list[Branch]:
        found: list[Branch] = []
        while self._reader.accept("else"):
            value: Term = _TRUE
            if self._reader.at(":=", "="):
                self._reader.take()
                value = self._expressions.term()
            found.append(Branch(value, self._condition()))
        return found

    # --- bodies -----------------------------------------------------------------------------

    def _body(self, end: str) -> Body:
        """Read statements up to a closing sign, and go past it."""
        reader = self._reader
        found: list[Statement] = []
        while not reader.accept(end):
            found.append(reader.deeper(self._statement))
            parted = reader.now.first or reader.at(end)
            while reader.accept(";"):
                parted = True
            if not parted:
                raise reader.wrong(f"expected a new line, ; or {end}")
        if not found:
            raise self._fault("a body without conditions")
        return tuple(found)

    def _statement(self) -> Statement:
        reader = self._reader
        line = reader.now.line
        if reader.at("some"):
            statement = self._some()
        elif reader.at("every"):
            statement = self._every()
        elif reader.accept("not"):
            inner = self._statement()
            if inner.kind not in ("term", "unify"):
                raise self._fault("not is followed by a condition")
            # What is replaced is replaced around the whole.
            statement = Statement("not", (), (inner._replace(changes=()),), changes=inner.changes)
        else:
            statement = self._plain()
        return statement._replace(changes=(*statement.changes, *self._changes()), line=line)

    def _plain(self) -> Statement:
        reader = self._reader
        left = self._expressions.term()
        if reader.at(",") and not reader.now.first:
            return self._member_with_key(left)
        if reader.accept(":="):
            return Statement("assign", (left, self._expressions.term()))
        if reader.accept("="):
            return Statement("unify", (left, self._expressions.term()))
        return Statement("term", (left,))

    def _member_with_key(self, key: Term) -> Statement:
        """Read the rest of ``key, value in collection``."""
        reader = self._reader
        line = reader.take().line
        match self._expressions.term():
            case Call(("internal", "member_2"), (value, collection)):
                call = Call(("internal", "member_3"), (key, value, collection), line)
                return Statement("term", (call,))
        raise self._fault("expected: key, value in collection")

    def _some(self) -> Statement:
        reader = self._reader
        reader.expect("some")
        terms = [self._expressions.term()]
        while reader.accept(","):
            terms.append(self._expressions.term())
        match terms:
            case [Call(("internal", "member_2"), (value, collection))]:
                return Statement("in", (NO_TERM, value, collection))
            case [key, Call(("internal", "member_2"), (value, collection))]:
                return Statement("in", (key, value, collection))
        if not all(isinstance(term, Var) for term in terms):
            raise self._fault("some is followed by names, or by: value in collection")
        return Statement("some", tuple(terms))

    def _every(self) -> Statement:
        reader = self._reader
        reader.expect("every")
        names = [reader.name()]
        while reader.accept(","):
            names.append(reader.name())
        reader.expect("in")
        domain = self._expressions.term()
        key: Term = Var(names[0]) if len(names) > 1 else NO_TERM
        if len(names) > 2:
            raise self._fault("every has one name or two")
        return Statement("every", (key, Var(names[-1]), domain), self._braced())

    def _changes(self) -> tuple[tuple[Term, Term], ...]:
        found: list[tuple[Term, Term]] = []
        while self._reader.accept("with"):
            target = self._expressions.factor()
            self._reader.expect("as")
            found.append((target, self._expressions.term()))
        return tuple(found)
