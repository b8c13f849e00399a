# ruff: noqa: D103  # named as in Rego, whose own documentation says what they do
"""Semantic versions and sizes with units."""

from __future__ import annotations

import re
from fractions import Fraction

from dockyard.building.inputs.rego.language.fault import WrongOperandError
from dockyard.building.inputs.rego.language.functions.operand import text
from dockyard.building.inputs.rego.language.value import Value

_NUMBER = r"(0|[1-9]\d*)"
_VERSION = re.compile(
    rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII
)
_DECIMAL = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([a-zA-Z]*)", re.ASCII)


def _parts(value: Value) -> tuple[tuple[int, ...], list[str]]:
    found = _VERSION.fullmatch(text(value))
    if found is None:
        raise WrongOperandError
    major, minor, patch, release = found.groups()
    return (int(major), int(minor), int(patch)), release.split(".") if release else []


def is_valid(value: Value) -> Value:
    return isinstance(value, str) and _VERSION.fullmatch(value) is not None


def compare(left: Value, right: Value) -> Value:
    (first, early), (second, other) = _parts(left), _parts(right)
    if first != second:
        return 1 if first > second else -1
    if not early or not other:
        return bool(other) - bool(early)
    keys = [[_rank(part) for part in parts] for parts in (early, other)]
    return (keys[0] > keys[1]) - (keys[0] < keys[1])


def _rank(part: str) -> tuple[int, int, str]:
    return (0, int(part), "") if part.isdigit() else (1, 0, part)


def units_parse(value: Value) -> Value:
    """Read an amount such as ``10K``, ``5Mi`` or ``200m``."""
    number, unit = _amount(value)
    if unit == "m":
        return _shortest(number / 1000)
    small = unit.lower()
    if small in _DECIMAL:
        return _shortest(number * 1000 ** _DECIMAL[small])
    if small.endswith("i") and small[:-1] in _DECIMAL and small != "i":
        return _shortest(number * 1024 ** _DECIMAL[small[:-1]])
    raise WrongOperandError


def units_parse_bytes(value: Value) -> Value:
    """Read a size in bytes such as ``10KB`` or ``5MiB``."""
    number, unit = _amount(value)
    small = unit.lower().removesuffix("b")
    if small in _DECIMAL:
        return int(number * 1000 ** _DECIMAL[small])
    if small.endswith("i") and small[:-1] in _DECIMAL and small != "i":
        return int(number * 1024 ** _DECIMAL[small[:-1]])
    raise WrongOperandError


def _amount(value: Value) -> tuple[Fraction, str]:
    found = _SIZE.fullmatch(text(value).replace('"', ""))
    if found is None or len(found[1]) > 100:
        raise WrongOperandError
    return Fraction(found[1].rstrip(".")), found[2]


def _shortest(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)
