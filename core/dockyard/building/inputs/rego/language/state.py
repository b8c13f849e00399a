"""What an evaluation takes for given at each moment: its input, and the values of rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.program import Path
from dockyard.building.inputs.rego.language.tree import Ref, Rule, Scalar, Term, Var
from dockyard.building.inputs.rego.language.value import Maybe, RObject, Value


class State:
    """The state of one evaluation. A condition with ``with`` changes it for a while."""

    def __init__(self, given: Value) -> None:
        """Begin with an input; no rule has a value yet."""
        self.input = given
        self.rule: Rule | None = None
        """The definition that is being evaluated, for messages."""
        self.known: dict[Path, Maybe] = {}
        """The values of rules that were found already."""
        self.replaced: dict[Path, Value] = {}
        """What stands in the place of rules and functions now."""

    @contextmanager
    def changed(self, changes: Iterable[tuple[Term, Value]]) -> Iterator[None]:
        """Have targets replaced by values; what is learned meanwhile is forgotten afterwards."""
        before = self.input, self.replaced, self.known
        self.replaced, self.known = dict(self.replaced), {}
        try:
            for target, value in changes:
                self._replace(target, value)
            yield
        finally:
            self.input, self.replaced, self.known = before

    def _replace(self, target: Term, value: Value) -> None:
        if isinstance(target, Var):
            self.input = value
            return
        if not isinstance(target, Ref) or not isinstance(target.head, Var):
            raise TypeError(target)
        path = tuple(part.value for part in target.path if isinstance(part, Scalar))
        if target.head.name == "input":
            whole = self.input if isinstance(self.input, RObject) else RObject()
            self.input = whole.replaced(path, value)
        else:
            self.replaced[tuple(map(str, path))] = value


def fault(message: str, rule: Rule | None) -> NoReturn:
    """End the evaluation with a message about a rule.

    Raises:
        PolicyFaultError: Always.
    """
    if rule is None:
        raise PolicyFaultError(message)
    raise PolicyFaultError(message, rule.file, rule.line)
