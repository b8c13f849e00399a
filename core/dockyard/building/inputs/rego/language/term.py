"""Terms: every value that one can have, and what its variables are when it is to be a value.

Variables are kept in one dictionary for each rule that is being evaluated, and are taken out again
when the next possibility is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from dockyard.building.inputs.rego.language.fault import PolicyFaultError, WrongOperandError
from dockyard.building.inputs.rego.language.lookup import entries, inside
from dockyard.building.inputs.rego.language.program import Program, RuleSet
from dockyard.building.inputs.rego.language.scope import PRINT
from dockyard.building.inputs.rego.language.state import State, fault
from dockyard.building.inputs.rego.language.text import written
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
from dockyard.building.inputs.rego.language.value import (
    UNDEFINED,
    Maybe,
    RObject,
    RSet,
    Value,
    equal,
)

Variables = dict[str, Value]
Function = Callable[..., Maybe]


class Host(Protocol):
    """Who wants something evaluated."""

    def tick(self) -> None:
        """Called for each step; raises to end the evaluation."""
        ...

    def say(self, text: str, file: str, line: int) -> None:
        """Take what a policy prints."""
        ...


class Terms:
    """The values of terms in one evaluation."""

    def __init__(
        self,
        program: Program,
        functions: Mapping[str, Function],
        state: State,
        host: Host,
        *,
        document: Callable[[RuleSet], Maybe],
        call: Callable[[RuleSet, Sequence[Value]], Maybe],
        body: Callable[[Body, Variables], Iterator[None]],
    ) -> None:
        """Get ready.

        Args:
            program: Says which paths are rules.
            functions: What is built in.
            state: What is given.
            host: Is told what happens.
            document: Gives the value of a rule.
            call: Gives the value of a function.
            body: Goes through the ways in which the body of a comprehension holds.
        """
        self._program = program
        self._functions = functions
        self._state = state
        self._host = host
        self._document = document
        self._call_rule = call
        self._body = body

    def values(self, term: Term, variables: Variables) -> Iterator[Value]:
        """Give every value that a term can have."""
        match term:
            case Scalar(value):
                yield value
            case Var(name):
                yield self._variable(name, variables)
            case Ref():
                yield from self._ref(term, variables)
            case Call(name, arguments):
                yield from self._call(term, name, arguments, variables)
            case ArrayTerm(items):
                yield from self.each(items, variables)
            case SetTerm(items):
                for members in self.each(items, variables):
                    yield RSet(members)
            case ObjectTerm(pairs):
                keys, inner = [key for key, _ in pairs], [value for _, value in pairs]
                for parts in self.each([*keys, *inner], variables):
                    yield RObject(zip(parts[: len(keys)], parts[len(keys) :], strict=True))
            case Comprehension():
                yield self._comprehension(term, variables)

    def each(self, terms: Sequence[Term], variables: Variables) -> Iterator[tuple[Value, ...]]:
        """Give every combination of values. What may give variables their values comes first."""
        if len(terms) == 1:
            for value in self.values(terms[0], variables):
                yield (value,)
            return
        order = sorted(range(len(terms)), key=lambda number: isinstance(terms[number], Var))
        found: list[Value] = [None] * len(terms)

        def rest(depth: int) -> Iterator[tuple[Value, ...]]:
            if depth == len(order):
                yield tuple(found)
                return
            for value in self.values(terms[order[depth]], variables):
                found[order[depth]] = value
                yield from rest(depth + 1)

        yield from rest(0)

    def _variable(self, name: str, variables: Variables) -> Value:
        if name in variables:
            return variables[name]
        if name != "input":
            shown = "data as a whole" if name == "data" else name.partition("#")[0]
            fault(f"{shown} has no value here", self._state.rule)
        return self._state.input

    def _ref(self, term: Ref, variables: Variables) -> Iterator[Value]:
        head, path = term.head, term.path
        if isinstance(head, Var) and head.name == "data":
            value, path = self._from_data(term)
            if value is not UNDEFINED:
                yield from self._follow(value, path, variables)
            return
        for value in self.values(head, variables):
            yield from self._follow(value, path, variables)

    def _from_data(self, term: Ref) -> tuple[Maybe, tuple[Term, ...]]:
        """Give the rule at the beginning of a path, and what is left of the path."""
        parts: list[str] = []
        for number, part in enumerate(term.path):
            if not isinstance(part, Scalar) or not isinstance(part.value, str):
                break
            parts.append(part.value)
            rules = self._program.rules.get(tuple(parts))
            if rules is not None:
                return self._document(rules), term.path[number + 1 :]
        if len(parts) < len(term.path) or tuple(parts) in self._program.packages:
            raise PolicyFaultError(
                "a package as a whole cannot be read, only its rules",
                "" if self._state.rule is None else self._state.rule.file,
                term.line,
            )
        return UNDEFINED, ()

    def _follow(self, value: Value, path: Sequence[Term], variables: Variables) -> Iterator[Value]:
        if not path:
            yield value
            return
        step, rest = path[0], path[1:]
        if isinstance(step, Scalar):
            inner = inside(value, step.value)
            if inner is not UNDEFINED:
                yield from self._follow(inner, rest, variables)
        elif _is_open(step, variables):
            for key, inner in entries(value):
                self._host.tick()
                for _ in self.match(step, key, variables):
                    yield from self._follow(inner, rest, variables)
        else:
            for key in self.values(step, variables):
                inner = inside(value, key)
                if inner is not UNDEFINED:
                    yield from self._follow(inner, rest, variables)

    def _call(
        self, term: Call, name: tuple[str, ...], arguments: Sequence[Term], variables: Variables
    ) -> Iterator[Value]:
        self._host.tick()
        if name == (PRINT,):
            self._print(term, arguments, variables)
            yield True
            return
        rules = self._program.rules[name[1:]] if name[0] == "data" else None
        for values in self.each(arguments, variables):
            if rules is not None:
                found = self._call_rule(rules, values)
            else:
                found = self._built_in(".".join(name), values)
            if found is not UNDEFINED:
                yield found

    def _built_in(self, name: str, values: Sequence[Value]) -> Maybe:
        try:
            return self._functions[name](*values)
        except (WrongOperandError, OverflowError, ValueError):
            # As everywhere in Rego: a function that fails has no value.
            return UNDEFINED

    def _print(self, term: Call, arguments: Sequence[Term], variables: Variables) -> None:
        words = []
        for argument in arguments:
            value = next(self.values(argument, variables), UNDEFINED)
            words.append(_shown(value))
        file = "" if self._state.rule is None else self._state.rule.file
        self._host.say(" ".join(words), file, term.line)

    def _comprehension(self, term: Comprehension, variables: Variables) -> Value:
        heads = (
            values
            for _ in self._body(term.body, variables)
            for values in self.each(term.heads, variables)
        )
        if term.kind == "array":
            return tuple(values[0] for values in heads)
        if term.kind == "set":
            return RSet(values[0] for values in heads)
        found = list(heads)
        made = RObject((key, value) for key, value in found)
        for key, value in found:
            first = made.get(key)
            if first is UNDEFINED or not equal(first, value):
                fault("an object would have two values for one key", self._state.rule)
        return made

    # --- patterns ---------------------------------------------------------------------------

    def match(self, pattern: Term, value: Value, variables: Variables) -> Iterator[None]:
        """Let a pattern be a value: its variables get theirs from it."""
        match pattern:
            case Var(name) if name not in variables and name not in ("input", "data"):
                variables[name] = value
                try:
                    yield
                finally:
                    variables.pop(name, None)
            case ArrayTerm(items):
                if isinstance(value, tuple) and len(value) == len(items):
                    for _ in self.match_all(items, value, variables):
                        yield
            case ObjectTerm(pairs):
                if isinstance(value, RObject) and len(value) == len(pairs):
                    yield from self._match_pairs(pairs, value, variables)
            case _:
                for own in self.values(pattern, variables):
                    if equal(own, value):
                        yield

    def match_all(
        self, patterns: Sequence[Term], values: Sequence[Value], variables: Variables
    ) -> Iterator[Variables]:
        """Let patterns be values, one by one."""
        if not patterns:
            yield variables
            return
        for _ in self.match(patterns[0], values[0], variables):
            yield from self.match_all(patterns[1:], values[1:], variables)

    def _match_pairs(
        self, pairs: Sequence[tuple[Term, Term]], value: RObject, variables: Variables
    ) -> Iterator[None]:
        if not pairs:
            yield
            return
        for key in self.values(pairs[0][0], variables):
            inner = value.get(key)
            if inner is UNDEFINED:
                continue
            for _ in self.match(pairs[0][1], inner, variables):
                yield from self._match_pairs(pairs[1:], value, variables)

    def unify(self, left: Term, right: Term, variables: Variables) -> Iterator[None]:
        """Let two terms be equal, by giving variables of either their values."""
        match left, right:
            case ArrayTerm(first), ArrayTerm(second):
                if len(first) == len(second):
                    yield from self._unify_all(first, second, variables)
                return
        if _is_open(left, variables):
            left, right = right, left
        for value in self.values(left, variables):
            yield from self.match(right, value, variables)

    def _unify_all(
        self, left: Sequence[Term], right: Sequence[Term], variables: Variables
    ) -> Iterator[None]:
        if not left:
            yield
            return
        for _ in self.unify(left[0], right[0], variables):
            yield from self._unify_all(left[1:], right[1:], variables)


def _is_open(term: Term, variables: Variables) -> bool:
    """Say whether a pattern has variables that have no value yet."""
    match term:
        case Var(name):
            return name not in variables and name not in ("input", "data")
        case ArrayTerm(items):
            return any(_is_open(item, variables) for item in items)
        case ObjectTerm(pairs):
            return any(_is_open(value, variables) for _, value in pairs)
        case _:
            return False


def _shown(value: Maybe) -> str:
    if value is UNDEFINED:
        return "<undefined>"
    return value if isinstance(value, str) else written(value)
