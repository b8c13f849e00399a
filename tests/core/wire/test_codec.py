from __future__ import annotations

from random import Random
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dockyard.wire import field_reader, messages
from dockyard.wire.codec import CodecError, Message, decode, encode
from dockyard.wire.errors import WireError
from support.protos import protos, to_dict
from support.samples import TABLES, sample, without_defaults

FUZZED = [
    "SOLVE_REQUEST",
    "STATUS_RESPONSE",
    "LIST_WORKERS_RESPONSE",
    "OP",
    "DEFINITION",
    "RESULT",
    "EXEC_MESSAGE",
    "PASSTHROUGH_OP",
    "BUILD_HISTORY_RECORD",
    "RPC_STATUS",
]


def agree(table: Message, data: bytes) -> None:
    """Whatever we accept protobuf accepts too, and both understand the same."""
    try:
        ours = decode(table, data)
    except CodecError:
        return
    theirs = protos().parse(table.name, data)
    assert without_defaults(table, ours) == to_dict(theirs)


# --- what protobuf's rules say -------------------------------------------------------------


def test_only_fields_that_are_on_the_wire_are_in_the_dict() -> None:
    assert decode(messages.SOLVE_REQUEST, b"") == {}
    assert decode(messages.SOLVE_REQUEST, b"\x0a\x01r") == {"Ref": "r"}


def test_defaults_are_left_out_but_not_where_presence_counts() -> None:
    assert encode(messages.SOLVE_REQUEST, {"Ref": "", "Internal": False, "Exporters": []}) == b""
    assert encode(messages.VERTEX_STATUS, {"current": 0}) == b""
    assert encode(messages.SOLVE_REQUEST, {"Definition": {}}) == b"\x12\x00"
    assert encode(messages.USER_OPT, {"byID": 0}) == b"\x10\x00"


def test_none_means_absent() -> None:
    assert encode(messages.SOLVE_REQUEST, {"Definition": None, "Ref": "r"}) == b"\x0a\x01r"


def test_empty_values_in_maps_and_lists_are_kept() -> None:
    data = encode(messages.SOLVE_REQUEST, {"FrontendAttrs": {"no-cache": "", "": "x"}})

    assert decode(messages.SOLVE_REQUEST, data) == {"FrontendAttrs": {"no-cache": "", "": "x"}}
    assert protos().decode("moby.buildkit.v1.SolveRequest", data) == {
        "FrontendAttrs": {"no-cache": "", "": "x"}
    }
    listed = encode(messages.SOLVE_REQUEST, {"Entitlements": ["", "a"]})
    assert decode(messages.SOLVE_REQUEST, listed) == {"Entitlements": ["", "a"]}


def test_a_map_entry_without_key_or_value_has_the_defaults() -> None:
    assert decode(messages.SOLVE_REQUEST, b"\x3a\x00") == {"FrontendAttrs": {"": ""}}
    assert decode(messages.SOLVE_REQUEST, b"\x52\x00") == {"FrontendInputs": {"": {}}}
    assert decode(messages.BUILD_RESULT_INFO, b"\x1a\x00") == {"Results": {0: {}}}


def test_a_map_entry_has_no_other_fields() -> None:
    with pytest.raises(CodecError, match="has no field 3"):
        decode(messages.SOLVE_REQUEST, b"\x3a\x02\x18\x01")


def test_fields_are_written_in_the_order_of_their_numbers() -> None:
    one = encode(messages.VERTEX, {"name": "n", "digest": "d"})

    assert one == encode(messages.VERTEX, {"digest": "d", "name": "n"}) == b"\x0a\x01d\x1a\x01n"


def test_packed_and_unpacked_numbers_are_both_read() -> None:
    table = messages.PASSTHROUGH_OP

    assert encode(table, {"outputs": [1, 300]}) == b"\x12\x03\x01\xac\x02"
    assert decode(table, b"\x12\x03\x01\xac\x02") == {"outputs": [1, 300]}
    assert decode(table, b"\x10\x01\x10\xac\x02") == {"outputs": [1, 300]}
    assert decode(table, b"\x10\x01\x12\x02\xac\x02") == {"outputs": [1, 300]}


