# ruff: noqa: D103  # named as in Rego, whose own documentation says what they do
"""Arithmetic, comparison, and what is counted."""

from __future__ import annotations

import math

from dockyard.building.inputs.rego.language.fault import WrongOperandError
from dockyard.building.inputs.rego.language.functions.operand import (
    bounded,
    integer,
    members,
    number,
)
from dockyard.building.inputs.rego.language.value import (
    RObject,
    RSet,
    Value,
    compare,
    equal,
    in_order,
)

_BITS = 4096


def _exact(value: float) -> float:
    """Give a whole number as one, so that it is shown as one."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise WrongOperandError
        value = float(f"{value:.15g}")  # Rego's numbers are more exact; hide where ours end
        if value.is_integer() and abs(value) < 1 << 53:
            return int(value)
        return value
    if value.bit_length() > _BITS:
        raise WrongOperandError
    return value


def plus(left: Value, right: Value) -> Value:
    return _exact(number(left) + number(right))


def minus(left: Value, right: Value) -> Value:
    if isinstance(left, RSet) and isinstance(right, RSet):
        return RSet(member for member in left if member not in right)
    return _exact(number(left) - number(right))


def mul(left: Value, right: Value) -> Value:
    return _exact(number(left) * number(right))


def div(left: Value, right: Value) -> Value:
    dividend, divisor = number(left), number(right)
    if divisor == 0:
        raise WrongOperandError
    if isinstance(dividend, int) and isinstance(divisor, int) and dividend % divisor == 0:
        return dividend // divisor
    return _exact(dividend / divisor)


def rem(left: Value, right: Value) -> Value:
    dividend, divisor = integer(left), integer(right)
    if divisor == 0:
        raise WrongOperandError
    rest = abs(dividend) % abs(divisor)
    return -rest if dividend < 0 else rest


def rounded(value: Value) -> Value:
    found = number(value)
    return int(math.floor(abs(found) + 0.5) * (1 if found >= 0 else -1))


def ceiling(value: Value) -> Value:
    return math.ceil(number(value))


def floor(value: Value) -> Value:
    return math.floor(number(value))


def absolute(value: Value) -> Value:
    return abs(number(value))


def bits_and(left: Value, right: Value) -> Value:
    return integer(left) & integer(right)


def bits_or(left: Value, right: Value) -> Value:
    return integer(left) | integer(right)


def bits_xor(left: Value, right: Value) -> Value:
    return integer(left) ^ integer(right)


def bits_negate(value: Value) -> Value:
    return ~integer(value)


def bits_lsh(value: Value, by: Value) -> Value:
    if not 0 <= integer(by) <= _BITS:
        raise WrongOperandError
    return _exact(integer(value) << integer(by))


def bits_rsh(value: Value, by: Value) -> Value:
    if integer(by) < 0:
        raise WrongOperandError
    return integer(value) >> min(integer(by), 2 * _BITS)


def equals(left: Value, right: Value) -> Value:
    return equal(left, right)


def differs(left: Value, right: Value) -> Value:
    return not equal(left, right)


def below(left: Value, right: Value) -> Value:
    return compare(left, right) < 0


def at_most(left: Value, right: Value) -> Value:
    return compare(left, right) <= 0


def above(left: Value, right: Value) -> Value:
    return compare(left, right) > 0


def at_least(left: Value, right: Value) -> Value:
    return compare(left, right) >= 0


def count(value: Value) -> Value:
    if isinstance(value, str | tuple | RSet | RObject):
        return len(value)
    raise WrongOperandError


def total(value: Value) -> Value:
    return _exact(sum(number(member) for member in members(value)))


def product(value: Value) -> Value:
    found: int | float = 1
    for member in members(value):
        found = _exact(found * number(member))
    return found


def largest(value: Value) -> Value:
    found = in_order(members(value))
    if not found:
        raise WrongOperandError
    return found[-1]


def smallest(value: Value) -> Value:
    found = in_order(members(value))
    if not found:
        raise WrongOperandError
    return found[0]


def ordered(value: Value) -> Value:
    return tuple(in_order(members(value)))


def to_number(value: Value) -> Value:
    if value is None:
        return 0
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        return _read(value)
    return number(value)


def _read(value: str) -> int | float:
    import re

    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", value, re.ASCII):
        raise WrongOperandError
    return int(value) if value.lstrip("+-").isdigit() else _exact(float(value))


def numbers_range(first: Value, last: Value) -> Value:
    start, end = integer(first), integer(last)
    bounded(8 * abs(end - start))
    step = 1 if end >= start else -1
    return tuple(range(start, end + step, step))


def numbers_range_step(first: Value, last: Value, by: Value) -> Value:
    start, end, step = integer(first), integer(last), integer(by)
    if step <= 0:
        raise WrongOperandError
    bounded(8 * abs(end - start) // step)
    if end < start:
        return tuple(range(start, end - 1, -step))
    return tuple(range(start, end + 1, step))


_BASES = {2: "b", 8: "o", 10: "d", 16: "x"}


def format_int(value: Value, base: Value) -> Value:
    found = number(value)
    whole = math.trunc(found)
    if integer(base) not in _BASES:
        raise WrongOperandError
    return format(whole, _BASES[integer(base)])
