from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.building.inputs.rego.language.evaluator import REFUSED, Listener, decide, evaluate
from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.value import MissingError, RObject, from_json

POLICIES = (
    Path(__file__).with_name("policies.txt").read_text().partition("\n\n")[2].split("\n---\n")[:-1]
)
GIVEN = {
    "image": {
        "repo": "alpine",
        "tag": "3.19",
        "host": "docker.io",
        "labels": {"a": "b", "c": "d"},
        "env": ["A=1", "PATH=/bin"],
        "isCanonical": True,
    },
    "l": [3, 1, 2, 3],
    "o": {"a": 1, "b": {"c": 2}},
    "env": {"args": {"X": "1"}},
}
IMAGE = RObject([("repo", "alpine")], {"labels": "config", "signatures": "chain"})
INPUT = RObject([("image", IMAGE)])


def test_policies_decide_as_they_do_with_open_policy_agent() -> None:
    wrong = {}
    for policy in POLICIES:
        body, _, expected = policy.rpartition("\n==> ")
        found = decide(body, GIVEN)
        if found != _wanted(expected):
            wrong[policy] = found

    assert len(POLICIES) > 100
    assert not wrong


def _wanted(expected: str) -> object:
    if expected in (REFUSED, "undefined"):
        return None if expected == "undefined" else REFUSED
    return json.loads(expected)


def test_files_import_each_other() -> None:
    files = {
        "a.rego": 'package docker\nimport data.lib.x\ndecision := {"r": x.ok(1), "s": x.y}\n',
        "b.rego": "package lib.x\nok(n) if n == 1\ny := input.l\n",
    }

    assert evaluate(files, from_json(GIVEN)) == {"r": True, "s": [3, 1, 2, 3]}


def test_files_of_one_package_add_up() -> None:
    files = {
        "a.rego": "package docker\nallow if input.image\n",
        "b.rego": 'package docker\ndecision := {"allow": allow}\n',
    }

    assert evaluate(files, from_json(GIVEN)) == {"allow": True}


@pytest.mark.parametrize(
    "condition",
    [
        'input.image.labels.x == "y"',
        "not input.image.labels.x",
        "some k, v in input.image.labels",
        "every v in input.image.labels { v }",
        "count(input.image) > 0",
        "input.image == {}",
        'object.get(input.image, "labels", {}) == {}',
        "x := input.image; x.labels",
        "x := input; count(x.image) == 0",
        "[1 | input.image.labels]",
        "f(input.image)",
        'input.image[["repo", "labels"][_]] == 1',
        'input.image[concat("", ["lab", "els"])]',
        "json.marshal(input) == 1",
        "{input.image}",
        "input.image[_] == 1",
        "print(input.image)",
        "x := [input.image]; x == [{}]",
        "input.image in [{}]",
        "object.keys(input.image)",
    ],
)
def test_what_is_not_known_is_never_decided_on(condition: str) -> None:
    body = f"f(i) if i.labels\ndecision := 1 if {{ {condition} }}\n"
    with pytest.raises(MissingError) as caught:
        evaluate({"p": f"package docker\n{body}"}, INPUT)

    assert "config" in caught.value.needs


@pytest.mark.parametrize(
    "condition",
    [
        "input.image",
        "not input.git",
        'input.image.repo == "alpine"',
        'input.image.repo == "x"; input.image.labels',
        "x := input.image; x.repo",
        "i := [input.image]; i[0].repo",
        "f(input.image)",
    ],
)
def test_what_is_not_looked_at_is_not_asked_for(condition: str) -> None:
    body = f"package docker\nf(i) if i.repo\ndecision := 1 if {{ {condition} }}\n"

    assert evaluate({"p": body}, INPUT) in (None, 1)


def test_what_is_replaced_need_not_be_known() -> None:
    body = (
        "package docker\n"
        'decision := x if { x := input.image.labels with input.image.labels as "z" }\n'
    )

    assert evaluate({"p": body}, INPUT) == "z"


def test_what_is_printed_names_its_place() -> None:
    listener = Listener()
    body = 'package docker\ndecision := 1 if {\n  print("a", {1, "b"}, input.nope)\n}'

    evaluate({"p.rego": body}, from_json({}), listener)

    assert listener.said == ['p.rego:3: a {1, "b"} <undefined>']


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("a := b\nb := a\ndecision := a", "p.rego:2: a needs itself"),
        ("f(x) := f(x)\ndecision := f(1)", "p.rego:2: f needs itself"),
        ("decision := 1\ndecision := 2", "p.rego:3: decision has more than one value"),
        ("decision := x if { x == 1 }", "p.rego:2: the variable x never gets a value"),
        (
            "decision := data.docker",
            "p.rego:2: a package as a whole cannot be read, only its rules",
        ),
        ("decision := nope(1)", "p.rego:2: there is no function nope"),
        ("decision := count(1, 2, 3)", "p.rego:2: count takes 1 arguments, not 3"),
        ("x contains 1\nx := 2", "p.rego:3: x is defined as a set and as something else"),
        (
            "decision := {a: b | [a, b] := [[1, 2], [1, 3]][_]}",
            "p.rego:2: an object would have two values for one key",
        ),
    ],
)
def test_a_fault_names_its_place(body: str, words: str) -> None:
    with pytest.raises(PolicyFaultError) as caught:
        evaluate({"p.rego": f"package docker\n{body}"}, from_json({}))

    assert str(caught.value) == words
