"""What ``--call`` takes: a name, and how its result is shown."""

from __future__ import annotations

from attrs import frozen

from dockyard.building.grammar.csvline import fields
from dockyard.driver.option import boolean
from dockyard.errors import InputError
from dockyard.quote import in_line

_BUILD = "build"
_ALIASES = {"check": "lint"}


@frozen(kw_only=True)
class Call:
    """A method of the frontend, and what to do with its result."""

    name: str
    """As the frontend knows it, without ``frontend.`` before it."""
    format: str = ""
    """``json`` shows the result as it is; anything else shows it as text."""
    ignore_status: bool = False
    """Succeed also when the result tells of problems."""


def parse_call(value: str) -> Call | None:
    """Turn ``name[,format=json|text][,ignorestatus=bool]`` into a call; None is a build.

    Raises:
        InputError: It does not follow the grammar.
    """
    if not value:
        return None
    name, form, ignore_status = "", "", False
    for field in fields(value):
        key, equals, text = field.partition("=")
        if not equals:
            if name:
                raise InputError(f"invalid print value: {in_line(value)}")
            name = field
        elif key == "format":
            form = text
        elif key == "ignorestatus":
            ignore_status = _boolean(text)
        else:
            raise InputError(f"invalid print field: {in_line(field)}")
    if name == _BUILD:
        return None
    if not name:
        shown = in_line(value)
        raise InputError(f"invalid print value: {shown}", hint="it begins with a method's name")
    return Call(name=method(name), format=form, ignore_status=ignore_status)


def method(name: str) -> str:
    """Give the name that the frontend has for a method: ``check`` is ``lint``."""
    return _ALIASES.get(name, name)


def _boolean(text: str) -> bool:
    try:
        return boolean(text)
    except ValueError as error:
        raise InputError(
            f"invalid ignorestatus print value: {in_line(text)}: {error}",
            hint="it is true or false",
        ) from error
