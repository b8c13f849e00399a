from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from dockyard.building.call.grammar import Call
from dockyard.cli.call import show_call
from dockyard.cli.commands import build
from dockyard.cli.parser import CommandParser
from dockyard.driver import BuildRequest
from dockyard.errors import InputError, ProtocolError

TEXT = b"FROM scratch as x\nENV A b\nFOO bar\n"
SOURCES = [{"filename": "Dockerfile", "data": base64.b64encode(TEXT).decode()}]


def place(line: int) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": line}, "end": {"line": line}}]}


def warning(rule: str, line: int) -> dict[str, Any]:
    return {"ruleName": rule, "url": f"http://{rule}", "detail": "words", "location": place(line)}


def show(
    call: Call, answer: Mapping[str, str], *, dockerfile: str | None = None
) -> tuple[str, int]:
    lines: list[str] = []
    request = BuildRequest(build_context="some/where", dockerfile=dockerfile)
    code = show_call(call, answer, request, lines.append)
    return "\n".join([*lines, ""]), code


def answer(values: Any, **more: str) -> dict[str, str]:  # noqa: ANN401  # JSON
    return {"result.json": json.dumps(values), "version": "1.0.0", **more}


LINT = Call(name="lint")


def test_a_clean_dockerfile_is_said_to_be_clean() -> None:
    assert show(LINT, answer({"warnings": None})) == ("Check complete, no warnings found.\n", 0)


def test_warnings_are_shown_in_the_order_of_their_lines_with_the_name_that_was_given() -> None:
    found = answer(
        {"warnings": [warning("B", 2), warning("A", 1)], "sources": SOURCES},
        **{"result.statuscode": "1"},
    )

    text, code = show(LINT, found)

    assert code == 1
    assert text == (
        "Check complete, 2 warnings have been found!\n"
        "\n"
        "WARNING: A - http://A\n"
        "words\n"
        "some/where/Dockerfile:1\n"
        "--------------------\n"
        "   1 | >>> FROM scratch as x\n"
        "   2 |     ENV A b\n"
        "   3 |     FOO bar\n"
        "--------------------\n"
        "\n"
        "WARNING: B - http://B\n"
        "words\n"
        "some/where/Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM scratch as x\n"
        "   2 | >>> ENV A b\n"
        "   3 |     FOO bar\n"
        "   4 |     \n"
        "--------------------\n"
    )


@pytest.mark.parametrize(
    ("given", "shown"), [("-", "stdin"), ("http://x/y", "http://x/y"), ("a/b", "a/b")]
)
def test_a_dockerfile_is_called_as_it_was_given(given: str, shown: str) -> None:
    found = answer({"warnings": [warning("A", 1)], "sources": SOURCES})

    text, code = show(LINT, found, dockerfile=given)

    assert f"\n{shown}:1\n" in text
    assert text.startswith("Check complete, 1 warning has been found!\n")
    assert code == 0  # the frontend proposed nothing else


def test_a_warning_about_no_place_comes_first_and_without_lines() -> None:
    found = answer({"warnings": [warning("B", 1), {"ruleName": "A"}], "sources": SOURCES})

    text, _ = show(LINT, found)

    assert text.split("\n\n")[1] == "WARNING: A"


def test_a_dockerfile_that_cannot_be_read_is_an_error_after_its_warnings() -> None:
    failure = {"message": "unknown instruction: FOO", "location": place(3)}
    found = answer({"warnings": [warning("A", 1)], "sources": SOURCES, "buildError": failure})

    with pytest.raises(InputError) as caught:
        show(LINT, found)

    assert str(caught.value).startswith(
        "unknown instruction: FOO\nsome/where/Dockerfile:3\n--------------------\n"
    )
    assert caught.value.exit_code == 1


def test_the_status_may_be_ignored() -> None:
    found = answer({"warnings": None}, **{"result.statuscode": "1"})

    assert show(LINT, found)[1] == 1
    assert show(Call(name="lint", ignore_status=True), found)[1] == 0


def test_json_is_shown_as_it_came() -> None:
    text = '{\n  "warnings":  null\n}'

    assert show(Call(name="lint", format="json"), {"result.json": text}) == (f"{text}\n", 0)


def test_an_outline_is_shown_as_tables() -> None:
    found = answer(
        {
            "name": "final",
            "description": "thing",
            "args": [{"name": "A", "value": "1"}, {"name": "LONG", "description": "words"}],
            "secrets": [{"name": "tok"}, {"name": "req", "required": True}],
            "ssh": [{"name": "default"}],
        }
    )

    assert show(Call(name="outline"), found)[0] == (
        "TARGET:      final\n"
        "DESCRIPTION: thing\n"
        "\n"
        "BUILD ARG   VALUE   DESCRIPTION\n"
        "A           1       \n"
        "LONG                words\n"
        "\n"
        "SECRET   REQUIRED\n"
        "tok      \n"
        "req      true\n"
        "\n"
        "SSH       REQUIRED\n"
        "default   \n"
        "\n"
    )


def test_targets_and_methods_are_tables() -> None:
    targets = [{"name": "a"}, {"name": "b", "default": True, "description": "d"}, {"default": True}]

    assert show(Call(name="targets"), answer({"targets": targets}))[0] == (
        "TARGET      DESCRIPTION\na           \nb (default) d\n(default)   \n"
    )
    methods = [{"name": "frontend.x", "version": "1.0.0", "description": "d"}]
    assert show(Call(name="subrequests.describe"), answer(methods))[0] == (
        "NAME VERSION DESCRIPTION\nx    1.0.0   d\n"
    )


def test_an_answer_newer_than_we_know_shows_itself() -> None:
    found = answer({"targets": []}, **{"version": "1.1.0", "result.txt": "own words\n"})

    assert show(Call(name="targets"), found)[0] == "own words\n"


def test_a_method_that_we_do_not_know_shows_itself() -> None:
    assert show(Call(name="foo"), {"result.txt": "words"})[0] == "words\n"
    assert show(Call(name="foo"), {"a": "b"})[0] == "foo {'a': 'b'}\n"


def test_an_answer_that_makes_no_sense_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="makes no sense"):
        show(LINT, {"result.json": "[]"})


def test_a_version_that_is_no_version_is_not_newer() -> None:
    found = answer({"warnings": None}, **{"result.txt": "own words"}) | {"version": "9" * 5000}

    assert show(LINT, found) == ("Check complete, no warnings found.\n", 0)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("", None),
        ("--check", "lint"),
        ("--check --call=outline", "outline"),
        ("--call outline --check", "lint"),
        ("--print targets --check --print outline", "outline"),
        ("--call outline --check=false", "outline"),
        ("--check --call build", None),
    ],
)
def test_of_several_flags_for_calls_the_last_one_counts(line: str, name: str | None) -> None:
    parser = CommandParser("build", "PATH")
    build.COMMAND.flags(parser)

    call = build._call(parser.parse(line.split()))

    assert (call.name if call else None) == name
