# ruff: noqa: D103  # named as in Rego, whose own documentation says what they do
"""Times, as nanoseconds since 1970, and what a calendar says of them; in UTC only."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from dockyard.building.inputs.rego.language.fault import WrongOperandError
from dockyard.building.inputs.rego.language.functions.operand import integer, text
from dockyard.building.inputs.rego.language.value import Value

_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_UNITS = {
    "ns": 1, "us": 1_000, "\u00b5s": 1_000, "\u03bcs": 1_000, "ms": 1_000_000,
    "s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND,
}  # fmt: skip
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)", re.ASCII)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def parse_rfc3339(value: Value) -> Value:
    return nanoseconds(text(value))


def nanoseconds(value: str) -> int:
    """Read a time.

    Raises:
        WrongOperandError: It is none.
    """
    found = _RFC3339.fullmatch(value)
    if found is None:
        raise WrongOperandError
    day, clock, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError as error:
        raise WrongOperandError from error
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * _SECOND + int((fraction or "0").ljust(9, "0"))


def parse_duration(value: Value) -> Value:
    whole = text(value)
    sign = -1 if whole.startswith("-") else 1
    rest = whole[1:] if whole[:1] in ("-", "+") else whole
    if rest == "0":
        return 0
    parts = _DURATION.findall(rest)
    if not rest or "".join(number + unit for number, unit in parts) != rest:
        raise WrongOperandError
    return sign * int(sum(Fraction(number.rstrip(".")) * _UNITS[unit] for number, unit in parts))


def _moment(value: Value) -> datetime:
    if isinstance(value, tuple):
        if len(value) < 2 or value[1] not in ("", "UTC"):
            raise WrongOperandError  # times of other places are not known here
        value = value[0]
    return _EPOCH + timedelta(seconds=integer(value) // _SECOND)


def date(value: Value) -> Value:
    moment = _moment(value)
    return (moment.year, moment.month, moment.day)


def clock(value: Value) -> Value:
    moment = _moment(value)
    return (moment.hour, moment.minute, moment.second)


def weekday(value: Value) -> Value:
    return _DAYS[_moment(value).weekday()]


def add_date(value: Value, years: Value, months: Value, days: Value) -> Value:
    moment = _moment(value)
    month = moment.month - 1 + integer(months)
    start = moment.replace(
        year=moment.year + integer(years) + month // 12, month=month % 12 + 1, day=1
    )
    moved = start + timedelta(days=moment.day - 1 + integer(days))
    rest = integer(value[0] if isinstance(value, tuple) else value) % _SECOND
    return (moved - _EPOCH) // timedelta(seconds=1) * _SECOND + rest
