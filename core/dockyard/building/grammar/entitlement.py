"""The grammar of ``--allow``, and what of it stays on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import evolve

from dockyard.building.grammar.csvline import fields
from dockyard.driver import BuildRequest, Output
from dockyard.errors import InputError
from dockyard.quote import in_line, quoted

LOCAL_DELETE = "buildx.local.delete"
_PLAIN = frozenset({"network.host", "security.insecure"})
_DEVICE = "device"


def parse_allow(values: Iterable[str]) -> tuple[str, ...]:
    """Check the values of ``--allow``.

    Raises:
        InputError: One is unknown, or has a value that it cannot have.
    """
    return tuple(_checked(value) for value in values if value)


def entitlements(request: BuildRequest) -> tuple[str, ...]:
    """Give what the daemon is asked to grant."""
    asked = [value for value in request.allow if value != LOCAL_DELETE]
    if request.network == "host":
        asked.append("network.host")
    return tuple(dict.fromkeys(asked))


def check_deletion(
    outputs: Sequence[Output], allow: Sequence[str], here: Path, home: str = ""
) -> tuple[Output, ...]:
    """Make sure that nothing is deleted that people could not expect.

    Outputs that delete do so below the current directory, elsewhere only where it was allowed.
    They never empty the root, and nothing that another output writes.

    Args:
        outputs: All outputs.
        allow: What was allowed.
        here: The current directory.
        home: The person's home directory, which needs consent wherever it is.

    Returns:
        The outputs; where one deletes, its path leads through no symbolic link.

    Raises:
        InputError: One would delete elsewhere.
    """
    return tuple(
        _deleting(output, outputs, allow, here, home) if output.deletes else output
        for output in outputs
    )


def _deleting(
    output: Output, outputs: Sequence[Output], allow: Sequence[str], here: Path, home: str
) -> Output:
    place = os.path.realpath(here / (output.dest or "."))
    words = f"local output mode=delete for destination {quoted(output.dest or '')}"
    if place == "/":
        raise InputError(f"{words} would remove everything there is")
    usual = _is_inside(place, here) and not (home and _is_inside(home, place, itself=True))
    if not usual and LOCAL_DELETE not in allow:
        raise InputError(
            f"{words} requires --allow={LOCAL_DELETE}",
            hint="everything in that directory that the build does not make would be removed",
        )
    for other in outputs:
        written = other is not output and other.dest not in {None, "-"}
        if written and _is_inside(here / str(other.dest), place, itself=True):
            raise InputError(f"{words} would remove the output to {quoted(str(other.dest))}")
    return evolve(output, dest=place)


def _is_inside(path: str | Path, top: str | Path, *, itself: bool = False) -> bool:
    """Say whether a path lies below a directory, all links followed."""
    real, above = os.path.realpath(path), os.path.realpath(top)
    if real == above:
        return itself
    return real.startswith(above.rstrip("/") + "/")


def _checked(value: str) -> str:
    name, equals, text = value.partition("=")
    if name == LOCAL_DELETE:
        if equals:
            raise InputError(f"{LOCAL_DELETE} does not accept a value")
    elif name == _DEVICE:
        _check_device(text)
    elif value not in _PLAIN:
        raise InputError(f"unknown entitlement {in_line(value)}")
    return value


def _check_device(text: str) -> None:
    for field in fields(text)[1:] if text else []:
        key, equals, _ = field.partition("=")
        if not equals:
            raise InputError(f"invalid device config {quoted(field)}")
        if key != "alias":
            raise InputError(f"unknown device config key {quoted(key)}")
