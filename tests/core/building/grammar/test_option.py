from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.building.grammar.option import (
    check_hosts,
    check_network,
    parse_add_host,
    parse_assignments,
    parse_cache,
    parse_labels,
    parse_size,
    parse_ulimits,
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


def test_a_size_is_named_with_its_flag() -> None:
    assert parse_size("1.5k", "shm-size") == 1536
    with pytest.raises(
        InputError, match='^invalid argument "foo" for "--shm-size" flag: invalid size: \'foo\'$'
    ):
        parse_size("foo", "shm-size")


def test_ulimits_are_sorted_and_the_last_of_a_name_counts() -> None:
    limits = parse_ulimits(["nofile=1", "core=2:3", "nofile=4"])

    assert limits == ("core=2:3", "nofile=4:4")


def test_a_wrong_ulimit_is_named_with_its_flag() -> None:
    with pytest.raises(
        InputError,
        match='^invalid argument "foo" for "--ulimit" flag: invalid ulimit argument: foo$',
    ):
        parse_ulimits(["foo"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a:1.2.3.4", [("a", "1.2.3.4")]),
        ("a=1.2.3.4,::1", [("a", "1.2.3.4"), ("a", "::1")]),
        ("a:::1", [("a", "::1")]),
        ("a=[::1]", [("a", "::1")]),
        ("a:host-gateway", [("a", "host-gateway")]),
    ],
)
def test_hosts(value: str, expected: list[tuple[str, str]]) -> None:
    pairs = parse_add_host(value)

    check_hosts(pairs)
    assert pairs == expected


@pytest.mark.parametrize(
    "value",
    [
        *("", "foo", "foo:", ":1.2.3.4", "foo=1.2.3.400", "foo:bar", "a:::1,", "a=::1,b"),
        *("a=::1,host-gateway", "a=fe80::1%eth0", "a=[]", "a=[::1", "a:1.2.3.04"),
    ],
)
def test_a_wrong_host_is_refused_as_it_was_said(value: str) -> None:
    with pytest.raises(InputError, match=f"^invalid host {re.escape(value)}$"):
        check_hosts(parse_add_host(value))


@pytest.mark.parametrize("pair", [("", "1.2.3.4"), ("a", "b"), ("a", "")])
def test_a_pair_that_python_made_is_checked_too(pair: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="^invalid host "):
        check_hosts([pair])


@pytest.mark.parametrize("mode", ["", "default", "none", "host"])
def test_networks_that_buildkit_has(mode: str) -> None:
    check_network(mode)


def test_a_network_that_buildkit_lacks_is_refused() -> None:
    with pytest.raises(InputError, match='^network mode "foo" not supported by buildkit'):
        check_network("foo")


def test_bare_cache_references_are_registries() -> None:
    entries = parse_cache(["a/b,c/d", "type=inline", "type=local,dest=x"])

    assert [(entry.type, dict(entry.attributes)) for entry in entries] == [
        ("registry", {"ref": "a/b"}),
        ("registry", {"ref": "c/d"}),
        ("inline", {}),
        ("local", {"dest": "x"}),
    ]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("a,", "EOF"),
        ('""', "EOF"),
        ("a,type=registry", "invalid value a"),
        ('"a,b"', "invalid value a"),
    ],
)
def test_what_stands_among_bare_references_has_to_be_one(value: str, why: str) -> None:
    with pytest.raises(InputError, match=f"^{why}$"):
        parse_cache([value])


def test_an_empty_value_is_no_cache() -> None:
    entries = parse_cache(["", "type=inline"])

    assert [entry.type for entry in entries] == ["inline"]


def test_a_cache_without_a_type_is_refused() -> None:
    with pytest.raises(InputError, match='^type required for "foo=bar"$'):
        parse_cache(["foo=bar"])


@given(st.text())
def test_any_text_gives_a_value_or_our_error(value: str) -> None:
    parsers: list[Callable[[str], object]] = [
        lambda text: check_hosts(parse_add_host(text)),
        check_network,
        lambda text: parse_ulimits([text]),
        lambda text: parse_size(text, "x"),
        lambda text: parse_cache([text]),
        lambda text: parse_labels([text]),
        lambda text: parse_assignments([text], {}),
    ]
    for parse in parsers:
        said = ""
        try:
            parse(value)
        except InputError as error:
            said = str(error)
        assert said.isprintable()


def test_a_cache_without_a_type_is_named_without_its_secrets() -> None:
    with pytest.raises(
        InputError, match=r'^type required for "region=x,secret_access_key=\*\*\*"$'
    ):
        parse_cache(["region=x,secret_access_key=hush,session_token=hush"])
