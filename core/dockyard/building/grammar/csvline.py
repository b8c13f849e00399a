"""One record of comma-separated fields, as buildx's flags have it: quotes keep commas together."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dockyard.driver.request import SECRET_ATTRIBUTES
from dockyard.errors import InputError

_SECRETS = re.compile(
    rf"\b({'|'.join(sorted(SECRET_ATTRIBUTES))})\s*=.*", re.IGNORECASE | re.DOTALL
)


def fields(value: str) -> list[str]:
    """Split one line into its fields.

    Raises:
        InputError: A quote is not closed, or stands where none can.
    """
    found: list[str] = []
    rest = value
    while True:
        if rest.startswith('"'):
            field, rest = _quoted(rest, value)
        else:
            end = rest.find(",")
            field, rest = (rest, "") if end < 0 else (rest[:end], rest[end:])
            if '"' in field:
                raise InputError(
                    f"invalid value {shown(value)!r}: a quote inside a field that does not begin "
                    "with one"
                )
        found.append(field)
        if not rest:
            return found
        if not rest.startswith(","):
            raise InputError(f"invalid value {shown(value)!r}: text after a closing quote")
        rest = rest[1:]
        if not rest:
            return [*found, ""]


def pairs(value: str) -> list[tuple[str, str]]:
    """Split one line into ``key=value`` fields, the keys in lower case.

    Raises:
        InputError: A field has no ``=``.
    """
    found = []
    for field in fields(value):
        key, equals, text = field.partition("=")
        if not equals:
            raise InputError(f"invalid value {shown(field)}")
        found.append((key.strip().lower(), text))
    return found


def shown(value: str) -> str:
    """Give a line as a message may show it: up to where it says a secret."""
    return _SECRETS.sub(r"\1=***", value)


def _quoted(rest: str, value: str) -> tuple[str, str]:
    text = ""
    position = 1
    while True:
        end = rest.find('"', position)
        if end < 0:
            raise InputError(f"invalid value {shown(value)!r}: a quote is not closed")
        text += rest[position:end]
        if rest[end + 1 : end + 2] != '"':
            return text, rest[end + 1 :]
        text += '"'
        position = end + 2


def line(texts: Iterable[str]) -> str:
    """Make one line of fields, the other way round; a field gets quotes only if it needs them."""
    return ",".join(
        '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text
        for text in texts
    )
