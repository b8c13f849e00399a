"""Numbers, sizes and limits in a flag's value; what is none is refused in the words of Go."""

from __future__ import annotations

import re

from dockyard.quote import in_line, quoted

_FLOAT = r"[+-]?(?:[0-9][0-9_]*)?(?:\.[0-9_]*)?(?:[eE][+-]?[0-9]+)?"
_UNIT = r"([kmgtp])(?:b|ib)?"
_DIGITS = "0123456789. "
_MOST = 1 << 63
_ULIMITS = (
    " core cpu data fsize locks memlock msgqueue nice nofile nproc "
    "rss rtprio rttime sigpending stack "
)


def integer(text: str) -> int:
    """Turn a decimal number into what it is worth.

    Raises:
        ValueError: It is none, or needs more than 64 bits.
    """
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax")
    # Python refuses to look at thousands of digits.
    value = int(text) if len(text.lstrip("+-0")) < 20 else _MOST
    if not -_MOST <= value < _MOST:
        raise ValueError(f"strconv.ParseInt: parsing {quoted(text)}: value out of range")
    return value


def byte_count(text: str) -> int:
    """Turn a size such as ``64m`` into bytes; units are powers of 1024.

    Raises:
        ValueError: It is none.
    """
    end = max(map(text.rfind, _DIGITS))
    if end < 0:
        raise _no_size(text)
    amount = _float(text[:end] if text[end] == " " else text[: end + 1])
    unit = text[end + 1 :]
    found = re.fullmatch(_UNIT, unit.lower())
    if unit.lower() not in {"", "b"} and found is None:
        shown = unit.lower() if len(unit) <= 3 else unit
        raise ValueError(f"invalid suffix: '{in_line(shown)}'")
    size = amount * 1024 ** (1 + "kmgtp".index(found[1]) if found else 0)
    if not 0 <= size < _MOST:
        raise _no_size(text)
    return int(size)


def ulimit(text: str) -> str:
    """Check one ``name=soft[:hard]`` and give it with both limits.

    Raises:
        ValueError: The name is unknown, or a limit is no number, or soft is above hard.
    """
    name, equals, limits = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {in_line(text)}")
    if f" {name} " not in _ULIMITS or not name:
        raise ValueError(f"invalid ulimit type: {in_line(name)}")
    parts = limits.split(":")
    if len(parts) > 2:
        raise ValueError(
            f"too many limit value arguments - {in_line(limits)}, can only have up to two, "
            "`soft[:hard]`"
        )
    hard = integer(parts[-1])
    soft = integer(parts[0])
    if hard != -1 and (soft == -1 or soft > hard):
        wrong = f"soft: -1 (unlimited), hard: {hard}" if soft == -1 else f"{soft} > {hard}"
        raise ValueError(f"ulimit soft limit must be less than or equal to hard limit: {wrong}")
    return f"{name}={soft}:{hard}"


def _float(text: str) -> float:
    problem = "invalid syntax"
    if re.fullmatch(_FLOAT, text):
        try:
            value = float(text)
        except ValueError:
            pass
        else:
            if value != float("inf"):
                return value
            problem = "value out of range"
    raise ValueError(f"strconv.ParseFloat: parsing {quoted(text)}: {problem}")


def _no_size(text: str) -> ValueError:
    return ValueError(f"invalid size: '{in_line(text)}'")
