"""Quantities: what they come to, how the server writes them, and which it refuses."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard_kubernetes.quantity import parse_bytes, parse_quantity

FORM = "quantities must match the regular expression "
BILLION = 1_000_000_000


@pytest.mark.parametrize(
    ("typed", "nano", "written"),
    [
        ("0", 0, "0"),
        ("-0", 0, "0"),
        ("1", BILLION, "1"),
        ("+5", 5 * BILLION, "5"),
        ("00012", 12 * BILLION, "12"),
        ("0.5", BILLION // 2, "500m"),
        (".5", BILLION // 2, "500m"),
        ("5.", 5 * BILLION, "5"),
        ("1500m", 1_500_000_000, "1500m"),
        ("1000m", BILLION, "1"),
        ("100m", 100_000_000, "100m"),
        ("2000k", 2_000_000 * BILLION, "2M"),
        ("1Ki", 1024 * BILLION, "1Ki"),
        ("0.5Ki", 512 * BILLION, "512"),
        ("1.5Ki", 1536 * BILLION, "1536"),
        ("1024Mi", (1 << 30) * BILLION, "1Gi"),
        ("1.5Gi", 3 * (1 << 29) * BILLION, "1536Mi"),
        ("1e3", 1000 * BILLION, "1e3"),
        ("1E3", 1000 * BILLION, "1e3"),
        ("1e-3", 1_000_000, "1e-3"),
        ("12e1", 120 * BILLION, "120"),
        ("1E", 10**18 * BILLION, "1E"),
        ("7Ei", 7 * (1 << 60) * BILLION, "7Ei"),
        ("1n", 1, "1n"),
        ("0.1n", 1, "1n"),
        ("0.0000000001", 1, "1n"),
    ],
)
def test_a_quantity_is_read_and_written_as_the_server_does(
    typed: str, nano: int, written: str
) -> None:
    assert parse_quantity(typed) == (nano, written)


@pytest.mark.parametrize(
    "typed", ["", "x", "1KI", "1.2.3", "1 Gi", "1_0", "\u0663", "Gi", "+", "9" * 65]
)
def test_what_is_no_quantity_is_refused_in_the_server_s_words(typed: str) -> None:
    with pytest.raises(ValueError, match=re.escape(FORM)) as caught:
        parse_quantity(typed)

    assert str(caught.value).endswith("'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")


@pytest.mark.parametrize("typed", ["1e", "1i2", "1kk", "1i", "1Mii", "1m3", "1e99999"])
def test_a_unit_that_there_is_not_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="unable to parse quantity's suffix"):
        parse_quantity(typed)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (".", "unable to parse numeric part of quantity"),
        ("-1", 'invalid quantity "-1": must be greater than or equal to 0'),
        ("8Ei", 'invalid quantity "8Ei": must be less than or equal to 9223372036854775807'),
        ("1e999", "must be less than or equal to"),
    ],
)
def test_an_amount_that_nothing_can_have_is_refused(typed: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_quantity(typed)


@given(st.integers(0, 8_000_000_000), st.sampled_from(["", "m", "k", "Ki", "Mi", "e3", "M"]))
def test_what_is_written_is_read_as_the_same_amount(number: int, unit: str) -> None:
    quantity = parse_quantity(f"{number}{unit}")

    again = parse_quantity(quantity.text)

    assert again == quantity


def test_bytes_come_whole() -> None:
    assert parse_bytes("512Mi").text == "512Mi"
    assert parse_bytes("1000m").text == "1"

    with pytest.raises(ValueError, match="a fraction of a byte; m means thousandths, .* 512Mi$"):
        parse_bytes("512m")
    with pytest.raises(ValueError, match="a fraction of a byte$"):
        parse_bytes("0.5")
