from __future__ import annotations

import contextlib
import random

import hpack
import pytest
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dockyard.wire.hpack import (
    STATIC,
    Decoder,
    Encoder,
    Header,
    HeaderError,
    HeaderListTooLargeError,
)
from dockyard.wire.huffman import HuffmanDecoder, HuffmanError

LIST_LIMIT = 1 << 20

names = st.sampled_from(
    [b"grpc-status", b"content-type", b":path", b"x-a", b"x-bc", b"authorization", b"te"]
)
values = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"0", b"trailers", b"v" * 300]))
lists = st.lists(st.tuples(names, values), max_size=12)


def oracle_encode(encoder: hpack.Encoder, headers: list[Header], *, huffman: bool) -> bytes:
    return encoder.encode(headers, huffman=huffman)


def oracle_decode(decoder: hpack.Decoder, block: bytes) -> list[Header]:
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]


def test_the_static_table_is_the_one_of_the_oracle() -> None:
    assert tuple(HeaderTable.STATIC_TABLE) == STATIC


@settings(max_examples=150, deadline=None)
@given(st.lists(lists, max_size=8), st.booleans())
def test_what_the_oracle_encodes_is_decoded(blocks: list[list[Header]], huffman: bool) -> None:
    encoder, decoder = hpack.Encoder(), Decoder(LIST_LIMIT)
    for headers in blocks:
        assert decoder.decode(oracle_encode(encoder, headers, huffman=huffman)) == headers


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(lists, st.sampled_from([None, None, 0, 64, 100, 4096, 65536])), max_size=8)
)
def test_the_oracle_decodes_what_we_encode_while_the_table_changes(
    blocks: list[tuple[list[Header], int | None]],
) -> None:
    encoder, decoder = Encoder(), hpack.Decoder()
    for headers, size in blocks:
        if size is not None:
            encoder.resize(size)
            decoder.max_allowed_table_size = size
        assert oracle_decode(decoder, encoder.encode(headers)) == headers


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(lists, st.sampled_from([None, 0, 40, 200, 4096])), max_size=8))
def test_the_oracle_may_shrink_and_grow_its_table(
    blocks: list[tuple[list[Header], int | None]],
) -> None:
    encoder, decoder = hpack.Encoder(), Decoder(LIST_LIMIT)
    for headers, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        assert decoder.decode(oracle_encode(encoder, headers, huffman=True)) == headers


def test_a_repeated_header_takes_one_byte_the_second_time() -> None:
    encoder = Encoder()
    headers = [(b"x-header", b"some value")]
    assert len(encoder.encode(headers)) > 10
    assert len(encoder.encode(headers)) == 1


def test_a_long_connection_reuses_its_table_and_stays_in_step_with_the_oracle() -> None:
    encoder, decoder = Encoder(), hpack.Decoder()
    chance = random.Random(7)
    for _ in range(400):
        headers = [(b"x-%d" % chance.randrange(300), b"v" * chance.randrange(60)) for _ in range(5)]
        assert oracle_decode(decoder, encoder.encode(headers)) == headers


def test_a_secret_is_marked_never_to_be_indexed() -> None:
    assert Encoder().encode([(b"authorization", b"x")])[0] & 0xF0 == 0x10


def test_of_two_changes_of_the_table_the_smallest_and_the_last_are_announced() -> None:
    encoder = Encoder()
    encoder.resize(100)
    encoder.resize(0)
    encoder.resize(50)
    assert encoder.encode([]) == bytes([0x20, 0x3F, 50 - 31])


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"\x80", "index 0"),
        (b"\xff\x00", "index 127"),
        (b"\xff\x80\x80\x80\x80\x01", "too long"),
        (b"\xff", "too early"),
        (b"\x40", "too early"),
        (b"\x00\x05ab", "too early"),
        (b"\x00\x01a", "too early"),
        (b"\x82\x20", "not allowed"),
        (b"\x3f\xe2\x1f", "not allowed"),
        (b"\x00\x81\xff\x01a", "Huffman"),
        (b"\x00\x81\x00\x01a", "Huffman"),
        (b"\x00\x84\xff\xff\xff\xff\x00", "Huffman"),
    ],
)
def test_a_malformed_block_is_refused(block: bytes, why: str) -> None:
    with pytest.raises(HeaderError, match=why):
        Decoder(LIST_LIMIT).decode(block)


def test_a_table_as_large_as_was_offered_may_be_used() -> None:
    assert Decoder(LIST_LIMIT).decode(b"\x3f\xe1\x1f\x82") == [(b":method", b"GET")]


def test_a_small_block_that_expands_to_a_large_list_is_refused_before_it_does() -> None:
    bomb = b"\x40\x01a\x7f\x81\x1e" + b"v" * 4000 + b"\xbe" * 100_000
    decoder = Decoder(LIST_LIMIT)
    with pytest.raises(HeaderListTooLargeError):
        decoder.decode(bomb)


def test_the_list_may_be_as_large_as_its_limit() -> None:
    limit = 1 + 2 + 32
    assert Decoder(limit).decode(b"\x00\x01a\x02bc") == [(b"a", b"bc")]
    with pytest.raises(HeaderListTooLargeError):
        Decoder(limit - 1).decode(b"\x00\x01a\x02bc")


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_as_the_oracle_does_or_refused(block: bytes) -> None:
    assume(b"\x80\x80\x80\x80" not in block)  # integers of more than five bytes we refuse
    expected: list[Header] | None = None
    ours: list[Header] | None = None
    with contextlib.suppress(hpack.HPACKError):
        expected = oracle_decode(hpack.Decoder(max_header_list_size=LIST_LIMIT), block)
    with contextlib.suppress(HeaderError):
        ours = Decoder(LIST_LIMIT).decode(block)
    assert ours == expected


def huffman(text: bytes) -> bytes:
    value = bits = 0
    for byte in text:
        value = value << REQUEST_CODES_LENGTH[byte] | REQUEST_CODES[byte]
        bits += REQUEST_CODES_LENGTH[byte]
    padding = -bits % 8
    return ((value << padding) | ((1 << padding) - 1)).to_bytes((bits + padding) // 8, "big")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_every_text_comes_out_of_its_huffman_code(text: bytes) -> None:
    assert HuffmanDecoder().decode(huffman(text)) == text


def test_every_byte_has_its_code() -> None:
    decoder = HuffmanDecoder()
    for byte in range(256):
        assert decoder.decode(huffman(bytes([byte]))) == bytes([byte])


@pytest.mark.parametrize(
    "text", [b"\xff", b"\xff\xff\xff\xfc", b"\xff\xff\xff\xff", b"\x00", b"\x1f\xff"]
)
def test_wrong_padding_and_the_end_mark_are_refused(text: bytes) -> None:
    with pytest.raises(HuffmanError):
        HuffmanDecoder().decode(text)


def test_a_long_text_is_decoded() -> None:
    text = bytes(random.Random(1).choices(b"ABCDEFGHabcdefgh01234567+/", k=20_000))
    assert HuffmanDecoder().decode(huffman(text)) == text
