"""From files to one program: what each name means, and in which order conditions are looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from dockyard.building.inputs.rego.language.arrange import arrange, arrange_term
from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.scope import Names, Scope
from dockyard.building.inputs.rego.language.tree import (
    Branch,
    Module,
    Rule,
    Term,
    variables,
)

Path = tuple[str, ...]
"""Where a rule is: the parts behind ``data``."""


class RuleSet(NamedTuple):
    """All definitions of one name."""

    path: Path
    rules: tuple[Rule, ...]
    default: Rule | None

    @property
    def arity(self) -> int | None:
        """How many arguments it takes; None if it is no function."""
        first = next(iter((*self.rules, *((self.default,) if self.default else ()))))
        return None if first.arguments is None else len(first.arguments)


class Program(NamedTuple):
    """Everything that can be evaluated."""

    rules: Mapping[Path, RuleSet]
    packages: frozenset[Path]
    """Their paths, and the beginnings of these."""


def link(modules: Iterable[Module], functions: Mapping[str, int]) -> Program:
    """Make a program of files.

    Args:
        modules: The files.
        functions: The arity of each function that is built in.

    Raises:
        PolicyFaultError: A name means nothing, or a condition can never be looked at.
    """
    modules = tuple(modules)
    found: dict[Path, list[Rule]] = {}
    arities: dict[Path, int | None] = {}
    for module in modules:
        for rule in module.rules:
            path = (*module.package, rule.name)
            found.setdefault(path, []).append(rule)
            arity = None if rule.arguments is None else len(rule.arguments)
            if arities.setdefault(path, arity) != arity:
                message = f"{rule.name} is defined in different ways"
                raise PolicyFaultError(message, rule.file, rule.line)
    linked: dict[Path, list[Rule]] = {}
    for module in modules:
        names = Names(module, arities, functions)
        for rule in module.rules:
            linked.setdefault((*module.package, rule.name), []).append(_linked(rule, names))
    rules = {path: _rule_set(path, each) for path, each in linked.items()}
    return Program(rules, frozenset(_beginnings(module.package for module in modules)))


def _beginnings(packages: Iterable[Path]) -> Iterator[Path]:
    for package in packages:
        for end in range(len(package) + 1):
            yield package[:end]


def _rule_set(path: Path, rules: list[Rule]) -> RuleSet:
    defaults = [rule for rule in rules if rule.default]
    if len(defaults) > 1:
        message = f"{path[-1]} has several defaults"
        raise PolicyFaultError(message, defaults[1].file, defaults[1].line)
    ordinary = tuple(rule for rule in rules if not rule.default)
    for rule in ordinary:
        first = ordinary[0]
        if not rule.path and not first.path and bool(rule.member) != bool(first.member):
            message = f"{rule.name} is defined as a set and as something else"
            raise PolicyFaultError(message, rule.file, rule.line)
    return RuleSet(path, ordinary, defaults[0] if defaults else None)


def _linked(rule: Rule, names: Names) -> Rule:
    """Give a rule whose names are resolved and whose conditions are in order."""
    outer = Scope(names, rule)
    arguments = None
    if rule.arguments is not None:
        for term in rule.arguments:
            outer.declare(variables(term))
        arguments = tuple(map(outer.term, rule.arguments))
    bound = frozenset(name for term in arguments or () for name in variables(term))
    heads = [*rule.path, *([] if rule.member is None else [rule.member])]
    branches = []
    path: tuple[Term, ...] = ()
    member = None
    for branch in rule.branches:
        scope = outer.inner()
        scope.enter(branch.body, [*heads, branch.value])
        body, after = arrange(scope.body(branch.body), bound, rule)
        terms = [arrange_term(scope.term(term), after, rule) for term in (*heads, branch.value)]
        branches.append(Branch(terms[-1], body))
        if rule.member is not None:
            member = terms[-2]
        path = tuple(terms[: len(rule.path)])
    return rule._replace(path=path, arguments=arguments, member=member, branches=tuple(branches))
