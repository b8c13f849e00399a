"""Policies in Rego (``--policy``): nothing here can evaluate them, so a build that has one ends.

To build as if there were none would allow what somebody took care to forbid. Whoever wants just
that says so with ``--policy disabled=true``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from dockyard.building.grammar.csvline import pairs
from dockyard.building.inputs.source import Source
from dockyard.driver import boolean
from dockyard.errors import InputError

_SWITCHES = frozenset({"reset", "disabled", "strict"})
_LEVELS = frozenset({"panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"})
_HINT = "build without policies: --policy disabled=true"


def parse_policies(values: Iterable[str]) -> bool:
    """Check the values of ``--policy``, and say whether policies are switched off.

    Raises:
        InputError: A value does not follow the grammar, or asks for a policy.
    """
    parsed = [_parse(value) for value in values]
    disabled = [each for each in parsed if each.get("disabled")]
    if disabled and (len(parsed) > 1 or len(disabled[0]) > 1):
        raise InputError("disabled policy cannot be combined with other policy flags")
    for each in parsed:
        if "filename" in each:
            raise InputError(
                f"the policy {each['filename']} cannot be used: Rego is not supported", hint=_HINT
            )
        if each.get("strict"):
            raise InputError("a strict policy cannot be used: Rego is not supported", hint=_HINT)
    return bool(disabled)


def check_policy_file(source: Source) -> None:
    """Refuse to build from a Dockerfile that has a policy beside it.

    Raises:
        InputError: It has one.
    """
    folder = source.directories.get("dockerfile")
    if isinstance(folder, Path):
        policy = folder / f"{source.attributes['filename']}.rego"
        if os.path.lexists(policy):
            raise InputError(
                f"the policy {policy} cannot be used: Rego is not supported", hint=_HINT
            )


def _parse(value: str) -> Mapping[str, str | bool]:
    found: dict[str, str | bool] = {}
    for key, text in pairs(value):
        if key in _SWITCHES:
            try:
                found[key] = boolean(text)
            except ValueError as error:
                raise InputError(f"invalid value {key}={text}: {error}") from error
        elif key == "filename" or (key == "log-level" and text.lower() in _LEVELS):
            found[key] = text
        else:
            raise InputError(f"invalid value {key}={text}")
    return found
