"""Evaluating a program: every way in which its conditions hold, one after the other.

A body is a chain of generators: each condition tries its possibilities, and for each of them asks
the next one. Variables are kept in one dictionary for each rule that is being evaluated, and are
taken out again when the next possibility is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from dockyard.building.inputs.rego.language.fault import PolicyFaultError, WrongOperandError
from dockyard.building.inputs.rego.language.lookup import entries, inside
from dockyard.building.inputs.rego.language.program import Path, Program, RuleSet
from dockyard.building.inputs.rego.language.scope import PRINT
from dockyard.building.inputs.rego.language.text import written
from dockyard.building.inputs.rego.language.tree import (
    NO_TERM,
    ArrayTerm,
    Body,
    Call,
    Comprehension,
    ObjectTerm,
    Ref,
    Rule,
    Scalar,
    SetTerm,
    Statement,
    Term,
    Var,
)
from dockyard.building.inputs.rego.language.tree_value import ConflictError, Growing
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
_DEEPEST = 40
"""Rules and functions that ask each other."""


class Host(Protocol):
    """Who wants something evaluated."""

    def tick(self) -> None:
        """Called for each step; raises to end the evaluation."""
        ...

    def say(self, text: str, file: str, line: int) -> None:
        """Take what a policy prints."""
        ...


class Evaluation:
    """One evaluation with one input."""

    def __init__(
        self, program: Program, functions: Mapping[str, Function], given: Value, host: Host
    ) -> None:
        """Get ready.

        Args:
            program: What to evaluate.
            functions: What is built in.
            given: The input.
            host: Is told what happens.
        """
        self._program = program
        self._functions = functions
        self._input = given
        self._host = host
        self._known: dict[Path, Maybe] = {}
        self._replaced: dict[Path, Value] = {}
        self._asked: list[Path] = []
        self._rule: Rule | None = None

    def rule(self, path: Path) -> Maybe:
        """Give the value of a rule.

        Raises:
            MissingError: It needs something that is not known yet.
            PolicyFaultError: It cannot be evaluated.
        """
        rules = self._program.rules.get(path)
        if rules is None:
            return UNDEFINED
        try:
            return self._document(rules)
        except RecursionError as error:
            raise PolicyFaultError("nested too deeply") from error

    # --- rules ------------------------------------------------------------------------------

    def _document(self, rules: RuleSet) -> Maybe:
        if rules.path in self._replaced:
            return self._replaced[rules.path]
        if rules.path not in self._known:
            self._known[rules.path] = self._within(rules, lambda: self._found(rules))
        return self._known[rules.path]

    def _within(self, rules: RuleSet, work: Callable[[], Maybe]) -> Maybe:
        """Do something for a rule, and remember that it is being done."""
        first = (rules.rules or (rules.default,))[0]
        if rules.path in self._asked:
            self._fault(f"{rules.path[-1]} needs itself", first)
        if len(self._asked) >= _DEEPEST:
            self._fault("too many rules that need each other", first)
        self._asked.append(rules.path)
        before = self._rule
        try:
            return work()
        finally:
            self._asked.pop()
            self._rule = before

    def _found(self, rules: RuleSet) -> Maybe:
        if rules.arity is not None:
            self._fault(f"{rules.path[-1]} is a function", rules.rules[0])
        if any(rule.path for rule in rules.rules):
            return self._tree(rules)
        if any(rule.member is not None for rule in rules.rules):
            return RSet(member for rule in rules.rules for member in self._members(rule))
        return self._single(rules, {}, lambda _rule, variables: iter((variables,)))

    def _members(self, rule: Rule) -> Iterator[Value]:
        self._rule = rule
        for variables in self._solutions(rule.branches[0].body):
            if rule.member is not None:
                yield from self._values(rule.member, variables)

    def _single(
        self,
        rules: RuleSet,
        variables: Variables,
        enter: Callable[[Rule, Variables], Iterator[Variables]],
    ) -> Maybe:
        """Give the one value of a rule or a function call."""
        found: Maybe = UNDEFINED
        for rule in rules.rules:
            self._rule = rule
            for entered in enter(rule, dict(variables)):
                for value in self._branches(rule, entered):
                    if found is not UNDEFINED and not equal(found, value):
                        self._fault(f"{rule.name} has more than one value", rule)
                    found = value
                    if _is_constant(rule):
                        break  # it holds, in however many ways
            if found is not UNDEFINED and _all_same(rules):
                break
        if found is UNDEFINED and rules.default is not None:
            self._rule = rules.default
            values = self._values(rules.default.branches[0].value, {})
            return next(values, UNDEFINED)
        return found

    def _branches(self, rule: Rule, variables: Variables) -> Iterator[Value]:
        for branch in rule.branches:
            held = False
            for _ in self._body(branch.body, variables):
                for value in self._values(branch.value, variables):
                    held = True
                    yield value
            if held:
                return

    def _tree(self, rules: RuleSet) -> Value:
        """Give the object that rules with brackets in their heads make together."""
        root = Growing()
        for rule in rules.rules:
            self._rule = rule
            for branch in rule.branches:
                pieces = [
                    (keys, value)
                    for variables in self._solutions(branch.body)
                    for keys in self._each(rule.path, variables)
                    for value in self._values(rule.member or branch.value, variables)
                ]
                put = root.put if rule.member is None else root.add
                try:
                    for keys, value in pieces:
                        put(keys, value)
                except ConflictError:
                    self._fault(f"{rule.name} has more than one value", rule)
                if pieces:
                    break
        return root.value()

    def _solutions(self, body: Body) -> Iterator[Variables]:
        variables: Variables = {}
        for _ in self._body(body, variables):
            yield variables

    def _call_rule(self, rules: RuleSet, arguments: Sequence[Value]) -> Maybe:
        if rules.path in self._replaced:
            return self._replaced[rules.path]

        def enter(rule: Rule, variables: Variables) -> Iterator[Variables]:
            return self._match_all(rule.arguments or (), arguments, variables)

        return self._within(rules, lambda: self._single(rules, {}, enter))

    def _match_all(
        self, patterns: Sequence[Term], values: Sequence[Value], variables: Variables
    ) -> Iterator[Variables]:
        if not patterns:
            yield variables
            return
        for _ in self._match(patterns[0], values[0], variables):
            yield from self._match_all(patterns[1:], values[1:], variables)

    # --- conditions -------------------------------------------------------------------------

    def _body(self, body: Body, variables: Variables) -> Iterator[None]:
        if not body:
            yield
            return
        for _ in self._statement(body[0], variables):
            yield from self._body(body[1:], variables)

    def _statement(self, statement: Statement, variables: Variables) -> Iterator[None]:
        self._host.tick()
        if statement.changes:
            return self._with(statement, variables)
        return self._plain(statement, variables)

    def _plain(self, statement: Statement, variables: Variables) -> Iterator[None]:
        terms = statement.terms
        match statement.kind:
            case "term":
                for value in self._values(terms[0], variables):
                    if value is not False:
                        yield
            case "assign":
                for value in self._values(terms[1], variables):
                    yield from self._match(terms[0], value, variables)
            case "unify":
                yield from self._unify(terms[0], terms[1], variables)
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
        for whole in self._values(collection, variables):
            for name, inner in entries(whole):
                self._host.tick()
                if key is NO_TERM:
                    yield from self._match(value, inner, variables)
                    continue
                for _ in self._match(key, name, variables):
                    yield from self._match(value, inner, variables)

    def _every(self, statement: Statement, variables: Variables) -> Iterator[None]:
        for whole in self._values(statement.terms[2], variables):
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
            for _ in self._match_all(patterns, values, variables)
            for _ in self._body(statement.body, variables)
        )

    def _with(self, statement: Statement, variables: Variables) -> Iterator[None]:
        """Look at a statement while something is replaced; all of its ways at once."""
        plain = statement._replace(changes=())
        targets = [target for target, _ in statement.changes]
        for values in self._each([value for _, value in statement.changes], variables):
            before = self._input, self._replaced, self._known
            self._replaced, self._known = dict(self._replaced), {}
            found: list[Variables] = []
            try:
                for target, value in zip(targets, values, strict=True):
                    self._replace(target, value)
                found += [dict(variables) for _ in self._plain(plain, variables)]
            finally:
                self._input, self._replaced, self._known = before
            for each in found:
                added = [name for name in each if name not in variables]
                variables.update(each)
                yield
                for name in added:
                    del variables[name]

    def _replace(self, target: Term, value: Value) -> None:
        if isinstance(target, Var):
            self._input = value
            return
        if not isinstance(target, Ref) or not isinstance(target.head, Var):
            raise TypeError(target)
        path = tuple(part.value for part in target.path if isinstance(part, Scalar))
        if target.head.name == "input":
            whole = self._input if isinstance(self._input, RObject) else RObject()
            self._input = whole.replaced(path, value)
        else:
            self._replaced[tuple(map(str, path))] = value

    # --- patterns ---------------------------------------------------------------------------

    def _match(self, pattern: Term, value: Value, variables: Variables) -> Iterator[None]:
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
                    for _ in self._match_all(items, value, variables):
                        yield
            case ObjectTerm(pairs):
                if isinstance(value, RObject) and len(value) == len(pairs):
                    yield from self._match_pairs(pairs, value, variables)
            case _:
                for own in self._values(pattern, variables):
                    if equal(own, value):
                        yield

    def _match_pairs(
        self, pairs: Sequence[tuple[Term, Term]], value: RObject, variables: Variables
    ) -> Iterator[None]:
        if not pairs:
            yield
            return
        for key in self._values(pairs[0][0], variables):
            inner = value.get(key)
            if inner is UNDEFINED:
                continue
            for _ in self._match(pairs[0][1], inner, variables):
                yield from self._match_pairs(pairs[1:], value, variables)

    def _unify(self, left: Term, right: Term, variables: Variables) -> Iterator[None]:
        match left, right:
            case ArrayTerm(first), ArrayTerm(second):
                if len(first) == len(second):
                    yield from self._unify_all(first, second, variables)
                return
        if _is_open(left, variables):
            left, right = right, left
        for value in self._values(left, variables):
            yield from self._match(right, value, variables)

    def _unify_all(
        self, left: Sequence[Term], right: Sequence[Term], variables: Variables
    ) -> Iterator[None]:
        if not left:
            yield
            return
        for _ in self._unify(left[0], right[0], variables):
            yield from self._unify_all(left[1:], right[1:], variables)

    # --- terms ------------------------------------------------------------------------------

    def _values(self, term: Term, variables: Variables) -> Iterator[Value]:
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
                yield from self._each(items, variables)
            case SetTerm(items):
                for members in self._each(items, variables):
                    yield RSet(members)
            case ObjectTerm(pairs):
                keys, inner = [key for key, _ in pairs], [value for _, value in pairs]
                for parts in self._each([*keys, *inner], variables):
                    yield RObject(zip(parts[: len(keys)], parts[len(keys) :], strict=True))
            case Comprehension():
                yield self._comprehension(term, variables)

    def _variable(self, name: str, variables: Variables) -> Value:
        if name in variables:
            return variables[name]
        if name == "input":
            return self._input
        shown = "data as a whole" if name == "data" else name.partition("#")[0]
        self._fault(f"{shown} has no value here", self._rule)
        return None

    def _each(self, terms: Sequence[Term], variables: Variables) -> Iterator[tuple[Value, ...]]:
        """Give every combination of values. What may give variables their values comes first."""
        if len(terms) == 1:
            for value in self._values(terms[0], variables):
                yield (value,)
            return
        order = sorted(range(len(terms)), key=lambda number: isinstance(terms[number], Var))
        found: list[Value] = [None] * len(terms)

        def rest(depth: int) -> Iterator[tuple[Value, ...]]:
            if depth == len(order):
                yield tuple(found)
                return
            for value in self._values(terms[order[depth]], variables):
                found[order[depth]] = value
                yield from rest(depth + 1)

        yield from rest(0)

    def _ref(self, term: Ref, variables: Variables) -> Iterator[Value]:
        head, path = term.head, term.path
        if isinstance(head, Var) and head.name == "data":
            value, path = self._from_data(term)
            if value is not UNDEFINED:
                yield from self._follow(value, path, variables)
            return
        for value in self._values(head, variables):
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
                "" if self._rule is None else self._rule.file,
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
                for _ in self._match(step, key, variables):
                    yield from self._follow(inner, rest, variables)
        else:
            for key in self._values(step, variables):
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
        for values in self._each(arguments, variables):
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
            value = next(self._values(argument, variables), UNDEFINED)
            words.append(_shown(value))
        file = "" if self._rule is None else self._rule.file
        self._host.say(" ".join(words), file, term.line)

    def _comprehension(self, term: Comprehension, variables: Variables) -> Value:
        heads = (
            values
            for _ in self._body(term.body, variables)
            for values in self._each(term.heads, variables)
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
                self._fault("an object would have two values for one key", self._rule)
        return made

    def _fault(self, message: str, rule: Rule | None) -> None:
        if rule is None:
            raise PolicyFaultError(message)
        raise PolicyFaultError(message, rule.file, rule.line)


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


def _is_constant(rule: Rule) -> bool:
    return len(rule.branches) == 1 and isinstance(rule.branches[0].value, Scalar)


def _all_same(rules: RuleSet) -> bool:
    """Say whether no other definition could give another value."""
    if not all(map(_is_constant, rules.rules)):
        return False
    values = [rule.branches[0].value for rule in rules.rules]
    return all(
        isinstance(value, Scalar)
        and isinstance(values[0], Scalar)
        and equal(value.value, values[0].value)
        for value in values
    )


def _shown(value: Maybe) -> str:
    if value is UNDEFINED:
        return "<undefined>"
    return value if isinstance(value, str) else written(value)
