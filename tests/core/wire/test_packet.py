from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.wire import messages, packet
from dockyard.wire.codec import CodecError, decode, encode
from dockyard.wire.packet import Packet, Stat
from support.protos import protos

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
UINT32 = st.integers(0, (1 << 32) - 1)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(str.encode)
TIMES = st.one_of(INT64, st.integers(0, 1 << 62), st.sampled_from([0, (1 << 56) - 1, 1 << 56]))


@st.composite
def stats(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "path": draw(NAMES),
        "mode": draw(st.one_of(UINT32, st.sampled_from([0o644, 0x800001ED]))),
        "size": draw(st.integers(0, (1 << 63) - 1)),
        "mtime_ns": draw(TIMES),
        "linkname": draw(NAMES),
        "devmajor": draw(INT64),
        "devminor": draw(INT64),
        "xattrs": draw(st.dictionaries(NAMES, st.binary(max_size=40), max_size=3)),
        "uid": draw(UINT32),
        "gid": draw(UINT32),
    }


def as_table(values: dict[str, Any]) -> dict[str, Any]:
    """The same as the table of Stat names it, without proto3's defaults."""
    stat = dict(values)
    stat["modTime"] = stat.pop("mtime_ns")
    stat["path"] = stat["path"].decode()
    stat["linkname"] = stat["linkname"].decode()
    stat["xattrs"] = {name.decode(): value for name, value in stat["xattrs"].items()}
    return {name: value for name, value in stat.items() if value}


def fields(stat: Stat | None) -> dict[str, Any]:
    assert stat is not None
    return {name: getattr(stat, name) for name in Stat.__slots__}


def theirs(data: bytes) -> dict[str, Any]:
    return protos().decode("fsutil.types.Packet", data)


def parse(data: bytes) -> Packet:
    return packet.parse_packet(memoryview(data))


@settings(max_examples=300, deadline=None)
@given(values=stats())
def test_a_stat_packet_is_what_protobuf_reads_and_writes(values: dict[str, Any]) -> None:
    data = packet.stat_packet(**values)
    expected = {"stat": as_table(values)}

    assert theirs(data) == expected
    assert theirs(encode(messages.PACKET, expected)) == expected
    assert fields(parse(protos().encode("fsutil.types.Packet", expected)).stat) == values
    assert fields(parse(data).stat) == values


def test_stat_packets_are_as_short_as_protobufs() -> None:
    values = {"path": "src/main.py", "mode": 0o644, "size": 1234, "modTime": 1763712000123456789}

    ours = packet.stat_packet(b"src/main.py", 0o644, 1234, 1763712000123456789)

    assert ours == protos().encode("fsutil.types.Packet", {"stat": values})


def test_names_that_are_not_utf8_pass_both_ways() -> None:
    data = packet.stat_packet(
        b"\xff/\x80", 1, 0, 0, linkname=b"\xfe", xattrs={b"user.\xff": b"\xfd"}
    )

    stat = parse(data).stat

    assert stat is not None
    assert (stat.path, stat.linkname, stat.xattrs) == (
        b"\xff/\x80",
        b"\xfe",
        {b"user.\xff": b"\xfd"},
    )


@given(file_id=UINT32, data=st.binary(max_size=300))
def test_data_packets_are_what_protobuf_writes(file_id: int, data: bytes) -> None:
    whole = packet.data_header(file_id, len(data)) + data
    expected = {"type": packet.DATA, "ID": file_id, "data": data}

    assert whole == protos().encode("fsutil.types.Packet", expected)
    ours = parse(whole)
    assert (ours.type, ours.id, bytes(ours.data), ours.stat) == (packet.DATA, file_id, data, None)


def test_the_end_of_a_file_is_a_data_packet_without_data() -> None:
    assert theirs(packet.data_header(7, 0)) == {"type": packet.DATA, "ID": 7}


@given(file_id=UINT32)
def test_request_packets_are_what_protobuf_writes(file_id: int) -> None:
    data = packet.req_packet(file_id)

    assert data == protos().encode("fsutil.types.Packet", {"type": packet.REQ, "ID": file_id})
    assert (parse(data).type, parse(data).id) == (packet.REQ, file_id)


