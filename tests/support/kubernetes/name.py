"""The rules for names, labels and quantities, with the words that tell of a breach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from support.kubernetes.resource import Json
from support.kubernetes.status import Cause, too_long, wrong

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME_PART = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = rf"({_NAME_PART})?"
_KEY = r"[-._a-zA-Z0-9]+"
LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    f"for validation is '{_LABEL}')"
)
SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    f"for validation is '{_SUBDOMAIN}')"
)
VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    f"or '12345', regex used for validation is '{_VALUE}')"
)
NAME_PART_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    f"validation is '{_NAME_PART}')"
)
KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    f"'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '{_KEY}')"
)
ENV_WORDS = (
    "a valid environment variable name must consist only of printable ASCII characters other "
    "than '='"
)
_SCALES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(1000),
    **{unit: Decimal(1000) ** (at + 2) for at, unit in enumerate("MGTPE")},
    **{f"{unit}i": Decimal(1024) ** (at + 1) for at, unit in enumerate("KMGTPE")},
}


def label(field: str, text: str, *, unit: str = "bytes") -> Iterator[Cause]:
    """Yield what is wrong with a name that has to be a DNS label."""
    if len(text) > 63:
        yield wrong(field, text, f"must be no more than 63 {unit}")
        return
    if "." in text and unit != "bytes":
        yield wrong(field, text, "must not contain dots")
        return
    if not re.fullmatch(_LABEL, text):
        yield wrong(field, text, LABEL_WORDS)


def subdomain(field: str, text: str) -> Iterator[Cause]:
    """Yield what is wrong with a name that has to be a DNS subdomain."""
    if len(text) > 253:
        yield wrong(field, text, "must be no more than 253 characters")
    if not re.fullmatch(_SUBDOMAIN, text):
        yield wrong(field, text, SUBDOMAIN_WORDS)


def qualified(field: str, text: str) -> Iterator[Cause]:
    """Yield what is wrong with the key of a label or an annotation."""
    prefix, slash, name = text.rpartition("/")
    if slash and not prefix:
        yield wrong(field, text, "prefix part must be non-empty")
    elif slash and not re.fullmatch(_SUBDOMAIN, prefix):
        yield wrong(field, text, f"prefix part {SUBDOMAIN_WORDS}")
    if not name:
        yield wrong(field, text, "name part must be non-empty")
    elif len(name) > 63:
        yield wrong(field, text, "name part must be no more than 63 bytes")
    if not re.fullmatch(_NAME_PART, name):
        yield wrong(field, text, NAME_PART_WORDS)


def labels(field: str, given: Json) -> Iterator[Cause]:
    for key, value in given.items():
        yield from qualified(field, key)
        yield from label_value(field, value)


def label_value(field: str, value: str) -> Iterator[Cause]:
    if len(value) > 63:
        yield wrong(field, value, "must be no more than 63 bytes")
    if not re.fullmatch(_VALUE, value):
        yield wrong(field, value, VALUE_WORDS)


def notes(field: str, given: Json) -> Iterator[Cause]:
    for key in given:
        yield from qualified(field, key.lower())
    if sum(len(key) + len(value) for key, value in given.items()) > 256 << 10:
        yield too_long(field, 256 << 10)


def config_key(field: str, key: str) -> Iterator[Cause]:
    where = f"{field}[{key}]"
    if len(key) > 253:
        yield wrong(where, key, "must be no more than 253 bytes")
    if key == "..":
        yield wrong(where, key, 'must not be ".."')
    elif not re.fullmatch(_KEY, key):
        yield wrong(where, key, KEY_WORDS)


def environment(field: str, text: str) -> Iterator[Cause]:
    if not text.isascii() or not text.isprintable() or "=" in text:
        yield wrong(field, text, ENV_WORDS)


def quantity(text: str) -> Decimal:
    """Give the number that a quantity stands for."""
    number, unit = re.fullmatch(r"([+-]?[0-9.]+)(.*)", text).groups()  # type: ignore[union-attr]
    if unit[:1] in ("e", "E") and unit[1:]:
        return Decimal(f"{number}e{unit[1:]}")
    return Decimal(number) * _SCALES[unit]
