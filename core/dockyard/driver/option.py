"""Driver options, declared once: parsing, errors, help and documentation all come from here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import frozen

from dockyard.driver.truth import boolean
from dockyard.errors import OptionError
from dockyard.value import Value

__all__ = ["Option", "boolean", "find_option", "parse_options", "text", "unknown_option"]

_LONGEST_MESSAGE = 500


def text(value: str) -> str:
    """Take the value as it was typed."""
    return value


@frozen(kw_only=True, eq=False, repr=False)
class Option(Value):
    """One driver option.

    A name that ends in ``.`` is a family: ``env.`` stands for ``env.FOO``, ``env.BAR`` and so on.
    """

    name: str
    help: str
    type: str = "string"
    """The type's name, as people read it."""
    default: str = ""
    """The default as a person would type it; empty when there is none."""
    parse: Callable[[str], Any] = text
    """Turn the typed text into a value; ValueError says in its text what is wrong."""
    recreates: bool = True
    """Whether a node takes a new value up only when it is made anew. False for what is looked at
    each time that the node is used."""
    loses_cache: bool = False
    """Whether changing it loses the build cache."""

    @property
    def is_family(self) -> bool:
        return self.name.endswith(".")


def parse_options(
    driver: str, declared: Iterable[Option], typed: Mapping[str, str], *, refusal: str = ""
) -> dict[str, Any]:
    """Check typed options against their declarations and give their values.

    Options that were not typed are left out, so that a driver can tell. ``refusal`` is the driver
    type's ``option_refusal``.

    Raises:
        OptionError: An option is unknown, a family's member has no name, or a value is wrong.
    """
    options = list(declared)
    values: dict[str, Any] = {}
    for name, value in typed.items():
        option = find_option(options, name)
        if option is None:
            raise unknown_option(driver, options, name, refusal)
        if option.is_family and name == option.name:
            raise OptionError(f'invalid {name[:-1]} option "{name}", expecting {name}FOO=bar')
        try:
            values[name] = option.parse(value)
        except ValueError as error:
            raise OptionError(
                _one_line(str(error)), hint=f"driver option {name} takes a {option.type}"
            ) from error
    return values


def _one_line(text: str) -> str:
    """Give a message that may quote what was typed as one line that is not endless."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= _LONGEST_MESSAGE else f"{shown[:_LONGEST_MESSAGE]}..."


def find_option(options: Iterable[Option], name: str) -> Option | None:
    """Give the declaration that a name as it is typed belongs to; None when there is none."""
    for option in options:
        if option.name == name or (option.is_family and name.startswith(option.name)):
            return option
    return None


def unknown_option(
    driver: str, options: Iterable[Option], name: str, refusal: str = ""
) -> OptionError:
    """Make the error for an option that a driver does not declare."""
    import difflib

    known = sorted(option.name + ("<key>" if option.is_family else "") for option in options)
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        hint = f"did you mean {near[0]}? options: {', '.join(known)}"
    else:
        hint = f"options: {', '.join(known)}" if known else f"driver {driver} has no options"
    words = refusal or f"invalid driver option {{}} for {driver} driver"
    return OptionError(words.replace("{}", name), hint=hint)