def test_the_fixed_packets_are_what_protobuf_writes() -> None:
    assert protos().encode("fsutil.types.Packet", {"type": packet.FIN}) == packet.FIN_PACKET
    assert protos().encode("fsutil.types.Packet", {"type": packet.STAT}) == packet.END_PACKET
    assert parse(packet.END_PACKET).type == packet.STAT
    assert parse(packet.END_PACKET).stat is None


@pytest.mark.parametrize("text", ["", "no such file", "ä" * 100, "\udcff"])
def test_an_error_packet_carries_its_text(text: str) -> None:
    data = packet.err_packet(text)

    assert theirs(data).get("data", b"") == text.encode("utf-8", "replace")
    assert parse(data).type == packet.ERR


@given(data=st.binary(max_size=300))
def test_bytes_messages_are_what_protobuf_writes(data: bytes) -> None:
    whole = packet.bytes_header(len(data)) + data

    assert whole == protos().encode("moby.buildkit.v1.BytesMessage", {"data": data})
    assert bytes(packet.parse_bytes(memoryview(whole))) == data


def test_data_is_not_copied() -> None:
    buffer = bytearray(packet.data_header(1, 3) + b"abc")
    data = packet.parse_packet(memoryview(buffer)).data

    buffer[-1] = ord("z")

    assert bytes(data) == b"abz"


def test_fields_that_a_newer_daemon_may_add_are_skipped() -> None:
    new = b"\xa0\x06\x01\xa2\x06\x01x"

    assert parse(packet.req_packet(5) + new).id == 5
    assert bytes(packet.parse_bytes(memoryview(new + b"\x0a\x01a"))) == b"a"
    stat = parse(b"\x12\x0a" + new + b"\x0a\x01p").stat
    assert stat is not None
    assert stat.path == b"p"


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",  # cut off
        b"\x22\x05ab",  # a length past the end
        b"\x0a\x01a",  # a type that is no number
        b"\x10\x01",  # a stat that is no message
        b"\x0b\x0c",  # a group
        b"\x00",  # field 0
        b"\xa1\x06\x00",  # a fixed number that is cut off
        b"\x18" + b"\xff" * 10 + b"\x01",  # a number of eleven bytes
        b"\x12\x02\x0a\x05",  # within a stat: a length past the end
        b"\x12\x02\x08\x01",  # within a stat: a path that is a number
        b"\x12\x01\x10",  # within a stat: cut off
        b"\x12\x02\x10\x80\x01",  # within a stat: a number that leaves it
        b"\x12\x04\x52\x02\x08\x01",  # within an attribute: a name that is a number
        b"\x12\x05\x52\x03\xa1\x06\x00",  # within an attribute: past the end
    ],
)
def test_malformed_packets_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        parse(data)


@pytest.mark.parametrize("data", [b"\x0a\x05a", b"\x08\x01", b"\x0a", b"\xa1\x06\x00"])
def test_malformed_bytes_messages_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        packet.parse_bytes(memoryview(data))


def test_the_count_of_extended_attributes_is_bounded() -> None:
    xattrs = {str(number).encode(): b"" for number in range(5000)}

    with pytest.raises(CodecError, match="extended attributes"):
        parse(packet.stat_packet(b"p", 1, 0, 0, xattrs=xattrs))


@settings(max_examples=300, deadline=None)
@given(
    values=stats(),
    extra=st.binary(max_size=30),
    position=st.integers(0, 1 << 16),
    value=st.integers(0, 255),
)
def test_damaged_packets_give_a_packet_or_a_codec_error(
    values: dict[str, Any], extra: bytes, position: int, value: int
) -> None:
    whole = bytearray(packet.stat_packet(**values) + extra)
    whole[position % len(whole)] = value
    try:
        ours = parse(bytes(whole))
    except CodecError:
        return
    try:
        table = decode(messages.PACKET, bytes(whole))
    except CodecError as error:
        assert "UTF-8" in str(error)  # noqa: PT017  # the one thing that only the table minds
        return
    assert (ours.id, bytes(ours.data)) == (table.get("ID", 0), table.get("data", b""))
    assert (ours.stat is None) == ("stat" not in table)
    if ours.stat is not None:
        assert ours.stat.path.decode() == table["stat"].get("path", "")
        assert ours.stat.mtime_ns == table["stat"].get("modTime", 0)
        assert ours.stat.mode == table["stat"].get("mode", 0)
