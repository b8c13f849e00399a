"""Conditions: every way in which a body holds, one after the other.

A body is a chain of generators: each condition tries its possibilities, and for each of them asks
the next one.
"""

from __future__ import annotations

from collections.abc import Iterator

from dockyard.building.inputs.rego.language.lookup import entries
from dockyard.building.inputs.rego.language.state import State
from dockyard.building.inputs.rego.language.term import Host, Terms, Variables
from dockyard.building.inputs.rego.language.tree import NO_TERM, Body, Statement
from dockyard.building.inputs.rego.language.value import RObject, RSet, Value


class Conditions:
    """The conditions of one evaluation."""

    def __init__(self, terms: Terms, state: State, host: Host) -> None:
        """Get ready.

        Args:
            terms: Knows the values of terms.
            state: What is given, and what ``with`` changes.
            host: Is told of each step.
        """
        self._terms = terms
        self._state = state
        self._host = host

    def body(self, body: Body, variables: Variables) -> Iterator[None]:
        """Go through the ways in which all conditions of a body hold."""
        if not body:
            yield
            return
        for _ in self._statement(body[0], variables):
            yield from self.body(body[1:], variables)

    def _statement(self, statement: Statement, variables: Variables) -> Iterator[None]:
        self._host.tick()
        if statement.changes:
            return self._with(statement, variables)
        return self._plain(statement, variables)

    def _plain(self, statement: Statement, variables: Variables) -> Iterator[None]:
        terms = statement.terms
        match statement.kind:
            case "term":
                for value in self._terms.values(terms[0], variables):
                    if value is not False:
                        yield
            case "assign":
                for value in self._terms.values(terms[1], variables):
                    yield from self._terms.match(terms[0], value, variables)
            case "unify":
                yield from self._terms.unify(terms[0], terms[1], variables)
            case "in":
                yield from self._some(statement, variables)
            case "not":
                for _ in self._statement(statement.body[0], variables):
                    return
                yield
            case _:
                yield from self._every(statement, variables)

    def _some(self, statement: Statement, variables: Variables) -> Iterator[None]:
        key, value, collection = statement.terms
        for whole in self._terms.values(collection, variables):
            for name, inner in entries(whole):
                self._host.tick()
                if key is NO_TERM:
                    yield from self._terms.match(value, inner, variables)
                    continue
                for _ in self._terms.match(key, name, variables):
                    yield from self._terms.match(value, inner, variables)

    def _every(self, statement: Statement, variables: Variables) -> Iterator[None]:
        for whole in self._terms.values(statement.terms[2], variables):
            if isinstance(whole, tuple | RSet | RObject) and all(
                self._holds_for(statement, key, value, variables) for key, value in entries(whole)
            ):
                yield

    def _holds_for(
        self, statement: Statement, key: Value, value: Value, variables: Variables
    ) -> bool:
        patterns, values = statement.terms[1:2], (value,)
        if statement.terms[0] is not NO_TERM:
            patterns, values = statement.terms[:2], (key, value)  # type: ignore[assignment]
        return any(
            True
            for _ in self._terms.match_all(patterns, values, variables)
            for _ in self.body(statement.body, variables)
        )

    def _with(self, statement: Statement, variables: Variables) -> Iterator[None]:
        """Look at a statement while something is replaced; all of its ways at once."""
        plain = statement._replace(changes=())
        targets = [target for target, _ in statement.changes]
        for values in self._terms.each([value for _, value in statement.changes], variables):
            with self._state.changed(zip(targets, values, strict=True)):
                found = [dict(variables) for _ in self._plain(plain, variables)]
            for each in found:
                added = [name for name in each if name not in variables]
                variables.update(each)
                yield
                for name in added:
                    del variables[name]
