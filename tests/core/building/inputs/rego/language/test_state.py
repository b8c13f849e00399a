"""What an evaluation takes for given, and what is put in its place for a while."""

from __future__ import annotations

import pytest

from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.parser import parse
from dockyard.building.inputs.rego.language.state import State, fault
from dockyard.building.inputs.rego.language.tree import Ref, Scalar, Term, Var
from dockyard.building.inputs.rego.language.value import Value, from_json, to_json


def path(head: str, *parts: str) -> Term:
    return Ref(Var(head), tuple(Scalar(part) for part in parts), 1)


@pytest.mark.parametrize(
    ("target", "value", "expected"),
    [
        (Var("input"), 7, 7),
        (path("input", "a"), 7, {"a": 7, "b": {"c": 2}}),
        (path("input", "b", "c"), 7, {"a": 1, "b": {"c": 7}}),
        (path("input", "new"), 7, {"a": 1, "b": {"c": 2}, "new": 7}),
    ],
)
def test_an_input_is_replaced_for_a_while(target: Term, value: Value, expected: object) -> None:
    given = from_json({"a": 1, "b": {"c": 2}})
    state = State(given)

    with state.changed([(target, value)]):
        replaced = state.input

    assert to_json(replaced) == expected
    assert state.input is given


def test_rules_are_replaced_and_what_is_learned_meanwhile_is_forgotten() -> None:
    state = State(None)
    state.known[("p", "x")] = 1

    with state.changed([(path("data", "p", "y"), 2)]):
        assert state.replaced == {("p", "y"): 2}
        assert not state.known
        state.known[("p", "x")] = 3
        with state.changed([(path("data", "p", "z"), 4)]):
            assert state.replaced == {("p", "y"): 2, ("p", "z"): 4}
        assert state.known == {("p", "x"): 3}

    assert state.known == {("p", "x"): 1}
    assert not state.replaced


def test_all_is_as_before_after_a_fault() -> None:
    state = State("given")

    with pytest.raises(PolicyFaultError, match="oh"), state.changed([(Var("input"), "other")]):
        fault("oh", None)

    assert state.input == "given"


def test_a_fault_names_file_and_line_of_its_rule() -> None:
    rule = parse("package p\n\nx := 1\n", "some.rego").rules[0]

    with pytest.raises(PolicyFaultError, match=r"^some.rego:3: oh$"):
        fault("oh", rule)
