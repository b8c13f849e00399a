from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.wire.errors import CallError
from dockyard.wire.status import (
    Code,
    code_of_http,
    code_of_reset,
    decode_details,
    encode_details,
    parse_code,
    percent_decode,
    percent_encode,
    reset_of_code,
)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (Code.OK, "OK"),
        (Code.CANCELLED, "Canceled"),
        (Code.NOT_FOUND, "NotFound"),
        (Code.DEADLINE_EXCEEDED, "DeadlineExceeded"),
        (Code.UNAUTHENTICATED, "Unauthenticated"),
    ],
)
def test_a_code_has_the_name_that_daemons_print(code: Code, name: str) -> None:
    assert code.go_name == name


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_message_survives_percent_encoding(text: str) -> None:
    encoded = percent_encode(text)
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    assert percent_decode(encoded) == text


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        (b"50%25", "50%"),
        (b"50%", "50%"),
        (b"a%zzb", "a%zzb"),
        (b"%e2%82%AC", "\u20ac"),
        (b"%2", "%2"),
        (b"%ff", "\ufffd"),
        (b"%+1", "%+1"),
        (b"", ""),
    ],
)
def test_a_malformed_message_stays_readable(encoded: bytes, text: str) -> None:
    assert percent_decode(encoded) == text


@given(st.binary())
def test_details_are_read_with_and_without_padding(details: bytes) -> None:
    assert decode_details(base64.b64encode(details)) == details
    assert decode_details(encode_details(details)) == details
    assert b"=" not in encode_details(details)


@pytest.mark.parametrize("text", [b"a", b"***", b"ab=c", b"\xff\xff"])
def test_details_that_are_no_base64_are_empty(text: bytes) -> None:
    assert decode_details(text) == b""


@pytest.mark.parametrize("text", [b"", b"17", b"-1", b"x", b"0x1", b"9" * 5000])
def test_what_is_no_code_is_unknown(text: bytes) -> None:
    assert parse_code(text) is Code.UNKNOWN


def test_every_code_is_read() -> None:
    assert [parse_code(b"%d" % code) for code in Code] == list(Code)


def test_http_statuses_become_codes() -> None:
    assert code_of_http(404) is Code.UNIMPLEMENTED
    assert code_of_http(503) is Code.UNAVAILABLE
    assert code_of_http(418) is Code.UNKNOWN


def test_resets_become_codes_and_back() -> None:
    assert code_of_reset(7) is Code.UNAVAILABLE
    assert code_of_reset(8) is Code.CANCELLED
    assert code_of_reset(0xFFFF) is Code.INTERNAL
    assert reset_of_code(Code.CANCELLED) == 8
    assert reset_of_code(Code.INTERNAL) == 2


def test_a_call_error_says_its_code_and_message() -> None:
    assert str(CallError(Code.NOT_FOUND, "no such thing")) == "NotFound: no such thing"
    assert str(CallError(Code.NOT_FOUND)) == "NotFound"
