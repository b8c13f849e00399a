"""Reading fields of a message: one small function for each field of a table.

A reader takes the bytes, the position behind the tag, the end of the message, the dict to fill and
the state; it gives the position behind the field. It may step past the end: the caller checks.
"""

from __future__ import annotations

from dockyard.wire.varint import (
    DEFAULTS,
    DELIMITED,
    NUMBERS,
    VARINT,
    CodecError,
    map_kinds,
    read_length,
    read_varint,
    skip_field,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from dockyard.wire.codec import Field, Message
    from dockyard.wire.varint import Convert

    Reader = Callable[[bytes, int, int, dict[str, Any], "State"], int]

MAX_DEPTH = 100
"""Submessages within submessages; what protobuf's own runtimes allow."""
MAX_ELEMENTS = 1 << 20
"""Submessages, map entries and list elements in one message.

Together with the bound on a message's bytes this bounds the memory that a hostile peer can make
us take: an empty submessage is two bytes on the wire, but a whole dict here.
"""


class State:
    """What reading one message has used up so far."""

    __slots__ = ("depth", "left")

    def __init__(self) -> None:
        self.depth = 0
        self.left = MAX_ELEMENTS

    def take(self) -> None:
        """Count one element."""
        self.left -= 1
        if self.left < 0:
            raise CodecError(f"message has more than {MAX_ELEMENTS} elements")


def skip(table: Message, known: Mapping[int, Reader], tag: int, data: bytes, at: int) -> int:
    """Step over a field that the table does not have."""
    if table.closed:
        raise CodecError(f"{table.name}: the entry of a map has no field {tag >> 3}")
    number = tag >> 3 << 3
    wrong = number | VARINT in known or number | DELIMITED in known
    return skip_field(table.name, tag, data, at, wrong_type=wrong)


def build_readers(table: Message) -> dict[int, Reader]:
    """Make the readers of a table, by tag."""
    fields = table.parsed()
    readers: dict[int, Reader] = {}
    for field in fields:
        made = _field_readers(table, field)
        rivals = [f.name for f in fields if field.group and f.group == field.group and f != field]
        for wire, reader in made.items():
            readers[field.number << 3 | wire] = _exclusive(reader, rivals) if rivals else reader
    return readers


def _field_readers(table: Message, field: Field) -> dict[int, Reader]:
    """The readers of one field, by wire type."""
    name, kind = field.name, field.kind
    if kind.startswith("map<"):
        return {DELIMITED: _read_map(table, name, kind)}
    if kind in NUMBERS:
        convert = NUMBERS[kind][0]
        if not field.repeated:
            return {VARINT: _read_number(name, convert)}
        return {VARINT: _read_numbers(name, convert), DELIMITED: _read_packed(name, convert)}
    if kind == "string":
        where = f"{table.name}.{name}"
        return {DELIMITED: (_read_strings if field.repeated else _read_string)(name, where)}
    if kind == "bytes":
        return {DELIMITED: (_read_chunks if field.repeated else _read_bytes)(name)}
    other = table.table(kind)
    return {DELIMITED: (_read_messages if field.repeated else _read_message)(name, other)}


def _exclusive(reader: Reader, rivals: Sequence[str]) -> Reader:
    """A member of a oneof: setting it takes the other members away."""

    def read(data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> int:
        for rival in rivals:
            out.pop(rival, None)
        return reader(data, position, end, out, state)

    return read


def _read_number(name: str, convert: Convert) -> Reader:
    def read(data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> int:
        value = data[position]
        position += 1
        if value > 0x7F:
            value, position = read_varint(data, position - 1)
        out[name] = convert(value)
        return position

    return read


def _read_numbers(name: str, convert: Convert) -> Reader:
    def read(data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> int:
        state.take()
        value, position = read_varint(data, position)
        out.setdefault(name, []).append(convert(value))
        return position

    return read


def _read_packed(name: str, convert: Convert) -> Reader:
    def read(data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> int:
        position, stop = read_length(data, position, end)
        values = out.setdefault(name, [])
        while position < stop:
            state.take()
            value, position = read_varint(data, position)
            values.append(convert(value))
        if position != stop:
            raise CodecError(f"{name}: a packed list ends within a number")
        return stop

    return read


def _text(data: bytes, where: str) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise CodecError(f"{where}: text is not valid UTF-8") from None


def _read_string(name: str, where: str) -> Reader:
    def read(data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> int:
        position, stop = read_length(data, position, end)
        out[name] = _text(data[position:stop], where)
        return stop

    return read


def _read_strings(name: str, where: str) -> Reader:
    def read(data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> int:
        state.take()
        position, stop = read_length(data, position, end)
        out.setdefault(name, []).append(_text(data[position:stop], where))
        return stop

    return read


def _read_bytes(name: str) -> Reader:
    def read(data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> int:
        position, stop = read_length(data, position, end)
        out[name] = data[position:stop]
        return stop

    return read


def _read_chunks(name: str) -> Reader:
    def read(data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> int:
        state.take()
        position, stop = read_length(data, position, end)
        out.setdefault(name, []).append(data[position:stop])
        return stop

    return read


def _descend(
    table: Message, data: bytes, position: int, stop: int, out: dict[str, Any], state: State
) -> None:
    """Read a submessage."""
    state.take()
    state.depth += 1
    if state.depth > MAX_DEPTH:
        raise CodecError(f"{table.name}: nested too deeply")
    table.read(data, position, stop, out, state)
    state.depth -= 1


def _read_message(name: str, table: Message) -> Reader:
    def read(data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> int:
        position, stop = read_length(data, position, end)
        _descend(table, data, position, stop, out.setdefault(name, {}), state)
        return stop

    return read


def _read_messages(name: str, table: Message) -> Reader:
    def read(data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> int:
        position, stop = read_length(data, position, end)
        value: dict[str, Any] = {}
        _descend(table, data, position, stop, value, state)
        out.setdefault(name, []).append(value)
        return stop

    return read


def _read_map(table: Message, name: str, kind: str) -> Reader:
    entry = table.entry(name, kind)
    key_kind, value_kind = map_kinds(kind)
    key_default, value_default = DEFAULTS.get(key_kind, 0), DEFAULTS.get(value_kind, 0)

    def read(data: bytes, position: int, end: int, out: dict[str, Any], state: State) -> int:
        position, stop = read_length(data, position, end)
        pair: dict[str, Any] = {}
        _descend(entry, data, position, stop, pair, state)
        default: object = {} if value_kind.isupper() else value_default
        out.setdefault(name, {})[pair.get("key", key_default)] = pair.get("value", default)
        return stop

    return read
