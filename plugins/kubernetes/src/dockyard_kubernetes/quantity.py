"""Quantities as Kubernetes writes them: ``500m``, ``1.5``, ``2Gi``, ``1e3``."""

from __future__ import annotations

import re
from typing import NamedTuple

_FORM = r"([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)"
_NANO = 1_000_000_000
_MOST = (1 << 63) - 1
_LONGEST = 64
"""Characters; nobody writes more, and what is longer takes time to read."""

_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_EXPONENTS = {unit: exponent for exponent, unit in _DECIMAL.items()}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


class Quantity(NamedTuple):
    """An amount of something, never negative."""

    nano: int
    """In billionths, the least that Kubernetes tells apart; what is between is rounded up."""
    text: str
    """As the API server writes it."""

    @property
    def is_whole(self) -> bool:
        return self.nano % _NANO == 0


def parse_quantity(text: str) -> Quantity:
    """Read a quantity.

    Raises:
        ValueError: It is none, or the server refuses it.
    """
    found = re.fullmatch(_FORM, text) if len(text) <= _LONGEST else None
    if found is None or found[1].count(".") > 1:
        raise ValueError(
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, suffix = found[1], found[2]
    whole, _, part = number.lstrip("+-").partition(".")
    if not whole + part:
        raise ValueError("unable to parse numeric part of quantity")
    base, exponent = _scale(suffix)
    nano = _rounded_up(int(whole + part) * _NANO, base, exponent, below=len(part))
    if number.startswith("-") and nano:
        raise ValueError(f'invalid quantity "{text}": must be greater than or equal to 0')
    if nano > _MOST * _NANO:
        raise ValueError(f'invalid quantity "{text}": must be less than or equal to {_MOST}')
    return Quantity(nano, _canonical(nano, suffix))


def parse_bytes(text: str) -> Quantity:
    """Read a quantity of bytes, of which there are no fractions.

    Raises:
        ValueError: It is none, or the server refuses it.
    """
    quantity = parse_quantity(text)
    if not quantity.is_whole:
        number = text.removesuffix("m")
        remark = "" if number == text else f"; m means thousandths, for mebibytes write {number}Mi"
        raise ValueError(f'invalid quantity "{text}": a fraction of a byte{remark}')
    return quantity


def _scale(suffix: str) -> tuple[int, int]:
    """Give the base and the exponent that a suffix stands for."""
    if suffix in _EXPONENTS:
        return 10, _EXPONENTS[suffix]
    if suffix in _BINARY:
        return 1024, _BINARY.index(suffix)
    exponent = re.fullmatch(r"[eE]([+-]?[0-9]{1,3})", suffix)
    if exponent is None:
        raise ValueError("unable to parse quantity's suffix")
    return 10, int(exponent[1])


def _rounded_up(number: int, base: int, exponent: int, *, below: int) -> int:
    """Give ``number`` times a power, its last ``below`` digits being behind the dot."""
    over: int = base ** max(exponent, 0)
    under: int = base ** max(-exponent, 0) * 10**below
    return -(-number * over // under)


def _canonical(nano: int, suffix: str) -> str:
    if suffix in _BINARY[1:] and nano % _NANO == 0 and nano >= 1024 * _NANO:
        return _divided(nano // _NANO)
    if not nano:
        return "0"
    exponent = -9
    while nano % 1000 == 0 and exponent < 18:
        nano, exponent = nano // 1000, exponent + 3
    if re.match("[eE][-+0-9]", suffix):
        return f"{nano}e{exponent}" if exponent else f"{nano}"
    return f"{nano}{_DECIMAL[exponent]}"


def _divided(amount: int) -> str:
    level = 0
    while amount % 1024 == 0 and level < len(_BINARY) - 1:
        amount, level = amount // 1024, level + 1
    return f"{amount}{_BINARY[level]}"