@given(seed=st.integers(0, 1 << 32), name=st.sampled_from(FUZZED))
def test_pieces_of_one_message_are_merged_as_protobuf_does(seed: int, name: str) -> None:
    random = Random(seed)
    pieces = [encode(TABLES[name], sample(TABLES[name], random)) for _ in range(2)]
    theirs = protos().decode(TABLES[name].name, b"".join(pieces))

    assert without_defaults(TABLES[name], decode(TABLES[name], b"".join(pieces))) == theirs


def test_the_last_member_of_a_oneof_wins() -> None:
    data = encode(messages.OP, {"exec": {"cdiDevices": []}}) + encode(messages.OP, {"file": {}})

    assert decode(messages.OP, data) == {"file": {}}


def test_unknown_fields_are_skipped() -> None:
    unknown = (
        b"\xa0\x06\x96\x01" + b"\xa1\x06" + bytes(8) + b"\xa2\x06\x02hi" + b"\xa5\x06" + bytes(4)
    )

    assert decode(messages.STATUS_REQUEST, unknown + b"\x0a\x01r" + unknown) == {"Ref": "r"}


def test_numbers_are_cut_to_their_size_as_protobuf_does() -> None:
    big = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"

    assert decode(messages.TIMESTAMP, big) == {"seconds": -1}
    assert decode(messages.RPC_STATUS, big) == {"code": -1}
    assert decode(messages.RESIZE_MESSAGE, big) == {"Rows": 0xFFFFFFFF}
    agree(messages.RESIZE_MESSAGE, b"\x08\x80\x80\x80\x80\x70")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_can_be_read_and_written(kind: type) -> None:
    data = encode(messages.BYTES_MESSAGE, {"data": kind(b"\x00\xff")})

    assert data == b"\x0a\x02\x00\xff"
    assert decode(messages.BYTES_MESSAGE, kind(data)) == {"data": b"\x00\xff"}


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x0a", "cut off"),
        (b"\x0a\x05abc", "past the end"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "past the end"),
        (b"\x08\x01", "wrong wire type"),
        (b"\x0d\x01\x01\x01\x01", "wrong wire type"),
        (b"\x0b\x0c", "wrong wire type"),
        (b"\xa3\x06\xa4\x06", "group"),
        (b"\xa6\x06", "wire type 6"),
        (b"\x00\x00", "no field number"),
        (b"\x80\x80\x80\x80\x10\x00", "field number is too large"),
        (b"\x8a\x80\x80\x80\x80\x00\x01r", "field number is too large"),
        (b"\xa0\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "larger than 64 bits"),
        (b"\xa0\x06" + b"\x80" * 11, "longer than ten bytes"),
        (b"\xa1\x06\x00\x00", "longer than its message"),
        (b"\x0a\x01\xff", "not valid UTF-8"),
        (b"\x0a\x03\xed\xa0\x80", "not valid UTF-8"),
    ],
)
def test_malformed_messages_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        decode(messages.STATUS_REQUEST, data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x12\x01\xac",  # a packed list that ends within a number
        b"\x12\x02\x01\xac\x01",  # the same, with bytes behind it
    ],
)
def test_a_packed_list_cannot_end_within_a_number(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(messages.PASSTHROUGH_OP, data)


def test_a_submessage_cannot_reach_past_its_end() -> None:
    inner = b"\x08\xac"  # a number that goes on
    with pytest.raises(CodecError, match="longer than its message"):
        decode(messages.RANGE, b"\x0a\x02" + inner + b"\x12\x00")


def test_nesting_is_bounded_where_protobuf_bounds_it() -> None:
    def nested(levels: int) -> bytes:
        data = b""
        for level in reversed(range(levels)):  # Definition.Source.infos.definition, and so on
            data = _framed(b"\x12" if level % 3 == 1 else b"\x1a", data)
        return data

    assert decode(messages.DEFINITION, nested(field_reader.MAX_DEPTH))
    protos().parse("pb.Definition", nested(field_reader.MAX_DEPTH - 1))
    with pytest.raises(CodecError, match="too deeply"):
        decode(messages.DEFINITION, nested(field_reader.MAX_DEPTH + 1))
    with pytest.raises(DecodeError):
        protos().parse("pb.Definition", nested(field_reader.MAX_DEPTH + 1))


def _framed(tag: bytes, data: bytes) -> bytes:
    length = len(data)
    return (
        tag
        + (bytes((length,)) if length < 128 else bytes((length & 127 | 128, length >> 7)))
        + data
    )


def test_a_dict_that_contains_itself_is_refused() -> None:
    values: dict[str, Any] = {}
    values["Source"] = {"infos": [{"definition": values}]}

    with pytest.raises(CodecError, match="too deeply"):
        encode(messages.DEFINITION, values)


@pytest.mark.parametrize(
    ("table", "element"),
    [
        (messages.STATUS_RESPONSE, b"\x0a\x00"),
        (messages.SOLVE_REQUEST, b"\x4a\x00"),
        (messages.SOLVE_REQUEST, b"\x3a\x00"),
        (messages.PASSTHROUGH_OP, b"\x10\x00"),
        (messages.VERTEX_WARNING, b"\x22\x00"),
    ],
)
def test_the_count_of_elements_is_bounded(
    table: Message, element: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(field_reader, "MAX_ELEMENTS", 100)

    decode(table, element * 100)
    with pytest.raises(CodecError, match="more than 100 elements"):
        decode(table, element * 101)


def test_packed_numbers_count_as_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_reader, "MAX_ELEMENTS", 100)

    with pytest.raises(CodecError, match="more than 100 elements"):
        decode(messages.PASSTHROUGH_OP, b"\x12\x65" + b"\x01" * 101)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"Reff": "x"}, "SolveRequest has no field Reff"),
        ({"Ref": b"x"}, "SolveRequest.Ref: bytes is not text"),
        ({"Ref": 0}, "SolveRequest.Ref: int is not text"),
        ({"Ref": "\udcff"}, "SolveRequest.Ref: text is not valid UTF-8"),
        ({"Internal": "yes"}, "SolveRequest.Internal: 'yes' is neither true nor false"),
        ({"CompatibilityVersion": 1 << 63}, "is no integer"),
        ({"Entitlements": "network.host"}, "str is not a list"),
        ({"Definition": []}, "list is not a message"),
        ({"FrontendAttrs": [("a", "b")]}, "list is not a map"),
        ({"FrontendAttrs": {"a": None}}, "None is no key and no value"),
        ({"Cache": {"Exports": [{"Typ": "x"}]}}, "CacheOptionsEntry has no field Typ"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        encode(messages.SOLVE_REQUEST, values)


def test_other_misfits_are_refused() -> None:
    with pytest.raises(CodecError, match="str is not bytes"):
        encode(messages.BYTES_MESSAGE, {"data": "text"})
    with pytest.raises(CodecError, match="only one of"):
        encode(messages.OP, {"file": {}, "exec": {}})
    with pytest.raises(CodecError, match="is no integer"):
        encode(messages.STAT, {"mode": -1})


def test_a_codec_error_is_a_wire_error() -> None:
    assert issubclass(CodecError, WireError)


# --- fuzzing -------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(data=st.binary(max_size=200), name=st.sampled_from(FUZZED))
@example(data=b"\x88\x80\x80\x80\x80\x80\x80\x80\x00\x05", name="RPC_STATUS")
def test_random_bytes_give_a_message_or_a_codec_error(data: bytes, name: str) -> None:
    agree(TABLES[name], data)


@settings(max_examples=400, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    name=st.sampled_from(FUZZED),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 1 << 16),
)
def test_damaged_messages_give_a_message_or_a_codec_error(
    seed: int, name: str, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(encode(TABLES[name], sample(TABLES[name], Random(seed))))
    for position, value in changes:
        if data:
            data[position % len(data)] = value
    agree(TABLES[name], bytes(data[: cut % (len(data) + 1)]))
    agree(TABLES[name], bytes(data))
