from __future__ import annotations

import pytest

from dockyard.building.inputs.rego.option import (
    FileSet,
    check_policies,
    is_disabled,
    parse_policies,
    plan,
)
from dockyard.errors import InputError

BESIDE = FileSet(("Dockerfile.rego",))


@pytest.mark.parametrize(
    ("values", "disabled"),
    [
        ([], False),
        (["disabled=true"], True),
        (["disabled=1"], True),
        (["disabled=false"], False),
        (["reset=true"], False),
        (["reset=true,log-level=debug", "strict=false"], False),
    ],
)
def test_policies_are_switched_off_or_not(values: list[str], disabled: bool) -> None:
    assert is_disabled(parse_policies(values)) is disabled


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["foo"], "invalid value foo"),
        (["foo=bar"], "invalid value foo=bar"),
        (["filename="], "invalid value filename="),
        (["log-level=foo"], 'invalid value log-level=foo: not a valid logrus Level: "foo"'),
        (["strict=x"], 'invalid value strict=x: strconv.ParseBool: parsing "x": invalid syntax'),
    ],
)
def test_what_is_no_policy_is_refused(values: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_policies(values)

    assert str(caught.value) == words


@pytest.mark.parametrize(
    "values",
    [
        ["disabled=true,strict=true"],
        ["disabled=true", "reset=true"],
        ["disabled=true", "disabled=true"],
        ["filename=a", "disabled=true"],
        ["disabled=true,log-level=info"],
    ],
)
def test_nothing_else_goes_with_disabled(values: list[str]) -> None:
    words = "^disabled policy cannot be combined with other policy flags$"
    with pytest.raises(InputError, match=words):
        is_disabled(parse_policies(values))


@pytest.mark.parametrize(
    ("values", "sets"),
    [
        ([], [BESIDE]),
        (["filename=a"], [BESIDE, FileSet(("a",))]),
        (["filename=a,filename=b"], [BESIDE, FileSet(("a", "b"))]),
        (["reset=true"], []),
        (["reset=true,filename=a"], [FileSet(("a",))]),
        (["filename=a", "reset=true", "filename=b"], [FileSet(("b",))]),
        (["strict=true"], [BESIDE._replace(strict=True)]),
        (["strict=true", "filename=a"], [BESIDE._replace(strict=True), FileSet(("a",))]),
        (["reset=true,strict=true", "filename=a"], [FileSet(("a",), strict=True)]),
        (["filename=a,log-level=DEBUG"], [BESIDE, FileSet(("a",), log_level="debug")]),
        (["filename=a", "log-level=warn"], [BESIDE, FileSet(("a",), log_level="warn")]),
    ],
)
def test_options_say_which_files_decide(values: list[str], sets: list[FileSet]) -> None:
    assert plan(parse_policies(values), BESIDE) == sets


def test_without_options_only_the_file_beside_the_dockerfile_decides() -> None:
    assert plan((), None) == []
    assert plan(parse_policies(["strict=true"]), None) == []
