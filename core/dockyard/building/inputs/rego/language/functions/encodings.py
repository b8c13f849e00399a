# ruff: noqa: D103  # named as in Rego, whose own documentation says what they do
"""JSON, base64, hexadecimal digits and URLs' queries."""

from __future__ import annotations

from dockyard.building.inputs.rego.language.fault import WrongOperandError
from dockyard.building.inputs.rego.language.functions.operand import (
    an_object,
    bounded,
    short,
    text,
    texts,
)
from dockyard.building.inputs.rego.language.value import (
    RObject,
    RSet,
    Value,
    from_json,
    to_json,
)


def json_marshal(value: Value) -> Value:
    import json

    made = json.dumps(to_json(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    # As Go writes it, which thinks of HTML.
    for char in "<>&\u2028\u2029":
        made = made.replace(char, f"\\u{ord(char):04x}")
    return short(made)


def json_unmarshal(value: Value) -> Value:
    return read_json(text(value))


def read_json(data: str) -> Value:
    """Read JSON.

    Raises:
        WrongOperandError: It is none.
    """
    import json

    def refuse(name: str) -> object:
        raise WrongOperandError

    try:
        return from_json(json.loads(data, parse_constant=refuse))
    except (ValueError, RecursionError) as error:
        raise WrongOperandError from error


def json_is_valid(value: Value) -> Value:
    try:
        read_json(text(value))
    except WrongOperandError:
        return False
    return True


# --- base64 and hexadecimal digits ----------------------------------------------------------


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def base64_encode(value: Value) -> Value:
    from binascii import b2a_base64

    return b2a_base64(text(value).encode(), newline=False).decode()


def base64_decode(value: Value) -> Value:
    return _decoded(_base64(text(value)))


def base64_is_valid(value: Value) -> Value:
    try:
        _base64(text(value))
    except ValueError:
        return False
    return True


def _base64(value: str) -> bytes:
    from binascii import a2b_base64

    plain = value.replace("\n", "").replace("\r", "")
    return a2b_base64(plain.encode("ascii"), strict_mode=True) if plain else b""


_URL = str.maketrans("+/", "-_")


def base64url_encode(value: Value) -> Value:
    return text(base64_encode(value)).translate(_URL)


def base64url_encode_no_pad(value: Value) -> Value:
    return text(base64url_encode(value)).rstrip("=")


def base64url_decode(value: Value) -> Value:
    whole = text(value)
    if "+" in whole or "/" in whole:
        raise WrongOperandError
    whole = whole.replace("-", "+").replace("_", "/")
    if "=" not in whole:
        whole += "=" * (-len(whole) % 4)
    return _decoded(_base64(whole))


def hex_encode(value: Value) -> Value:
    return text(value).encode().hex()


def hex_decode(value: Value) -> Value:
    if not all(char in "0123456789abcdefABCDEF" for char in text(value)):
        raise WrongOperandError
    return _decoded(bytes.fromhex(text(value)))


# --- queries --------------------------------------------------------------------------------


def query_encode(value: Value) -> Value:
    from urllib.parse import quote_plus

    return quote_plus(text(value), safe="")


def query_decode(value: Value) -> Value:
    return _unquoted(text(value))


def _unquoted(value: str) -> str:
    import re
    from urllib.parse import unquote_to_bytes

    if re.search("%(?![0-9a-fA-F]{2})", value):
        raise WrongOperandError
    return _decoded(unquote_to_bytes(value.replace("+", " ")))


def query_encode_object(value: Value) -> Value:
    made = []
    for key, inner in an_object(value).items():
        values = texts(inner) if isinstance(inner, tuple | RSet) else [text(inner)]
        made += [f"{query_encode(key)}={query_encode(each)}" for each in values]
    return "&".join(made)


def query_decode_object(value: Value) -> Value:
    found: dict[str, list[Value]] = {}
    for part in text(value).split("&"):
        if ";" in part:
            raise WrongOperandError
        if part:
            key, _, inner = part.partition("=")
            found.setdefault(_unquoted(key), []).append(_unquoted(inner))
    bounded(len(found))
    return RObject((key, tuple(values)) for key, values in found.items())
