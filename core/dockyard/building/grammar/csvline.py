"""One record of comma-separated fields, as buildx's flags have it: quotes keep commas together."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dockyard.driver.request import SECRET_ATTRIBUTES
from dockyard.errors import InputError
from dockyard.quote import in_line

_SECRETS = rf"\b({'|'.join(sorted(SECRET_ATTRIBUTES))})\s*=.*"


def fields(value: str) -> list[str]:
    """Split one line into its fields.

    Raises:
        InputError: There is nothing, or a quote is not closed, or stands where none can.
    """
    value = value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value
    if not value:
        raise InputError("EOF", hint="the value is empty")
    found: list[str] = []
    rest = value
    while True:
        if rest.startswith('"'):
            field, rest = _quoted(rest, value)
        else:
            end = rest.find(",")
            field, rest = (rest, "") if end < 0 else (rest[:end], rest[end:])
            if '"' in field:
                before = len(value) - len(field) - len(rest) + field.index('"')
                raise _misplaced(value, before, 'bare " in non-quoted-field')
        found.append(field)
        if not rest:
            return found
        rest = rest[1:]
        if not rest:
            return [*found, ""]


def strings(value: str) -> list[str]:
    """Split the value of a flag whose type is a list: what is wrong is wrong with the flag.

    Raises:
        ValueError: A quote is not closed, or stands where none can.
    """
    try:
        return fields(value) if value else []
    except InputError as error:
        raise ValueError(error.message) from error


def pairs(value: str, *, strip: bool = True) -> list[tuple[str, str]]:
    """Split one line into ``key=value`` fields, the keys in lower case.

    Args:
        value: The line.
        strip: Whether blanks around a key do not count.

    Raises:
        InputError: A field has no ``=``.
    """
    found = []
    for field in fields(value):
        key, equals, text = field.partition("=")
        if not equals:
            raise InputError(f"invalid value {in_line(shown(field))}")
        found.append(((key.strip() if strip else key).lower(), text))
    return found


def shown(value: str) -> str:
    """Give a line as a message may show it: up to where it says a secret."""
    return re.sub(_SECRETS, r"\1=***", value, flags=re.IGNORECASE | re.DOTALL)


def _quoted(rest: str, value: str) -> tuple[str, str]:
    """Give the field in quotes that a rest begins with, and what follows it."""
    start = len(value) - len(rest)
    text = ""
    position = 1
    while True:
        end = rest.find('"', position)
        if end < 0:
            raise _misplaced(value, start + position, 'extraneous or missing " in quoted-field')
        text += rest[position:end]
        after = rest[end + 1 : end + 2]
        if after in {"", ","}:
            return text, rest[end + 1 :]
        if after != '"':
            raise _misplaced(value, start + end, 'extraneous or missing " in quoted-field')
        text += '"'
        position = end + 2


def _misplaced(value: str, before: int, what: str) -> InputError:
    """Say which quote is wrong.

    Args:
        value: The whole line.
        before: How much of it is in order.
        what: What is wrong.
    """
    column = len(value[:before].encode(errors="replace")) + 1
    return InputError(
        f"parse error on line 1, column {column}: {what}", hint=f"in the value {shown(value)!r}"
    )


def line(texts: Iterable[str]) -> str:
    """Make one line of fields, the other way round; a field gets quotes only if it needs them."""
    return ",".join(
        '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text
        for text in texts
    )
