"""The parser of HTTP responses."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.engine.response import MalformedError, ResponseParser

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: 1\r\nx-one:  2 \r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2;note=x\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"
)
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN
UNTIL_END = b"HTTP/1.0 200 OK\r\n\r\nhello"


def parse(*pieces: bytes, end: bool = False) -> tuple[ResponseParser, bytes]:
    parser = ResponseParser()
    body = b"".join(part for piece in pieces for part in parser.feed(piece))
    if end:
        parser.end()
    return parser, body


@pytest.mark.parametrize("whole", [PLAIN, CHUNKED, CONTINUED, UNTIL_END])
def test_a_response_is_the_same_however_it_is_cut(whole: bytes) -> None:
    for cut in range(len(whole)):
        parser, body = parse(whole[:cut], whole[cut:], end=True)

        assert body == b"hello"
        assert parser.complete
        assert parser.head is not None
        assert parser.head.status == 200


@pytest.mark.parametrize("whole", [PLAIN, CHUNKED, CONTINUED])
def test_what_follows_a_response_is_left_over(whole: bytes) -> None:
    parser, body = parse(whole + b"more")

    assert body == b"hello"
    assert parser.leftover == b"more"


def test_an_upgrade_ends_with_its_head() -> None:
    parser, body = parse(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: h2c\r\n\r\n\0\0\0frames")

    assert body == b""
    assert parser.complete
    assert parser.leftover == b"\0\0\0frames"


def test_headers_are_found_in_lower_case_and_repeated_ones_are_joined() -> None:
    parser, _ = parse(PLAIN)

    assert parser.head is not None
    assert parser.head.get("x-one") == "1, 2"
    assert parser.head.get("missing") == ""


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_answers_have_no_body(status: bytes) -> None:
    parser, _ = parse(b"HTTP/1.1 " + status + b"\r\n\r\n")

    assert parser.complete


def test_the_answer_to_head_has_no_body() -> None:
    parser = ResponseParser(without_body=True)

    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    assert parser.complete


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it begins with 'SSH-2.0-OpenSSH_9.2"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "it begins with '.x15"),
        (b"HTTP/2 200\r\n\r\n", "it begins with 'HTTP/2"),
        (b"HTTP/1.1 xyz\r\n\r\n", "it begins with 'HTTP/1.1 xyz'"),
        (b"HTTP/1.1 200 OK\nA: b\n\n\r\n\r\n", "it begins with"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "header line 'no colon'"),
        (b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n", "header line ' folded'"),
        (b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", "header line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "no number"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "ambiguous"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "ambiguous",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxy\r\n", "chunk of it begins"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "longer than"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n",
            "chunk of it begins",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 2000, "1 KiB"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 300,
            "256 trailer",
        ),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300 + b"\r\n", "256 header"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000, "64 KiB"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, "interim"),
    ],
)
def test_what_breaks_the_rules_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        parse(data)


@pytest.mark.parametrize("whole", [PLAIN, CHUNKED, CONTINUED])
def test_an_early_end_is_an_error_at_every_byte(whole: bytes) -> None:
    for cut in range(len(whole)):
        with pytest.raises(MalformedError, match="ends in the middle"):
            parse(whole[:cut], end=True)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_input_raises_anything_else(pieces: list[bytes]) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED[:52]):
        with suppress(MalformedError):
            parse(start, *pieces, end=True)
