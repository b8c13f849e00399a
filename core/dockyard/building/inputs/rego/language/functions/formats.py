# named as in Rego, whose own documentation says what they do
"""``sprintf``: values put into a text, as Go's printing does it."""

from __future__ import annotations

import re

from dockyard.building.inputs.rego.language.fault import WrongOperandError
from dockyard.building.inputs.rego.language.functions.operand import array, short, text
from dockyard.building.inputs.rego.language.text import written
from dockyard.building.inputs.rego.language.value import Value, text_of

_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>\d*)(?:\.(?P<places>\d*))?(?P<verb>.)", re.DOTALL
)
_WIDEST = 1000
_FLOATS = "eEfFgG"
_WHOLE = {"b": "b", "o": "o", "x": "x", "X": "X", "d": "d"}
_WORDS = {int: "int", float: "float64", str: "string"}


def sprintf(template: Value, values: Value) -> Value:
    """Put values where the template has a percent sign and a letter."""
    given = list(array(values))
    used = 0

    def filled(found: re.Match[str]) -> str:
        nonlocal used
        if found["verb"] == "%":
            return "%"
        if used >= len(given):
            return f"%!{found['verb']}(MISSING)"
        used += 1
        return _padded(_written(found, given[used - 1]), found)

    made = _VERB.sub(filled, text(template))
    if used < len(given):
        rest = ", ".join(f"{_kind(value)}={_plain(value)}" for value in given[used:])
        made += f"%!(EXTRA {rest})"
    return short(made)


def _written(found: re.Match[str], value: Value) -> str:
    """Write one value; in Go's way also if the letter is not for it."""
    verb, places = found["verb"], found["places"]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        value = written(value)
    if verb == "v":
        return _plain(value)
    if isinstance(value, str):
        if verb == "s":
            return value if places is None else value[: _size(places)]
        if verb == "q":
            return text_of(value)
        if verb in "xX":
            digits = value.encode().hex()
            return digits.upper() if verb == "X" else digits
    elif isinstance(value, int):
        if verb in _WHOLE:
            sign = "+" if "+" in found["flags"] else ""
            return format(value, sign + _WHOLE[verb])
        if verb == "c" and 0 <= value <= 0x10FFFF:
            return chr(value)
    elif verb in _FLOATS:
        sign = "+" if "+" in found["flags"] else ""
        return format(value, f"{sign}.{6 if places is None else _size(places)}{verb}")
    return f"%!{verb}({_kind(value)}={_plain(value)})"


def _size(digits: str) -> int:
    size = int(digits or "0")
    if size > _WIDEST:
        raise WrongOperandError
    return size


def _padded(made: str, found: re.Match[str]) -> str:
    width = _size(found["width"]) if found["width"] else 0
    if len(made) >= width:
        return made
    if "-" in found["flags"]:
        return made.ljust(width)
    if "0" in found["flags"]:
        return made.zfill(width) if made[:1] in "+-" else made.rjust(width, "0")
    return made.rjust(width)


def _kind(value: Value) -> str:
    return "bool" if isinstance(value, bool) else _WORDS.get(type(value), "string")


def _plain(value: Value) -> str:
    if isinstance(value, float):
        return _float(value)
    return written(value) if not isinstance(value, str) else value


def _float(value: float) -> str:
    """Write a number as shortly as Go does."""
    made = repr(value)
    return made.removesuffix(".0")
