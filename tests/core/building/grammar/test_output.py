from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.building.grammar.output import check_outputs, parse_output, parse_outputs
from dockyard.driver import Output
from dockyard.errors import InputError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("out", Output(type="local", dest="out")),
        ("-", Output(type="tar", dest="-")),
        ("dest=foo", Output(type="local", dest="dest=foo")),
        ("type=local,dest=o", Output(type="local", dest="o")),
        ('type=tar,"dest=a,b"', Output(type="tar", dest="a,b")),
        (
            "type=registry",
            Output(type="image", attributes={"push": "true", "unpack": "false"}),
        ),
        (
            "type=registry,push=false,unpack=true",
            Output(type="image", attributes={"push": "true", "unpack": "true"}),
        ),
        ("type=image,Name=x", Output(type="image", attributes={"name": "x"})),
        ("type=docker", Output(type="docker")),
        ("type=bogus,k=v", Output(type="bogus", attributes={"k": "v"})),
    ],
)
def test_one_output(value: str, expected: Output) -> None:
    assert parse_output(value) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("dest=a,b=c", "^type is required for output$"),
        ("type=local,baz", "^invalid value baz$"),
        ("type=,dest=a", "^type is required for output$"),
    ],
)
def test_a_wrong_output_is_refused(value: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_output(value)


def test_an_empty_value_is_no_output() -> None:
    assert parse_outputs([""], push=False, load=False) == ()


def test_push_adds_an_image_output() -> None:
    outputs = parse_outputs([], push=True, load=False)

    assert outputs == (Output(type="image", attributes={"push": "true", "unpack": "false"}),)


def test_push_changes_the_image_outputs_that_are_there() -> None:
    outputs = parse_outputs(["type=image,name=x", "out"], push=True, load=False)

    assert outputs[0].attributes == {"name": "x", "push": "true", "unpack": "false"}
    assert [output.type for output in outputs] == ["image", "local"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["docker"]),
        (["type=docker"], ["docker"]),
        (["type=docker,dest=a.tar"], ["docker", "docker"]),
        (["out"], ["local", "docker"]),
    ],
)
def test_load_adds_what_is_not_there(given: list[str], expected: list[str]) -> None:
    outputs = parse_outputs(given, push=False, load=True)

    assert [output.type for output in outputs] == expected
    assert outputs[-1].is_load


def check(tmp_path: Path, *values: str, terminal: bool = False) -> tuple[Output, ...]:
    outputs = parse_outputs(values, push=False, load=False)
    return check_outputs(outputs, working_directory=tmp_path, terminal=terminal)


def test_paths_become_absolute(tmp_path: Path) -> None:
    outputs = check(tmp_path, "out", "type=oci,dest=x/a.tar", "type=docker")

    assert [output.dest for output in outputs] == [
        str(tmp_path / "out"),
        str(tmp_path / "x/a.tar"),
        None,
    ]


def test_a_directory_that_is_there_takes_an_image(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()

    (output,) = check(tmp_path, "type=oci,tar=false,dest=directory")

    assert output.dest == str(tmp_path / "directory")


@pytest.mark.parametrize("kind", ["tar", "oci"])
def test_archives_without_a_place_go_to_stdout(tmp_path: Path, kind: str) -> None:
    assert check(tmp_path, f"type={kind}")[0].dest == "-"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["type=local"], "dest is required for local exporter"),
        (["type=local,dest=-"], "dest cannot be stdout for local exporter"),
        (["file"], "destination directory file is a file"),
        (["type=tar,dest=directory"], "destination file directory is a directory"),
        (["type=oci,dest=directory"], "destination file directory is a directory"),
        (["-", "type=oci"], "multiple outputs configured to write to stdout"),
        (["type=oci,tar=false"], "dest is required for oci exporter"),
        (["type=docker,tar=false"], "dest is required for docker exporter"),
        (["type=oci,tar=false,dest=-"], "dest cannot be stdout for oci exporter"),
        (["type=docker,tar=0,dest=file"], "destination directory file is a file"),
        (["type=local,dest=x,mode=foo"], 'invalid local exporter mode "foo"'),
    ],
)
def test_a_place_that_cannot_take_it_is_refused(
    tmp_path: Path, values: list[str], words: str
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "directory").mkdir()

    with pytest.raises(InputError, match=words):
        check(tmp_path, *values)


def test_a_terminal_gets_no_archive(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match="^dest file is required for oci exporter. refusing to write to console$",
    ):
        check(tmp_path, "type=oci", terminal=True)


@given(st.lists(st.text()), st.booleans(), st.booleans())
def test_any_text_gives_outputs_or_our_error(values: list[str], push: bool, load: bool) -> None:
    with suppress(InputError):
        assert len(parse_outputs(values, push=push, load=load)) >= len([*filter(None, values)])
