"""What ``not`` is about, and what has to have a value before.

In Rego only the outermost comparison or call stands behind ``not``: the calls inside of it, and
what is given to a call, are looked at before. So ``not startswith(input.git.branch, "x")`` does not
hold where there is no branch, and ``not input.git.branch == "x"`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dockyard.building.inputs.rego.language.tree import (
    ArrayTerm,
    Call,
    ObjectTerm,
    Ref,
    SetTerm,
    Statement,
    Term,
    Var,
)

_EQUAL = ("equal",)
Change = Callable[[Term], Term]


def parted(statement: Statement, new_name: Callable[[], str]) -> list[Statement]:
    """Give a ``not``, and before it what has to have a value.

    Args:
        statement: With names resolved.
        new_name: Gives a name that nothing else has.
    """
    before: list[Statement] = []
    (inner,) = statement.body

    def away(term: Term) -> Term:
        variable = Var(new_name())
        one = Statement("assign", (variable, term), line=statement.line)
        before.append(one._replace(changes=statement.changes))
        return variable

    def without_calls(term: Term) -> Term:
        changed = _changed(term, without_calls)
        return away(changed) if isinstance(changed, Call) else changed

    def without_refs(term: Term) -> Term:
        changed = _changed(term, without_refs)
        return away(changed) if isinstance(changed, Ref) else changed

    def inside(term: Term) -> Term:
        if isinstance(term, Ref):
            return term._replace(path=tuple(map(without_refs, term.path)))
        return _changed(term, without_refs)

    terms: Iterable[Term]
    match inner.terms:
        case [Call(name, arguments) as call]:
            given = map(without_calls, arguments)
            parts = tuple(map(inside if name == _EQUAL else without_refs, given))
            terms = (call._replace(arguments=parts),)
        case _:
            terms = [inside(without_calls(term)) for term in inner.terms]
    rest = statement._replace(body=(inner._replace(terms=tuple(terms)),))
    return [*before, rest]


def _changed(term: Term, change: Change) -> Term:
    """Change the parts of a term; not what is in bodies inside of it."""
    match term:
        case Ref(head, path):
            head = change(head) if not isinstance(head, Var) else head
            return term._replace(head=head, path=tuple(map(change, path)))
        case Call(_, arguments):
            return term._replace(arguments=tuple(map(change, arguments)))
        case ArrayTerm(items):
            return ArrayTerm(tuple(map(change, items)))
        case SetTerm(items):
            return SetTerm(tuple(map(change, items)))
        case ObjectTerm(pairs):
            return ObjectTerm(tuple((change(key), change(value)) for key, value in pairs))
    return term
