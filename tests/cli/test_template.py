"""Tests for the templates of ``--format``."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.cli.template import Template
from dockyard.errors import InputError

VALUES = {
    "Name": "rem",
    "Platforms": "linux/amd64, linux/arm64",
    "Builder": {"Name": "rem", "Nodes": [{"Name": "n0"}], "Dynamic": False},
    "Empty": "",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{.Name}}", "rem"),
        ("{{ .Name }}|{{.Builder.Name}}", "rem|rem"),
        ("plain", "plain"),
        ("", ""),
        (r"{{.Name}}\t{{.Name}}\n", "rem\trem\n"),
        ("{{json .Name}}", '"rem"'),
        (
            "{{json .Builder}}",
            '{"Name":"rem","Nodes":[{"Name":"n0"}],"Dynamic":false}',
        ),
        ("{{.Name | upper}}", "REM"),
        ("{{upper .Name | lower | title}}", "Rem"),
        ('{{join (split .Platforms ", ") "+"}}', "linux/amd64+linux/arm64"),
        ('{{split .Platforms ", "}}', "[linux/amd64 linux/arm64]"),
        ("{{pad .Name 1 2}}|", " rem  |"),
        ("{{pad .Empty 1 2}}|", "|"),
        ("{{truncate .Name 2}}", "re"),
        ("{{len .Name}}", "3"),
        ("{{.Builder.Dynamic}}", "false"),
        ('{{"a b"}}{{`c`}}{{7}}', "a bc7"),
        ("a {{- .Name -}} b", "aremb"),
        ("a{{/* nothing */}}b", "ab"),
        ("{{(.Name)}}", "rem"),
        ('{{print "}}"}}', "}}"),
    ],
)
def test_a_template_is_filled_in(text: str, expected: str) -> None:
    assert Template(text).render(VALUES) == expected


def test_a_row_may_say_what_it_is_as_a_whole() -> None:
    assert Template("{{json .}}").render({"A": 1, ".": {"B": 2}}) == '{"B":2}'
    assert Template("{{json .}}").render({"A": 1}) == '{"A":1}'
    with pytest.raises(InputError, match="evaluate field C") as raised:
        Template("{{.C}}").render({"A": 1, ".": {"B": 2}})
    assert raised.value.hint == "fields: .A"


def test_json_escapes_what_go_escapes() -> None:
    assert Template("{{json .A}}").render({"A": "<&>"}) == '"\\u003c\\u0026\\u003e"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{foo .}}", 'function "foo" not defined'),
        ("{{.Name", "unclosed action"),
        ("{{}}", "missing value for command"),
        ("{{if .Name}}x{{end}}", '"if" is not supported in a format'),
        ("{{range .Nodes}}{{end}}", '"range" is not supported in a format'),
        ("{{.Name upper}}", "can't give argument to non-function .Name"),
        ("{{.Name | .Name}}", "can't give argument to non-function .Name"),
        ("{{json (.Name}}", "unclosed left paren"),
        ("{{.Name)}}", 'unexpected "\\)"'),
        ("{{$x := 1}}", "is not supported in a format"),
        ("{{.Name |}}", "missing value for command"),
        ("{{json upper}}", "upper needs brackets"),
    ],
)
def test_what_is_malformed_or_unsupported_is_named(text: str, words: str) -> None:
    with pytest.raises(InputError, match=f"^template parsing error: .*{words}"):
        Template(text)


def test_an_unknown_field_is_named_with_those_that_exist() -> None:
    with pytest.raises(InputError, match="at <.Foo>: can't evaluate field Foo") as caught:
        Template("{{.Foo}}").render(VALUES)

    assert caught.value.hint == "fields: .Name, .Platforms, .Builder, .Empty"


@pytest.mark.parametrize(
    "text", ["{{upper 1}}", "{{truncate .Name}}", "{{split .Name}}", "{{json}}"]
)
def test_wrong_arguments_are_an_error_of_ours(text: str) -> None:
    with pytest.raises(InputError, match="wrong number or type of arguments"):
        Template(text).render(VALUES)


@given(st.text(alphabet='{}.|()"`\\ -Nametrujson17$/*', max_size=30))
def test_no_text_ends_in_another_error(text: str) -> None:
    with suppress(InputError):
        Template(text).render(VALUES)
