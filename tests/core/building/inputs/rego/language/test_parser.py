from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.building.inputs.rego.language.fault import PolicyFaultError
from dockyard.building.inputs.rego.language.parser import parse


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "p.rego:1: expected package, found the end"),
        ("x := 1", "p.rego:1: expected package, found 'x'"),
        ("package a\nx := {", "p.rego:2: expected a term, found the end"),
        ("package a\nx if {", "p.rego:2: expected a term, found the end"),
        ("package a\nallow { true }", "p.rego:2: expected if before a rule's body, found '{'"),
        ('package a\nx := "abc', "p.rego:2: unexpected end of a text that is not closed"),
        ('package a\nx := "\\q"', 'p.rego:2: the text "\\q" has a wrong escape'),
        ('package a\nx := $"y"', "p.rego:2: unexpected template string, which is not supported"),
        ("package a\nx := 1 y := 2", "p.rego:2: expected a new line, found 'y'"),
        ("package a\nimport foo.bar", "p.rego:2: what is imported has to begin with data or input"),
        ("package a\nx := 1 ? 2", "p.rego:2: unexpected '?'"),
        ("package a\ndefault x", "p.rego:2: a default has to have a value, found the end"),
        ("package a\nx if { 1 == 1 2 == 2 }", "p.rego:2: expected a new line, ; or }, found '2'"),
        (f"package a\nx := {'[' * 1000}", "p.rego:2: nested too deeply, found '['"),
        (f"package a\nx := {'(' * 5000}", "p.rego:2: nested too deeply, found '('"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, words: str) -> None:
    with pytest.raises(PolicyFaultError) as caught:
        parse(text, "p.rego")

    assert str(caught.value).startswith(words.removesuffix(", found the end"))


def test_a_file_knows_its_package_and_imports() -> None:
    module = parse("package a.b\nimport data.x.y as z\nimport rego.v1\nimport input.image\n", "p")

    assert module.package == ("a", "b")
    assert module.imports == ((("data", "x", "y"), "z"), (("input", "image"), "image"))


WORDS = st.sampled_from(
    [
        "package", "a", "x", "if", "{", "}", "[", "]", "(", ")", ":=", "=", "==", ".", ",", ":",
        ";", "|", "some", "in", "every", "not", "with", "as", "else", "default", "contains",
        "import", "data", "input", "1", "-2", '"s"', "`r`", "_", "true", "\n",
    ]
)  # fmt: skip


@given(st.lists(WORDS, max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    text = f"package a\n{' '.join(words)}"

    try:
        found: object = parse(text, "p.rego").package[0]
    except PolicyFaultError as error:
        found = error.file

    assert found in ("a", "p.rego")
