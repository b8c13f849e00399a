"""Checking what a function is given."""

from __future__ import annotations

from dockyard.building.inputs.rego.language.fault import PolicyFaultError, WrongOperandError
from dockyard.building.inputs.rego.language.value import RObject, RSet, Value

_LONGEST = 8 << 20
"""Characters of a text that a function makes."""


def text(value: Value) -> str:
    """Give a text."""
    if not isinstance(value, str):
        raise WrongOperandError
    return value


def number(value: Value) -> int | float:
    """Give a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongOperandError
    return value


def integer(value: Value) -> int:
    """Give a whole number."""
    found = number(value)
    if isinstance(found, float):
        if not found.is_integer():
            raise WrongOperandError
        return int(found)
    return found


def boolean(value: Value) -> bool:
    """Give a boolean."""
    if not isinstance(value, bool):
        raise WrongOperandError
    return value


def array(value: Value) -> tuple[Value, ...]:
    """Give an array."""
    if not isinstance(value, tuple):
        raise WrongOperandError
    return value


def members(value: Value) -> list[Value]:
    """Give what is in an array or a set."""
    if not isinstance(value, tuple | RSet):
        raise WrongOperandError
    return list(value)


def a_set(value: Value) -> RSet:
    """Give a set."""
    if not isinstance(value, RSet):
        raise WrongOperandError
    return value


def an_object(value: Value) -> RObject:
    """Give an object."""
    if not isinstance(value, RObject):
        raise WrongOperandError
    return value


def texts(value: Value) -> list[str]:
    """Give the texts in an array or a set."""
    return [text(member) for member in members(value)]


def bounded(size: int) -> None:
    """End an evaluation that would make something too large."""
    if size > _LONGEST:
        raise PolicyFaultError(f"a value of more than {_LONGEST >> 20} million parts")


def short(made: str) -> str:
    """Give a text unless it is too long."""
    bounded(len(made))
    return made
