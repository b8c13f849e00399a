"""Platforms: parsing, spelling, and which node serves which request."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.errors import InputError
from dockyard.platforms import Platform, accepts, better, matches, parse_all, parse_list, rank


def names(platforms: tuple[Platform, ...]) -> list[str]:
    return [str(platform) for platform in platforms]


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v8.0", "linux/arm64"),
        ("linux/arm64/9", "linux/arm64/v9"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/i386", "linux/386"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("LINUX/AMD64", "linux/amd64"),
        ("macos/arm64", "darwin/arm64"),
        ("unheard/of", "unheard/of"),
    ],
)
def test_a_platform_is_normalised_when_it_is_parsed(text: str, normal: str) -> None:
    assert str(Platform.parse(text)) == normal


@pytest.fixture
def arm_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        os, "uname", lambda: os.uname_result(("Linux", "host", "6", "#1", "aarch64"))
    )
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux", "linux/arm64"),
        ("windows", "windows/arm64"),
        ("macos", "darwin/arm64"),
        ("amd64", "linux/amd64"),
        ("armhf", "linux/arm/v7"),
        ("arm", "linux/arm/v7"),
        ("local", "linux/arm64"),
        ("LOCAL", "linux/arm64"),
    ],
)
@pytest.mark.usefixtures("arm_host")
def test_a_lone_part_is_completed_with_the_host(text: str, normal: str) -> None:
    assert str(Platform.parse(text)) == normal


@pytest.mark.parametrize(
    ("machine", "normal"),
    [
        ("x86_64", "linux/amd64"),
        ("i686", "linux/386"),
        ("armv7l", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"),
        ("ppc64le", "linux/ppc64le"),
        ("loongarch64", "linux/loong64"),
    ],
)
def test_the_host_is_named_as_manifests_name_it(
    machine: str, normal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", "6", "#1", machine)))
    monkeypatch.setattr(sys, "platform", "linux")

    assert str(Platform.host()) == normal


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bogus", '"bogus": unknown operating system or architecture: invalid argument'),
        ("linux/*", '"linux/*": wildcards not yet supported: invalid argument'),
        ("bogus/x/y/z", '"bogus/x/y/z": cannot parse platform specifier: invalid argument'),
        (
            "linux/a b",
            '"a b" is an invalid component of "linux/a b": platform specifier component must match '
            '"^[A-Za-z0-9_.-]+$": invalid argument',
        ),
        (
            "",
            '"" is an invalid OS component of "": OSAndVersion specifier component must match '
            r'"^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.%-]*)((?:\\+[A-Za-z0-9_.%-]+)*)\\))?$": '
            "invalid argument",
        ),
    ],
)
def test_what_is_no_platform_is_refused_in_these_words(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Platform.parse(text)

    assert str(caught.value) == message


def test_a_system_may_carry_its_version_and_features() -> None:
    platform = Platform.parse("windows(10.0.17763.1+win32k)/amd64")

    assert platform == Platform("windows", "amd64", "", "10.0.17763.1", ("win32k",))
    assert str(platform) == "windows/amd64"


def test_comma_lists_and_repetition_are_joined_without_duplicates() -> None:
    listed = parse_list(["linux/amd64,linux/arm64/v8", "linux/arm64", "linux/386"])

    assert names(listed) == ["linux/amd64", "linux/arm64", "linux/386"]


def test_what_shall_be_built_is_kept_as_often_as_it_is_named() -> None:
    asked = parse_all(["linux/amd64,linux/arm64", "amd64"])

    assert names(asked) == ["linux/amd64", "linux/arm64", "linux/amd64"]


def test_an_empty_part_of_a_list_is_refused() -> None:
    with pytest.raises(InputError, match="invalid argument"):
        parse_list(["linux/amd64,"])


@pytest.mark.parametrize(
    ("declared", "accepted"),
    [
        ("linux/amd64", ["amd64", "386"]),
        ("linux/amd64/v3", ["amd64/v3", "amd64/v2", "amd64", "386"]),
        ("linux/arm/v7", ["arm/v7", "arm/v6", "arm/v5"]),
        ("linux/arm/v5", ["arm/v5"]),
        ("linux/arm64", ["arm64", "arm/v8", "arm/v7", "arm/v6", "arm/v5"]),
        (
            "linux/arm64/v8.2",
            ["arm64/v8.2", "arm64/v8.1", "arm64", "arm/v8", "arm/v7", "arm/v6", "arm/v5"],
        ),
        (
            "linux/arm64/v9.1",
            [
                *("arm64/v9.1", "arm64/v9", "arm64/v8.6", "arm64/v8.5", "arm64/v8.4"),
                *("arm64/v8.3", "arm64/v8.2", "arm64/v8.1", "arm64"),
                *("arm/v8", "arm/v7", "arm/v6", "arm/v5"),
            ],
        ),
        ("linux/s390x", ["s390x"]),
    ],
)
def test_a_node_accepts_what_its_platform_can_run(declared: str, accepted: list[str]) -> None:
    assert names(accepts(Platform.parse(declared))) == [f"linux/{name}" for name in accepted]


def test_a_silly_variant_does_not_make_a_long_list() -> None:
    assert len(accepts(Platform("linux", "arm64", "v8.999999999"))) < 100


def test_another_system_is_never_accepted() -> None:
    assert not matches(Platform.parse("linux/amd64"), Platform.parse("windows/amd64"))


def test_windows_builds_must_agree_and_revisions_need_not() -> None:
    declared = Platform.parse("windows(10.0.17763.500)/amd64")

    assert matches(declared, Platform.parse("windows(10.0.17763.1)/amd64"))
    assert matches(declared, Platform.parse("windows/amd64"))
    assert not matches(declared, Platform.parse("windows(10.0.20348.1)/amd64"))


def test_the_exact_platform_ranks_first() -> None:
    arm, arm64, request = map(Platform.parse, ("linux/arm/v7", "linux/arm64", "linux/arm/v7"))

    assert better(arm, than=arm64, request=request)
    assert not better(arm64, than=arm, request=request)


def test_a_tie_is_not_better() -> None:
    platform = Platform.parse("linux/amd64")

    assert not better(platform, than=platform, request=platform)


def test_what_matches_is_better_than_what_does_not() -> None:
    amd64, s390x = Platform.parse("linux/amd64"), Platform.parse("linux/s390x")

    assert better(amd64, than=s390x, request=amd64)
    assert not better(s390x, than=amd64, request=amd64)


_parts = st.text("abcdefghijklmnopqrstuvwxyzAV0123456789_.-", min_size=1, max_size=8)


@given(_parts, _parts, st.one_of(st.just(""), _parts))
def test_normalising_twice_changes_nothing(system: str, machine: str, variant: str) -> None:
    once = Platform(system, machine, variant).normalise()

    assert once.normalise() == once
    assert rank(once, once) == 0


@given(st.text(max_size=30))
def test_any_text_is_a_platform_or_an_input_error(text: str) -> None:
    try:
        platform = Platform.parse(text)
    except InputError:
        return
    assert Platform.parse(str(platform)) == Platform(
        platform.os, platform.architecture, platform.variant
    )
