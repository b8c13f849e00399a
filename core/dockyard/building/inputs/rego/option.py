"""What ``--policy`` says: which files count, how strictly, and how much is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dockyard.building.grammar.csvline import pairs
from dockyard.driver import boolean
from dockyard.errors import InputError
from dockyard.quote import in_line, quoted

_SWITCHES = frozenset({"reset", "disabled", "strict"})
LEVELS = {
    "panic": 0, "fatal": 1, "error": 2, "warn": 3, "warning": 3, "info": 4, "debug": 5, "trace": 6,
}  # fmt: skip


class PolicyOption(NamedTuple):
    """One ``--policy``."""

    files: tuple[str, ...] = ()
    reset: bool = False
    disabled: bool = False
    strict: bool | None = None
    log_level: str = ""


class FileSet(NamedTuple):
    """Files that decide together."""

    files: tuple[str, ...]
    strict: bool = False
    log_level: str = "info"


def check_policies(values: Iterable[str]) -> tuple[str, ...]:
    """Check the values of ``--policy``, and give them.

    Raises:
        InputError: A value does not follow the grammar.
    """
    values = tuple(values)
    parse_policies(values)
    return values


def is_disabled(options: Iterable[PolicyOption]) -> bool:
    """Say whether policies are switched off.

    Raises:
        InputError: They are, and something else is asked for, too.
    """
    options = tuple(options)
    for option in options:
        if option.disabled and (len(options) > 1 or option != PolicyOption(disabled=True)):
            raise InputError("disabled policy cannot be combined with other policy flags")
    return any(option.disabled for option in options)


def parse_policies(values: Iterable[str]) -> tuple[PolicyOption, ...]:
    """Read the values of ``--policy``.

    Raises:
        InputError: A value does not follow the grammar.
    """
    return tuple(map(_parse, values))


def plan(options: Iterable[PolicyOption], automatic: FileSet | None) -> list[FileSet]:
    """Say which files decide: each set by itself, and all of them have to allow.

    Args:
        options: What was asked for.
        automatic: The policy beside the Dockerfile, if there is one.
    """
    sets = [] if automatic is None else [automatic]
    last = PolicyOption()
    for option in options:
        if option.reset:
            sets = []
        if option.files:
            made = _changed(FileSet(option.files), last)
            sets.append(_changed(made, option))
        elif sets:
            sets[-1] = _changed(sets[-1], option)
        else:
            last = option
    return sets


def _changed(files: FileSet, option: PolicyOption) -> FileSet:
    if option.strict is not None:
        files = files._replace(strict=option.strict)
    return files._replace(log_level=option.log_level or files.log_level)


def _switched(option: PolicyOption, key: str, *, on: bool) -> PolicyOption:
    if key == "reset":
        return option._replace(reset=on)
    return option._replace(strict=on) if key == "strict" else option._replace(disabled=on)


def _parse(value: str) -> PolicyOption:
    found = PolicyOption()
    for key, text in pairs(value):
        if key in _SWITCHES:
            try:
                found = _switched(found, key, on=boolean(text))
            except ValueError as error:
                raise InputError(f"invalid value {key}={in_line(text)}: {error}") from error
        elif key == "filename" and text:
            found = found._replace(files=(*found.files, text))
        elif key == "log-level" and text.lower() in LEVELS:
            found = found._replace(log_level=text.lower())
        elif key == "log-level":
            why = f"not a valid logrus Level: {quoted(text)}"
            raise InputError(f"invalid value {key}={in_line(text)}: {why}")
        else:
            raise InputError(f"invalid value {in_line(key)}={in_line(text)}")
    return found
