"""Tests for docker's flag grammar."""

from __future__ import annotations

import pytest

from dockyard.cli.parser import CommandParser, Options
from dockyard.errors import FlagError, UsageError


@pytest.fixture
def parser() -> CommandParser:
    made = CommandParser("docker buildx make", "[OPTIONS] PATH", summary="Make things")
    made.switch("push", short="p", help="Push it")
    made.switch("quiet", short="q", help="Say nothing", default=True)
    made.text("file", short="f", help="Which file", default="Dockerfile")
    made.text("kind", help="Which kind", choices=("a", "b"))
    made.texts("tag", short="t", help="A name")
    made.texts("platform", csv=True, help="Platforms")
    made.duration("timeout", default="20s", help="How long")
    made.text("secret-door", help="Not for everyone", hidden=True)
    return made


def parse(parser: CommandParser, line: str) -> Options:
    return parser.parse(line.split())


def test_nothing_given_leaves_the_defaults(parser: CommandParser) -> None:
    options = parse(parser, "")

    assert (options.push, options.quiet, options.file, options.kind) == (
        False,
        True,
        "Dockerfile",
        "",
    )
    assert (options.tag, options.platform, options.timeout) == ([], [], 20.0)
    assert options.arguments == []


@pytest.mark.parametrize("line", ["--file=x", "--file x", "-f x", "-fx", "-f=x", "-pf x", "-pfx"])
def test_every_way_to_give_a_value_is_understood(parser: CommandParser, line: str) -> None:
    assert parse(parser, line).file == "x"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--push", True),
        ("-p", True),
        ("--push=true", True),
        ("--push=1", True),
        ("--push=false", False),
        ("-p=false", False),
        ("--push --push=F", False),
        ("-pq=false", True),
    ],
)
def test_a_switch_can_be_given_a_truth_value(
    parser: CommandParser, line: str, expected: bool
) -> None:
    assert parse(parser, line).push is expected


def test_a_switch_takes_no_word_after_it(parser: CommandParser) -> None:
    assert parse(parser, "--push false").arguments == ["false"]


def test_flags_and_arguments_may_be_mixed(parser: CommandParser) -> None:
    options = parse(parser, "one --push two -t a three -t b -- --push -x")

    assert options.arguments == ["one", "two", "three", "--push", "-x"]
    assert options.tag == ["a", "b"]


def test_a_value_may_look_like_a_flag(parser: CommandParser) -> None:
    assert parse(parser, "--file --push").file == "--push"
    assert parse(parser, "-f -").file == "-"
    assert parse(parser, "--file=--push=x").file == "--push=x"
    assert parse(parser, "-f=").file == "="
    assert parse(parser, "-f=x").file == "x"


def test_a_lone_dash_is_an_argument(parser: CommandParser) -> None:
    assert parse(parser, "- --push").arguments == ["-"]


def test_the_last_of_several_single_values_counts(parser: CommandParser) -> None:
    assert parse(parser, "-f a --file b").file == "b"


def test_comma_lists_are_split_and_quotes_keep_commas(parser: CommandParser) -> None:
    options = parser.parse(["--platform", "a,b", "--platform", '"c,d",e', "--tag", "x,y"])

    assert options.platform == ["a", "b", "c,d", "e"]
    assert options.tag == ["x,y"]


def test_empty_values_are_values(parser: CommandParser) -> None:
    options = parser.parse(["--file=", "--tag", "", "--platform="])

    assert (options.file, options.tag, options.platform) == ("", [""], [])


def test_a_flag_of_a_type_has_the_value_that_its_text_is_worth() -> None:
    parser = CommandParser("x", "")
    parser.text("size", parse=int, help="")
    parser.texts("each", parse=int, help="")

    options = parser.parse(["--size=1", "--each=2", "--each=3"])

    assert (options.size, options.each) == (1, [2, 3])
    with pytest.raises(FlagError, match=r'^invalid argument "a\\"b" for "--each" flag: '):
        parser.parse(['--each=a"b'])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--foo", "unknown flag: --foo"),
        ("--foo=1", "unknown flag: --foo"),
        ("--pu", "unknown flag: --pu"),
        ("--=x", "unknown flag: --"),
        ("-x", "unknown shorthand flag: 'x' in -x"),
        ("-px", "unknown shorthand flag: 'x' in -x"),
        ("--file", "flag needs an argument: --file"),
        ("-f", "flag needs an argument: 'f' in -f"),
        ("-pf", "flag needs an argument: 'f' in -pf"),
        (
            "--push=foo",
            'invalid argument "foo" for "-p, --push" flag: '
            'strconv.ParseBool: parsing "foo": invalid syntax',
        ),
        (
            "--timeout foo",
            'invalid argument "foo" for "--timeout" flag: time: invalid duration "foo"',
        ),
        ("--kind c", 'invalid argument "c" for "--kind" flag: must be one of a, b'),
        ("-p=", "unknown shorthand flag: '=' in -="),
    ],
)
def test_what_is_wrong_is_said_in_dockers_words(
    parser: CommandParser, line: str, words: str
) -> None:
    with pytest.raises(FlagError) as caught:
        parse(parser, line)

    assert str(caught.value) == words


def test_an_unknown_flag_comes_with_the_nearest_known_one(parser: CommandParser) -> None:
    with pytest.raises(FlagError) as caught:
        parse(parser, "--platfrom x")

    assert caught.value.hint == "did you mean --platform?"


@pytest.mark.parametrize(
    ("bounds", "line", "words"),
    [
        ((1, 1), "", "requires 1 argument"),
        ((1, 1), "a b", "requires 1 argument"),
        ((0, 0), "a", "requires 0 arguments"),
        ((0, 1), "a b", "requires at most 1 argument"),
        ((2, None), "a", "requires at least 2 arguments"),
    ],
)
def test_a_wrong_number_of_arguments_comes_with_the_usage(
    parser: CommandParser, bounds: tuple[int, int | None], line: str, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parser.parse(line.split(), bounds)

    assert not isinstance(caught.value, FlagError)
    assert str(caught.value) == (
        f"docker: 'docker buildx make' {words}\n\n"
        "Usage:  docker buildx make [OPTIONS] PATH\n\n"
        "Run 'docker buildx make --help' for more information"
    )


def test_help_counts_no_arguments(parser: CommandParser) -> None:
    assert parser.parse(["-h"], (1, 1)).help is True


def test_the_flags_in_front_are_split_from_the_rest(parser: CommandParser) -> None:
    assert parser.split_head(["-p", "-f", "x", "cmd", "--other"]) == (
        ["--push=true", "--file=x"],
        ["cmd", "--other"],
    )


def test_help_lists_the_flags_by_name_with_their_defaults(parser: CommandParser) -> None:
    assert parser.help_text() == (
        "Usage:  docker buildx make [OPTIONS] PATH\n"
        "\n"
        "Make things\n"
        "\n"
        "Options:\n"
        '  -f, --file string            Which file (default "Dockerfile")\n'
        "      --kind string            Which kind\n"
        "      --platform stringArray   Platforms\n"
        "  -p, --push                   Push it\n"
        "  -q, --quiet                  Say nothing (default true)\n"
        "  -t, --tag stringArray        A name\n"
        "      --timeout duration       How long (default 20s)\n"
    )
