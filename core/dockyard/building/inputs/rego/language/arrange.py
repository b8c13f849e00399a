"""In which order conditions are looked at: each after those that give its variables values."""

from __future__ import annotations

from collections.abc import Iterable

from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.scope import ROOTS, WILD
from dockyard.building.inputs.rego.language.tree import (
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
    body_variables,
    statement_variables,
    variables,
)

Bound = frozenset[str]


def arrange(body: Body, bound: Bound, rule: Rule) -> tuple[Body, Bound]:
    """Put conditions into an order in which they can be looked at.

    Args:
        body: The conditions.
        bound: The variables that have values before.
        rule: For errors.

    Returns:
        The conditions, and the variables that have values after them.

    Raises:
        PolicyFaultError: A variable never gets a value.
    """
    waiting = list(body)
    found: list[Statement] = []
    while waiting:
        ready = next((one for one in waiting if _ready(one, bound)), None)
        if ready is None:
            name = min(_missing(waiting[0], bound)).partition("#")[0]
            message = f"the variable {name} never gets a value"
            raise PolicyFaultError(message, rule.file, waiting[0].line)
        waiting.remove(ready)
        found.append(_inside(ready, bound, rule))
        if ready.kind == "every":
            bound |= _indices(ready.terms[2:])
        elif ready.kind != "not":
            bound |= _free_of(ready)
    return tuple(found), bound


def arrange_term(term: Term, bound: Bound, rule: Rule) -> Term:
    """Put the conditions inside of a term in order, and check that it has a value.

    Raises:
        PolicyFaultError: A variable never gets a value.
    """
    lacking = needs(term) - bound
    if lacking:
        name = min(lacking).partition("#")[0]
        raise PolicyFaultError(f"the variable {name} never gets a value", rule.file, rule.line)
    return _inside_term(term, bound, rule)


# --- what a condition needs -----------------------------------------------------------------


def _ready(statement: Statement, bound: Bound) -> bool:
    if _missing(statement, bound):
        return False
    return statement.kind != "unify" or _one_side(statement.terms[0], statement.terms[1], bound)


def _missing(statement: Statement, bound: Bound) -> Bound:
    """Give the variables that have no value and have to have one before."""
    wanted: Bound = frozenset().union(*(needs(value) for _, value in statement.changes))
    terms = statement.terms
    match statement.kind:
        case "not":
            inner = frozenset().union(*(_free_of(one) for one in statement.body))
            wanted |= frozenset(name for name in inner if not name.startswith(WILD))
        case "every":
            body = frozenset(body_variables(statement.body)) - statement.own - ROOTS
            owned = _owned_by(statement.body)
            wanted |= needs(terms[2]) | {name for name in body - owned if not name.startswith(WILD)}
        case "assign":
            wanted |= _pattern_needs(terms[0]) | needs(terms[1])
        case "in":
            wanted |= _pattern_needs(terms[0]) | _pattern_needs(terms[1]) | needs(terms[2])
        case "unify":
            wanted |= _pattern_needs(terms[0]) | _pattern_needs(terms[1])
        case _:
            wanted |= needs(terms[0])
    if (
        statement.kind == "unify"
        and not wanted - bound
        and not _one_side(terms[0], terms[1], bound)
    ):
        return (_outputs(terms[0]) | _outputs(terms[1])) - bound
    return wanted - bound


def _one_side(left: Term, right: Term, bound: Bound) -> bool:
    """Say whether one side of ``=`` has a value, so that the other can get it."""
    if not _outputs(left) - bound or not _outputs(right) - bound:
        return True
    match left, right:
        case ArrayTerm(first), ArrayTerm(second) if len(first) == len(second):
            return all(_one_side(a, b, bound) for a, b in zip(first, second, strict=True))
    return False


def needs(term: Term) -> Bound:
    """Give the variables that have to have values before a term has one."""
    match term:
        case Var(name):
            return frozenset() if name in ROOTS else frozenset({name})
        case Scalar():
            return frozenset()
        case Ref(head, path):
            return needs(head).union(*map(_pattern_needs, path))
        case Call(_, parts) | ArrayTerm(parts) | SetTerm(parts):
            return frozenset().union(*map(needs, parts)) - _indices(parts)
        case ObjectTerm(pairs):
            parts = tuple(part for pair in pairs for part in pair)
            return frozenset().union(*map(needs, parts)) - _indices(parts)
        case Comprehension(_, _, _, own):
            outside = frozenset(variables(term)) - own - ROOTS
            return frozenset(name for name in outside if not name.startswith(WILD))


