"""Evaluating one policy in a test."""

from __future__ import annotations

from dockyard.building.inputs.rego.language.evaluate import Evaluation
from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.functions.table import FUNCTIONS, arities
from dockyard.building.inputs.rego.language.parser import parse
from dockyard.building.inputs.rego.language.program import link
from dockyard.building.inputs.rego.language.value import UNDEFINED, Value, from_json, to_json

REFUSED = "refused"
_STEPS = 2_000_000


class Listener:
    """Hears what a policy prints, and lets it take so many steps."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._steps = 0

    def tick(self) -> None:
        self._steps += 1
        if self._steps > _STEPS:
            raise PolicyFaultError("too long")

    def say(self, text: str, file: str, line: int) -> None:
        self.said.append(f"{file}:{line}: {text}")


def evaluate(files: dict[str, str], given: Value, listener: Listener | None = None) -> object:
    """Give the decision of several files as JSON; None if there is none.

    Raises:
        PolicyFaultError: They make no sense.
    """
    program = link([parse(text, name) for name, text in files.items()], arities(FUNCTIONS))
    evaluation = Evaluation(program, FUNCTIONS, given, listener or Listener())
    found = evaluation.rule(("docker", "decision"))
    return None if found is UNDEFINED else to_json(found)


def decide(body: str, given: object) -> object:
    """Give the decision of one file, or say that it is refused."""
    try:
        return evaluate({"p.rego": f"package docker\n{body}\n"}, from_json(given))
    except PolicyFaultError:
        return REFUSED
