from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.building.inputs.rego.language.evaluator import REFUSED, decide

EXPRESSIONS = Path(__file__).with_name("expressions.txt").read_text().splitlines()[1:]
GIVEN = {
    "image": {
        "repo": "alpine",
        "tag": "3.19",
        "labels": {"a": "b", "x y": 'q"uo\\te\nnl'},
        "env": ["A=1", "PATH=/bin"],
        "n": None,
        "t": True,
        "f": 1.5,
        "deep": {"l": [1, 2, [3, {"k": "v"}]]},
    },
    "s": "é😀x",
    "l": [3, 1, 2, 3],
    "e": [],
    "o": {"a": 1, "b": {"c": 2}},
}


def test_expressions_mean_what_they_mean_to_open_policy_agent() -> None:
    wrong = {}
    for line in EXPRESSIONS:
        expression, _, expected = line.partition("  ==>  ")
        found = decide(f'decision := {{"r": {expression}}}', GIVEN)
        if found != _wanted(expected):
            wrong[line] = found

    assert len(EXPRESSIONS) > 300
    assert not wrong


def _wanted(expected: str) -> object:
    if expected in (REFUSED, "undefined"):
        return None if expected == "undefined" else REFUSED
    value = json.loads(expected)
    return {"r": pytest.approx(value, rel=1e-12) if isinstance(value, float) else value}


@pytest.mark.parametrize(
    "name",
    [
        "http.send({})",
        "opa.runtime()",
        "walk(input)",
        "net.lookup_ip_addr(input.s)",
        "rand.intn(1)",
    ],
)
def test_functions_that_look_outside_are_not_there(name: str) -> None:
    assert decide(f"decision := {name}", GIVEN) == REFUSED


@pytest.mark.parametrize(
    "expression",
    [
        "count(numbers.range(1, 1000000000))",
        'count(sprintf("%1000000000d", [1]))',
        'sprintf("%.999999999f", [1.5])',
        "bits.lsh(1, 1000000000)",
        'regex.match("((a{1000}){1000}){1000}", "a")',
        'units.parse(concat("", [x | some _ in numbers.range(1, 1000); x := "9"]))',
    ],
)
def test_nothing_becomes_endlessly_large(expression: str) -> None:
    assert decide(f"decision := {expression}", GIVEN) in (None, REFUSED)
