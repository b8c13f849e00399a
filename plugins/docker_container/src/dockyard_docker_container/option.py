"""How the values of driver options are read, with the words in which wrong ones are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

_MOST = (1 << 63) - 1
_LEAST_MEMORY = 6 << 20
"""No engine gives a container less."""
_UNITS = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
# Patterns are texts, because a run needs few of them: to compile one takes up to a millisecond.
_CPU_LIST = r"\d+(-\d+)?(,\d+(-\d+)?)*"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?"
_IMAGE = rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?(?:@[a-z0-9]+:[0-9a-f]{{32,}})?"


class RestartPolicy(NamedTuple):
    """When an engine starts a container again."""

    name: str
    most: int = 0
    """How often at most; 0 for ever."""


def image(value: str) -> str:
    """Read an image's name; empty is the default image.

    Raises:
        ValueError: No image can have this name.
    """
    if value and not re.fullmatch(_IMAGE, value, re.ASCII):
        raise ValueError(f'invalid image name "{value}"')
    return value


def size(value: str) -> int:
    """Read a number of bytes with a unit, as docker does: ``512m``, ``1.5g``, ``1 GiB``.

    Raises:
        ValueError: It is none.
    """
    end = max((at for at, mark in enumerate(value) if mark in "0123456789. "), default=-1)
    if end < 0:
        raise ValueError(f"invalid size: '{value}'")
    number, unit = value[: end + 1].removesuffix(" "), value[end + 1 :].lower()
    shift = _UNITS.get(re.sub("(?<=[kmgtp])i?b$", "", unit))
    if shift is None:
        raise ValueError(f"invalid suffix: '{unit}'")
    if re.fullmatch(r"-\d+(\.\d*)?", number):
        raise ValueError(f"invalid size: '{value}'")
    if not re.fullmatch(r"\+?(\d+(\.\d*)?|\.\d+)", number, re.ASCII):
        raise ValueError(f'strconv.ParseFloat: parsing "{number}": invalid syntax')
    count = float(number) * (1 << shift)
    if count > _MOST:
        raise ValueError(f"invalid size: '{value}'")
    return int(count)


def memory(value: str) -> int:
    """Read a limit for memory; 0 is none.

    Raises:
        ValueError: It is no size, or less than an engine gives.
    """
    limit = size(value)
    if 0 < limit < _LEAST_MEMORY:
        raise ValueError(f"invalid size: '{value}': minimum memory limit allowed is 6MB")
    return limit


def memory_swap(value: str) -> int:
    """Read a limit for memory and swap together; -1 is none at all.

    Raises:
        ValueError: It is no size.
    """
    return -1 if value == "-1" else size(value)


def integer(value: str) -> int:
    """Read a whole number of at most 64 bits, as Go does.

    Raises:
        ValueError: It is none.
    """
    if not re.fullmatch(r"[+-]?[0-9]+", value):
        raise ValueError(f'strconv.ParseInt: parsing "{value}": invalid syntax')
    number = int(value) if len(value) < 25 else _MOST + 1
    if not -_MOST - 1 <= number <= _MOST:
        raise ValueError(f'strconv.ParseInt: parsing "{value}": value out of range')
    return number


def cpu_shares(value: str) -> int:
    """Read a relative weight; 0 is the default one.

    Raises:
        ValueError: It is no number, or negative.
    """
    number = integer(value)
    if number < 0:
        raise ValueError(f"invalid CPU shares ({number}): value must be a positive integer")
    return number


def cpu_period(value: str) -> int:
    """Read microseconds; 0 is the default.

    Raises:
        ValueError: It is no number, or no engine takes it.
    """
    number = integer(value)
    if number and not 1000 <= number <= 1_000_000:
        raise ValueError(
            f"invalid CPU period ({number}): "
            "cannot be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    return number


def cpu_quota(value: str) -> int:
    """Read microseconds per period; 0 is no limit, and so is anything negative.

    Raises:
        ValueError: It is no number, or no engine takes it.
    """
    number = integer(value)
    if 0 < number < 1000:
        raise ValueError(f"invalid CPU quota ({number}): cannot be less than 1ms (i.e. 1000)")
    return number


def numbers(what: str) -> Callable[[str], str]:
    """Make what reads a list such as ``0-3,7``."""

    def read(value: str) -> str:
        if value and not re.fullmatch(_CPU_LIST, value):
            raise ValueError(f"invalid value {value} for {what}")
        return value

    return read


def restart_policy(value: str) -> RestartPolicy:
    """Read a restart policy, ``NAME`` or ``on-failure:COUNT``; empty is the engine's default.

    Raises:
        ValueError: It is malformed, or no engine knows it.
    """
    name, colon, count = value.partition(":")
    if colon and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    if count and not re.fullmatch(r"[+-]?[0-9]{1,18}", count):
        raise ValueError("invalid restart policy format: maximum retry count must be an integer")
    most = int(count or 0)
    if name not in ("", "no", "always", "on-failure", "unless-stopped"):
        raise ValueError(
            f"invalid restart policy: unknown policy '{name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if most < 0:
        raise ValueError("invalid restart policy: maximum retry count cannot be negative")
    if most and name != "on-failure":
        raise ValueError(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )
    return RestartPolicy(name, most)
