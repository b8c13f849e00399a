"""Writing fields of a message: one small function for each field of a table.

A writer takes the list of pieces to append to, the value, and how deep the message is nested.
"""

from __future__ import annotations

from collections.abc import Mapping

from dockyard.wire.varint import (
    DEFAULTS,
    DELIMITED,
    NUMBERS,
    VARINT,
    CodecError,
    varint,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dockyard.wire.codec import Field, Message
    from dockyard.wire.transport import Buffer
    from dockyard.wire.varint import Pack

    Writer = Callable[[list[Buffer], object, int], None]


def build_writer(table: Message, field: Field) -> Writer:
    """Make the writer of one field."""
    number, kind = field.number, field.kind
    if kind in NUMBERS:
        writer = _write_number(number, NUMBERS[kind][1], packed=field.repeated)
    elif kind.startswith("map<"):
        writer = _write_map(number, table.entry(field.name, kind))
    elif kind in ("string", "bytes"):
        one = _write_string if kind == "string" else _write_bytes
        writer = _each(one(number)) if field.repeated else one(number)
    else:
        writer = _write_message(number, table.table(kind))
        writer = _each(writer) if field.repeated else writer
    return writer


def default(field: Field) -> str | bytes | int | None:
    """The value that proto3 leaves out; None for fields that know whether they are there."""
    if field.repeated or field.group or field.kind.isupper() or field.kind.startswith("map<"):
        return None
    return DEFAULTS.get(field.kind, 0)


def _each(writer: Writer) -> Writer:
    def write(parts: list[Buffer], value: object, depth: int) -> None:
        for one in _sequence(value):
            writer(parts, one, depth)

    return write


def _sequence(value: object) -> Sequence[object]:
    if not isinstance(value, (list, tuple)):
        raise CodecError(f"{type(value).__name__} is not a list")
    return value


def _write_number(number: int, pack: Pack, *, packed: bool) -> Writer:
    tag = varint(number << 3 | (DELIMITED if packed else VARINT))

    def write(parts: list[Buffer], value: object, depth: int) -> None:
        parts.append(tag + pack(value))

    def write_packed(parts: list[Buffer], value: object, depth: int) -> None:
        body = b"".join([pack(one) for one in _sequence(value)])
        if body:
            parts.append(tag + varint(len(body)) + body)

    return write_packed if packed else write


def _write_string(number: int) -> Writer:
    tag = varint(number << 3 | DELIMITED)

    def write(parts: list[Buffer], value: object, depth: int) -> None:
        if not isinstance(value, str):
            raise CodecError(f"{type(value).__name__} is not text")
        try:
            raw = value.encode()
        except UnicodeEncodeError:
            raise CodecError("text is not valid UTF-8") from None
        parts.append(tag + varint(len(raw)) + raw)

    return write


def _write_bytes(number: int) -> Writer:
    tag = varint(number << 3 | DELIMITED)

    def write(parts: list[Buffer], value: object, depth: int) -> None:
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise CodecError(f"{type(value).__name__} is not bytes")
        length = value.nbytes if isinstance(value, memoryview) else len(value)
        parts.append(tag + varint(length))
        parts.append(value)

    return write


def _write_message(number: int, table: Message) -> Writer:
    tag = varint(number << 3 | DELIMITED)

    def write(parts: list[Buffer], value: object, depth: int) -> None:
        if type(value) is not dict and not isinstance(value, Mapping):
            raise CodecError(f"{type(value).__name__} is not a message")
        inner: list[Buffer] = []
        table.write(inner, value, depth + 1)
        body = b"".join(inner)
        parts.append(tag + varint(len(body)))
        parts.append(body)

    return write


def _write_map(number: int, entry: Message) -> Writer:
    write_entry = _write_message(number, entry)

    def write(parts: list[Buffer], value: object, depth: int) -> None:
        if not isinstance(value, Mapping):
            raise CodecError(f"{type(value).__name__} is not a map")
        for key, one in value.items():
            if key is None or one is None:
                raise CodecError("None is no key and no value of a map")
            write_entry(parts, {"key": key, "value": one}, depth)

    return write
