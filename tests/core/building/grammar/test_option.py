from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.building.grammar.option import (
    parse_add_host,
    parse_assignments,
    parse_cache,
    parse_labels,
    parse_network,
    parse_size,
    parse_ulimit,
)
from dockyard.errors import InputError


def test_a_build_argument_without_a_value_is_the_environments_or_nothing() -> None:
    args = parse_assignments(["A=1", "B", "C", "D=", "E=x=y"], {"B": "two"})

    assert args == {"A": "1", "B": "two", "D": "", "E": "x=y"}


def test_a_label_without_a_value_is_empty() -> None:
    assert parse_labels(["a=1", "b"]) == {"a": "1", "b": ""}


@pytest.mark.parametrize("parse", [lambda v: parse_assignments(v, {}), parse_labels])
def test_an_empty_key_is_refused(parse: Callable[[list[str]], Any]) -> None:
    with pytest.raises(InputError, match='^invalid key-value pair "=x": empty key$'):
        parse(["=x"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", 0), ("64m", 64 << 20), ("1g", 1 << 30), ("1.5k", 1536), ("2KiB", 2048), ("3b", 3)],
)
def test_sizes_have_binary_units(value: str, expected: int) -> None:
    assert parse_size(value, "shm-size") == expected


@pytest.mark.parametrize("value", ["foo", "", "-1", "1x", "1 2", "k", "1e3"])
def test_what_is_no_size_is_refused(value: str) -> None:
    with pytest.raises(
        InputError, match='^invalid argument .* for "--shm-size" flag: invalid size'
    ):
        parse_size(value, "shm-size")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("nofile=1024", "nofile=1024:1024"), ("core=0:-1", "core=0:-1"), ("nproc=1:2", "nproc=1:2")],
)
def test_a_ulimit_has_both_limits(value: str, expected: str) -> None:
    assert parse_ulimit(value) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("foo", 'invalid argument "foo" for "--ulimit" flag: invalid ulimit argument: foo'),
        ("foo=1", "invalid ulimit type: foo"),
        ("nofile=a", "invalid ulimit argument: nofile=a"),
        ("nofile=1:2:3", "invalid ulimit argument"),
        ("nofile=3:2", "soft limit must be less than or equal to hard limit: 3 > 2"),
    ],
)
def test_a_wrong_ulimit_is_refused(value: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_ulimit(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a:1.2.3.4", [("a", "1.2.3.4")]),
        ("a=1.2.3.4,::1", [("a", "1.2.3.4"), ("a", "::1")]),
        ("a:1.2.3.4,b=::1,[::2]", [("a", "1.2.3.4"), ("b", "::1"), ("b", "::2")]),
        ("a:::1", [("a", "::1")]),
        ("a=[::1]", [("a", "::1")]),
        ("a:host-gateway", [("a", "host-gateway")]),
    ],
)
def test_hosts(value: str, expected: list[tuple[str, str]]) -> None:
    assert parse_add_host(value) == expected


@pytest.mark.parametrize(
    "value", ["foo", "foo:", ":1.2.3.4", "foo=1.2.3.400", "foo:bar", "a:::1,", "a=::1,b"]
)
def test_a_wrong_host_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="^invalid host "):
        parse_add_host(value)


@pytest.mark.parametrize("value", ["", "default", "none", "host"])
def test_networks_that_buildkit_has(value: str) -> None:
    assert parse_network(value) == value


def test_a_network_that_buildkit_lacks_is_refused() -> None:
    with pytest.raises(InputError, match='^network mode "foo" not supported by buildkit'):
        parse_network("foo")


def test_bare_cache_references_are_registries() -> None:
    entries = parse_cache(["a/b,c/d", "type=inline", "type=local,dest=x"])

    assert [(entry.type, dict(entry.attributes)) for entry in entries] == [
        ("registry", {"ref": "a/b"}),
        ("registry", {"ref": "c/d"}),
        ("inline", {}),
        ("local", {"dest": "x"}),
    ]


def test_an_empty_value_is_no_cache() -> None:
    entries = parse_cache(["", "type=inline"])

    assert [entry.type for entry in entries] == ["inline"]


def test_a_cache_without_a_type_is_refused() -> None:
    with pytest.raises(InputError, match='^type required for "foo=bar"$'):
        parse_cache(["foo=bar"])


@given(st.text())
def test_any_text_gives_a_value_or_our_error(value: str) -> None:
    parsers: list[Callable[[str], object]] = [
        parse_add_host,
        parse_network,
        parse_ulimit,
        lambda text: parse_size(text, "x"),
        lambda text: parse_cache([text]),
        lambda text: parse_labels([text]),
        lambda text: parse_assignments([text], {}),
    ]
    for parse in parsers:
        try:
            parse(value)
        except InputError:
            continue


def test_a_cache_without_a_type_is_named_without_its_secrets() -> None:
    with pytest.raises(
        InputError, match=r'^type required for "region=x,secret_access_key=\*\*\*"$'
    ):
        parse_cache(["region=x,secret_access_key=hush,session_token=hush"])