def _pattern_needs(term: Term) -> Bound:
    """Give what a pattern needs: what stands in its places for values gets them."""
    match term:
        case Var():
            return frozenset()
        case ArrayTerm(items):
            return frozenset().union(*map(_pattern_needs, items))
        case ObjectTerm(pairs):
            keys = frozenset().union(*(needs(key) for key, _ in pairs))
            return keys.union(*(_pattern_needs(value) for _, value in pairs))
        case _:
            return needs(term)


def _outputs(term: Term) -> Bound:
    """Give the variables that a pattern gives values to."""
    match term:
        case Var(name):
            return frozenset() if name in ROOTS else frozenset({name})
        case ArrayTerm(items):
            return frozenset().union(*map(_outputs, items))
        case ObjectTerm(pairs):
            return frozenset().union(*(_outputs(value) for _, value in pairs))
        case _:
            return frozenset()


def _indices(terms: Iterable[Term]) -> Bound:
    """Give the variables that get values from where they stand in brackets."""
    found: set[str] = set()
    for term in terms:
        match term:
            case Ref(head, path):
                found |= _indices((head,))
                for part in path:
                    found |= _outputs(part) | _indices((part,))
            case Call(_, parts) | ArrayTerm(parts) | SetTerm(parts):
                found |= _indices(parts)
            case _:
                pass
    return frozenset(found)


def _free_of(statement: Statement) -> Bound:
    """Give the variables of a statement that others see."""
    return frozenset(statement_variables(statement)) - _owned(statement) - ROOTS


def _owned(statement: Statement) -> Bound:
    found = set(statement.own)
    for term in (*statement.terms, *(part for change in statement.changes for part in change)):
        found |= _owned_in(term)
    return frozenset(found) | _owned_by(statement.body)


def _owned_by(body: Body) -> Bound:
    return frozenset().union(*map(_owned, body))


def _owned_in(term: Term) -> Bound:
    match term:
        case Comprehension(_, _, _, own):
            wild = {name for name in variables(term) if name.startswith(WILD)}
            return own | wild
        case Ref(head, path):
            return _owned_in(head).union(*map(_owned_in, path))
        case Call(_, parts) | ArrayTerm(parts) | SetTerm(parts):
            return frozenset().union(*map(_owned_in, parts))
        case ObjectTerm(pairs):
            return frozenset().union(*(_owned_in(part) for pair in pairs for part in pair))
        case _:
            return frozenset()


# --- the insides ----------------------------------------------------------------------------


def _inside(statement: Statement, bound: Bound, rule: Rule) -> Statement:
    """Put the bodies inside of a statement in order."""
    # What stands in brackets gets its value while the statement is looked at.
    known = bound | _indices(statement.terms)
    body = statement.body
    if statement.kind == "every":
        own = frozenset(name for term in statement.terms[:2] for name in variables(term))
        body = arrange(body, bound | own, rule)[0]
    elif statement.kind == "not":
        body = tuple(_inside(one, bound, rule) for one in body)
    return statement._replace(
        terms=tuple(_inside_term(term, known, rule) for term in statement.terms),
        body=body,
        changes=tuple(
            (target, _inside_term(value, known, rule)) for target, value in statement.changes
        ),
    )


def _inside_term(term: Term, bound: Bound, rule: Rule) -> Term:
    def inside(part: Term) -> Term:
        return _inside_term(part, bound, rule)

    match term:
        case Ref(head, path):
            return term._replace(head=inside(head), path=tuple(map(inside, path)))
        case Call(_, arguments):
            return term._replace(arguments=tuple(map(inside, arguments)))
        case ArrayTerm(items):
            return ArrayTerm(tuple(map(inside, items)))
        case SetTerm(items):
            return SetTerm(tuple(map(inside, items)))
        case ObjectTerm(pairs):
            return ObjectTerm(tuple((inside(key), inside(value)) for key, value in pairs))
        case Comprehension(_, heads, body):
            ordered, after = arrange(body, bound, rule)
            terms = tuple(arrange_term(head, after, rule) for head in heads)
            return term._replace(heads=terms, body=ordered)
    return term
