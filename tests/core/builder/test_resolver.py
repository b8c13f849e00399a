"""Tests for the choice of nodes by platform."""

from __future__ import annotations

import pytest

from dockyard.builder.resolver import resolve, resolve_declared
from dockyard.platforms import Platform, parse_list


def platforms(*lists: str) -> list[tuple[Platform, ...]]:
    return [parse_list([text]) if text else () for text in lists]


def shares(
    requested: str, *nodes: str, declared: bool = False
) -> list[tuple[int, list[str]]] | None:
    wanted = parse_list([requested]) if requested else ()
    found = (resolve_declared if declared else resolve)(wanted, platforms(*nodes))
    if found is None:
        return None
    return [(share.node, [str(platform) for platform in share.platforms]) for share in found]


# --- by what people declared -----------------------------------------------------------------


def test_no_platform_goes_to_the_first_node_unasked() -> None:
    assert shares("", "linux/arm64", "linux/amd64", declared=True) == [(0, [])]
    assert shares("", "linux/arm64", "linux/amd64") == [(0, [])]


def test_declared_platforms_settle_it_when_all_are_there() -> None:
    assert shares("linux/arm64,linux/amd64", "linux/amd64", "linux/arm64", declared=True) == [
        (1, ["linux/arm64"]),
        (0, ["linux/amd64"]),
    ]


def test_declared_platforms_settle_nothing_when_one_is_missing() -> None:
    assert shares("linux/arm64,linux/s390x", "linux/arm64", declared=True) is None
    assert shares("linux/amd64", "", declared=True) is None


def test_declared_platforms_are_matched_strictly() -> None:
    assert shares("linux/386", "linux/amd64", declared=True) is None
    assert shares("linux/arm/v6", "linux/arm/v7", declared=True) is None


def test_declared_spellings_of_one_platform_are_equal() -> None:
    wanted = [Platform("linux", "arm64", "v8")]

    found = resolve_declared(wanted, [(), (Platform("linux", "aarch64"),)])

    assert found is not None
    assert found[0].node == 1


def test_the_first_of_two_nodes_that_declare_a_platform_gets_it() -> None:
    assert shares("linux/arm64", "linux/arm64", "linux/arm64", declared=True) == [
        (0, ["linux/arm64"])
    ]


# --- by what nodes can build -----------------------------------------------------------------


def test_a_platform_nobody_can_build_goes_to_the_first_node() -> None:
    assert shares("linux/s390x", "linux/amd64", "linux/arm64") == [(0, ["linux/s390x"])]


def test_platforms_on_one_node_keep_the_order_they_were_asked_for() -> None:
    assert shares("linux/386,linux/arm64,linux/amd64", "linux/amd64,linux/386", "linux/arm64") == [
        (0, ["linux/386", "linux/amd64"]),
        (1, ["linux/arm64"]),
    ]


def test_an_exact_match_on_a_later_node_wins_over_a_compatible_one() -> None:
    assert shares("linux/386", "linux/amd64", "linux/386") == [(1, ["linux/386"])]
    assert shares("linux/arm/v6", "linux/arm/v7", "linux/arm/v6") == [(1, ["linux/arm/v6"])]


def test_a_tie_keeps_the_earlier_node() -> None:
    assert shares("linux/amd64", "linux/amd64", "linux/amd64") == [(0, ["linux/amd64"])]
    assert shares("linux/386", "linux/amd64", "linux/amd64") == [(0, ["linux/386"])]


def test_a_worse_later_node_does_not_win() -> None:
    assert shares("linux/arm/v7", "linux/arm/v7", "linux/arm64") == [(0, ["linux/arm/v7"])]


@pytest.mark.parametrize(
    ("declares", "accepts", "refuses"),
    [
        ("linux/amd64/v3", "linux/amd64/v3,linux/amd64/v2,linux/amd64,linux/386", "linux/amd64/v4"),
        ("linux/amd64", "linux/amd64,linux/386", "linux/amd64/v2"),
        ("linux/arm/v7", "linux/arm/v7,linux/arm/v6,linux/arm/v5", "linux/arm64"),
        (
            "linux/arm64",
            "linux/arm64,linux/arm/v8,linux/arm/v7,linux/arm/v6,linux/arm/v5",
            "linux/amd64",
        ),
        (
            "linux/arm64/v9.2",
            "linux/arm64/v9.2,linux/arm64/v9.1,linux/arm64/v9,linux/arm64/v8.7,linux/arm64/v8.1,"
            "linux/arm64,linux/arm/v7",
            "linux/arm64/v9.3",
        ),
        ("linux/riscv64", "linux/riscv64", "linux/386"),
        ("windows/amd64", "windows/amd64", "linux/amd64"),
    ],
)
def test_a_node_gets_what_its_platform_accepts(declares: str, accepts: str, refuses: str) -> None:
    other = "plan9/mips"

    for accepted in accepts.split(","):
        assert shares(accepted, other, declares) == [(1, [accepted])], accepted
    assert shares(refuses, other, declares) == [(0, [refuses])]
