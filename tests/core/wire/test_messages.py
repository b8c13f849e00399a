from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.wire.codec import Field, Message, decode, encode
from support.protos import map_types, protos, to_dict
from support.samples import TABLES, sample, without_defaults

SHARED = {
    "moby.filesync.v1.BytesMessage": "BYTES_MESSAGE",
    "moby.sshforward.v1.BytesMessage": "BYTES_MESSAGE",
    "moby.upload.v1.BytesMessage": "BYTES_MESSAGE",
}
"""Messages that have the same fields as one of another package, and share its table."""

TYPES = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_ENUM: "enum",
}

Row = tuple[int, str, bool, str, str]


def kind_of(field: FieldDescriptor) -> str:
    return TYPES[field.type] if field.message_type is None else field.message_type.full_name


def row_of_proto(field: FieldDescriptor) -> Row:
    group = field.containing_oneof.name if field.containing_oneof else ""
    pair = map_types(field)
    if pair is not None:
        return field.number, field.name, True, f"{kind_of(pair[0])},{kind_of(pair[1])}", ""
    return field.number, field.name, field.is_repeated, kind_of(field), group


def row_of_table(table: Message, field: Field) -> Row:
    def full(kind: str) -> str:
        return table.table(kind).name if kind.isupper() else kind

    if field.kind.startswith("map<"):
        key, value = field.kind[4:-1].split(",")
        return field.number, field.name, True, f"{key},{full(value)}", ""
    return field.number, field.name, field.repeated, full(field.kind), field.group


def assert_same_fields(table: Message, name: str) -> None:
    theirs = [row_of_proto(field) for field in protos().descriptor(name).fields]
    ours = [row_of_table(table, field) for field in table.parsed()]
    assert ours == sorted(theirs)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_exactly_the_fields_of_its_definition(name: str) -> None:
    assert_same_fields(TABLES[name], TABLES[name].name)


@pytest.mark.parametrize(("message", "table"), SHARED.items())
def test_a_shared_table_fits_every_message_that_shares_it(message: str, table: str) -> None:
    assert_same_fields(TABLES[table], message)


def test_every_defined_message_has_a_table_and_no_table_is_there_twice() -> None:
    names = [table.name for table in TABLES.values()]

    assert sorted([*names, *SHARED]) == sorted(protos().names)


def test_a_wrong_number_in_a_table_is_noticed() -> None:
    wrong = Message("pb.Range", vars(sys.modules["dockyard.wire.messages"]), "1 start POSITION")

    with pytest.raises(AssertionError):
        assert_same_fields(wrong, "pb.Range")


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_protobuf_reads_what_we_write_and_we_read_what_it_writes(name: str, seed: int) -> None:
    table = TABLES[name]
    values = sample(table, Random(seed))
    theirs = protos().make(table.name, values)

    assert protos().parse(table.name, encode(table, values)) == theirs
    assert without_defaults(table, decode(table, theirs.SerializeToString())) == to_dict(theirs)
    assert to_dict(theirs) == without_defaults(table, values)


@pytest.mark.parametrize("name", TABLES)
def test_a_message_with_every_field_set_survives_both_ways(name: str) -> None:
    table = TABLES[name]
    values = sample(table, Random(name), full=True)

    assert protos().decode(table.name, encode(table, values)) == without_defaults(table, values)
    theirs = decode(table, protos().encode(table.name, values))
    assert without_defaults(table, theirs) == without_defaults(table, values)


def test_importing_the_tables_parses_none_and_loads_nothing_heavy() -> None:
    program = """
import sys
import collections.abc
import dockyard.wire.errors
before = set(sys.modules)
from dockyard.wire import messages
from dockyard.wire.codec import Message
tables = [value for value in vars(messages).values() if isinstance(value, Message)]
assert len(tables) > 150, len(tables)
assert all(table._readers is None and table._writers is None for table in tables)
print(*sorted(name for name in set(sys.modules) - before if not name.startswith("dockyard.wire")))
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )

    assert done.stdout == "\n"
