"""Evaluating a program: the values of its rules and functions.

A rule has a value for each way in which the conditions of its body hold, and conditions are about
terms, whose values may be those of other rules: ``condition`` and ``term`` know of that what they
can without knowing rules, which are given to them as callbacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from dockyard.building.inputs.rego.language.condition import Conditions
from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.program import Path, Program, RuleSet
from dockyard.building.inputs.rego.language.state import State, fault
from dockyard.building.inputs.rego.language.term import Function, Host, Terms, Variables
from dockyard.building.inputs.rego.language.tree import Body, Rule, Scalar
from dockyard.building.inputs.rego.language.tree_value import ConflictError, Growing
from dockyard.building.inputs.rego.language.value import UNDEFINED, Maybe, RSet, Value, equal

_DEEPEST = 40
"""Rules and functions that ask each other."""


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
        self._state = State(given)
        self._terms = Terms(
            program,
            functions,
            self._state,
            host,
            document=self._document,
            call=self._call,
            body=lambda body, variables: self._conditions.body(body, variables),
        )
        self._conditions = Conditions(self._terms, self._state, host)
        self._asked: list[Path] = []

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

    def _document(self, rules: RuleSet) -> Maybe:
        """Give the value of a rule, which is found but once."""
        state, path = self._state, rules.path
        if path in state.replaced:
            return state.replaced[path]
        if path not in state.known:
            state.known[path] = self._within(rules, lambda: self._found(rules))
        return state.known[path]

    def _within(self, rules: RuleSet, work: Callable[[], Maybe]) -> Maybe:
        """Do something for a rule, and remember that it is being done."""
        first = (rules.rules or (rules.default,))[0]
        if rules.path in self._asked:
            fault(f"{rules.path[-1]} needs itself", first)
        if len(self._asked) >= _DEEPEST:
            fault("too many rules that need each other", first)
        self._asked.append(rules.path)
        before = self._state.rule
        try:
            return work()
        finally:
            self._asked.pop()
            self._state.rule = before

    def _found(self, rules: RuleSet) -> Maybe:
        if rules.arity is not None:
            fault(f"{rules.path[-1]} is a function", rules.rules[0])
        if any(rule.path for rule in rules.rules):
            return self._tree(rules)
        if any(rule.member is not None for rule in rules.rules):
            return RSet(member for rule in rules.rules for member in self._members(rule))
        return self._single(rules, {}, lambda _rule, variables: iter((variables,)))

    def _members(self, rule: Rule) -> Iterator[Value]:
        self._state.rule = rule
        for variables in self._solutions(rule.branches[0].body):
            if rule.member is not None:
                yield from self._terms.values(rule.member, variables)

    def _single(
        self,
        rules: RuleSet,
        variables: Variables,
        enter: Callable[[Rule, Variables], Iterator[Variables]],
    ) -> Maybe:
        """Give the one value of a rule or a function call."""
        found: Maybe = UNDEFINED
        for rule in rules.rules:
            self._state.rule = rule
            for entered in enter(rule, dict(variables)):
                for value in self._branches(rule, entered):
                    if found is not UNDEFINED and not equal(found, value):
                        fault(f"{rule.name} has more than one value", rule)
                    found = value
                    if _is_constant(rule):
                        break  # it holds, in however many ways
            if found is not UNDEFINED and _all_same(rules):
                break
        if found is UNDEFINED and rules.default is not None:
            self._state.rule = rules.default
            values = self._terms.values(rules.default.branches[0].value, {})
            return next(values, UNDEFINED)
        return found

    def _branches(self, rule: Rule, variables: Variables) -> Iterator[Value]:
        for branch in rule.branches:
            held = False
            for _ in self._conditions.body(branch.body, variables):
                for value in self._terms.values(branch.value, variables):
                    held = True
                    yield value
            if held:
                return

    def _tree(self, rules: RuleSet) -> Value:
        """Give the object that rules with brackets in their heads make together."""
        root = Growing()
        for rule in rules.rules:
            self._state.rule = rule
            for branch in rule.branches:
                pieces = [
                    (keys, value)
                    for variables in self._solutions(branch.body)
                    for keys in self._terms.each(rule.path, variables)
                    for value in self._terms.values(rule.member or branch.value, variables)
                ]
                put = root.put if rule.member is None else root.add
                try:
                    for keys, value in pieces:
                        put(keys, value)
                except ConflictError:
                    fault(f"{rule.name} has more than one value", rule)
                if pieces:
                    break
        return root.value()

    def _solutions(self, body: Body) -> Iterator[Variables]:
        variables: Variables = {}
        for _ in self._conditions.body(body, variables):
            yield variables

    def _call(self, rules: RuleSet, arguments: Sequence[Value]) -> Maybe:
        """Give the value of a function."""
        replaced = self._state.replaced
        if rules.path in replaced:
            return replaced[rules.path]

        def enter(rule: Rule, variables: Variables) -> Iterator[Variables]:
            return self._terms.match_all(rule.arguments or (), arguments, variables)

        return self._within(rules, lambda: self._single(rules, {}, enter))


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
