"""Protobuf's encoding for plain dicts, driven by small tables.

A table is a :class:`Message`: a name and one line of text that lists the fields. The text is
parsed and turned into functions when the table is first used, so that a module full of tables
costs next to nothing to import. A message is a dict from field names to values: repeated fields
are lists, maps are dicts, submessages are dicts, enumerations are integers.

Reading is strict where a peer could do harm (nesting, sizes, the count of elements, varints that
are too long, fields of the wrong wire type, groups) and lenient where protobuf is: unknown fields
are skipped, repeated numbers may be packed or not, a later value of a field replaces an earlier
one, and submessages that arrive in pieces are merged.
"""

from __future__ import annotations

from dockyard.wire.field_reader import MAX_DEPTH, State, build_readers, skip
from dockyard.wire.field_writer import build_writer, default
from dockyard.wire.varint import CodecError, map_kinds, read_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dockyard.wire.field_reader import Reader
    from dockyard.wire.field_writer import Writer
    from dockyard.wire.transport import Buffer

__all__ = ["CodecError", "Field", "Message", "decode", "encode"]


class Field:
    """One field of a table, parsed from its text."""

    __slots__ = ("group", "kind", "name", "number", "repeated")

    def __init__(self, text: str) -> None:
        words = text.split()
        self.number = int(words[0])
        self.name = words[1]
        self.repeated = words[2] == "rep"
        self.kind = words[3] if self.repeated else words[2]
        self.group = words[-1] if words[-2] == "oneof" else ""


class Message:
    """A table: how one kind of message is encoded.

    ``fields`` is a list such as ``"1 Ref string; 4 Attrs map<string,string>; 9 Names rep string;
    10 Cache CACHE_OPTIONS; 11 file FILE_OP oneof op"``. A type in capitals is the name of another
    table, looked up in ``tables`` when first needed, so tables may refer to each other in any
    order and in circles.
    """

    __slots__ = ("_groups", "_readers", "_tables", "_writers", "closed", "fields", "name")

    def __init__(self, name: str, tables: Mapping[str, Any], fields: str) -> None:
        self.name = name
        self.fields = fields
        self.closed = False
        self._tables = tables
        self._readers: dict[int, Reader] | None = None
        self._writers: dict[str, tuple[Writer, Any]] | None = None
        self._groups: tuple[frozenset[str], ...] = ()

    def __repr__(self) -> str:
        return f"<Message {self.name}>"

    def parsed(self) -> list[Field]:
        """The fields, by number."""
        fields = [Field(text) for text in self.fields.split(";") if text.strip()]
        return sorted(fields, key=lambda field: field.number)

    def table(self, kind: str) -> Message:
        """The other table that a field's type names."""
        found = self._tables[kind]
        if not isinstance(found, Message):
            raise TypeError(f"{self.name}: {kind} is no table")
        return found

    def entry(self, name: str, kind: str) -> Message:
        """The table of one pair of a map field, whose key and value are always written."""
        key, value = map_kinds(kind)
        fields = f"1 key {key} oneof key; 2 value {value} oneof value"
        table = Message(f"{self.name}.{name}", self._tables, fields)
        table.closed = True
        return table

    def read(self, data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> None:
        """Fill ``out`` from a part of ``data``."""
        readers = self._readers
        if readers is None:
            readers = self._readers = build_readers(self)
        while position < end:
            tag = data[position]
            position += 1
            if tag > 0x7F:
                tag, position = read_tag(data, position - 1)
            reader = readers.get(tag)
            if reader is None:
                position = skip(self, readers, tag, data, position)
            else:
                position = reader(data, position, end, out, state)
        if position != end:
            raise CodecError(f"{self.name}: a field is longer than its message")

    def write(self, parts: list[Buffer], values: Mapping[str, Any], depth: int) -> None:
        """Append the encoded fields of ``values``, in the order of their numbers."""
        if depth > MAX_DEPTH:
            raise CodecError("nested too deeply")
        writers = self._writers
        if writers is None:
            writers = self._build_writers()
        found = 0
        for name, (writer, omitted) in writers.items():
            if name in values:
                found += 1
                value = values[name]
                if value is None or (omitted is not None and value == omitted):
                    continue
                try:
                    writer(parts, value, depth)
                except CodecError as error:
                    raise CodecError(f"{self.name}.{name}: {error}") from None
        if found != len(values):
            unknown = ", ".join(sorted(str(name) for name in values if name not in writers))
            raise CodecError(f"{self.name} has no field {unknown}")
        for group in self._groups:
            if sum(values.get(name) is not None for name in group) > 1:
                raise CodecError(f"{self.name}: only one of {', '.join(sorted(group))} can be set")

    def _build_writers(self) -> dict[str, tuple[Writer, Any]]:
        fields = self.parsed()
        groups: dict[str, set[str]] = {}
        for field in fields:
            if field.group:
                groups.setdefault(field.group, set()).add(field.name)
        self._groups = tuple(frozenset(names) for names in groups.values())
        self._writers = {
            field.name: (build_writer(self, field), default(field)) for field in fields
        }
        return self._writers


def encode(table: Message, values: Mapping[str, Any]) -> bytes:
    """Encode a message. A field that is absent, or None, is left out.

    Raises:
        CodecError: A name is not in the table, or a value does not fit its field.
    """
    parts: list[Buffer] = []
    table.write(parts, values, 0)
    return b"".join(parts)


def decode(table: Message, data: Buffer) -> dict[str, Any]:
    """Decode a message into a dict of the fields that are there.

    Raises:
        CodecError: The bytes are not such a message, or break a bound.
    """
    out: dict[str, Any] = {}
    raw = bytes(data)
    try:
        table.read(raw, 0, len(raw), out, State())
    except IndexError:
        raise CodecError(f"{table.name}: the message is cut off") from None
    return out
