"""Tests for buildkitd flags; the vectors were observed in buildx."""

from __future__ import annotations

import pytest

from dockyard.builder.flags import parse_flags, with_default_flags
from dockyard.errors import InputError

HOST = "--allow-insecure-entitlement=network.host"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", (HOST,)),
        ("--debug", ("--debug", HOST)),
        (
            "--debug --allow-insecure-entitlement=security.insecure",
            ("--debug", "--allow-insecure-entitlement=security.insecure", HOST),
        ),
        (
            "--allow-insecure-entitlement security.insecure --debug",
            ("--allow-insecure-entitlement", "security.insecure", "--debug"),
        ),
    ],
)
def test_the_hosts_network_is_allowed_unless_rights_were_given_first(
    typed: str, expected: tuple[str, ...]
) -> None:
    assert with_default_flags(parse_flags(typed)) == expected


def test_a_configuration_that_allows_it_needs_no_flag() -> None:
    assert with_default_flags((), configured=("network.host",)) is None
    assert with_default_flags(("--debug",), configured=("network.host",)) == ("--debug",)
    assert with_default_flags((), configured=("security.insecure",)) == (HOST,)


def test_a_daemon_in_the_hosts_network_is_always_allowed_it() -> None:
    given = ("--allow-insecure-entitlement=security.insecure",)

    assert with_default_flags((), configured=("network.host",), host_network=True) == (HOST,)
    assert with_default_flags(given, host_network=True) == (*given, HOST)
    assert with_default_flags((HOST,), host_network=True) == (HOST,)


def test_flags_are_split_as_a_shell_splits() -> None:
    assert parse_flags("""--a 'b c' --d="e f" """) == ("--a", "b c", "--d=e f")


def test_an_open_quote_is_refused() -> None:
    with pytest.raises(
        InputError,
        match="^failed to parse buildkit flags: EOF found when expecting closing quote$",
    ):
        parse_flags("--a 'b")
