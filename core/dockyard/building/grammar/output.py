"""The grammar of ``-o``, ``--push`` and ``--load``, and what an output needs."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import evolve

from dockyard.building.grammar.csvline import fields, pairs
from dockyard.driver import Output
from dockyard.errors import InputError
from dockyard.fsutil.name import reason
from dockyard.quote import in_line, quoted

_STREAMED = frozenset({"tar", "oci", "docker"})
_LAYOUTS = frozenset({"oci", "docker"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def parse_output(value: str) -> Output:
    """Turn the value of one ``-o`` into an output.

    Raises:
        InputError: It does not follow the grammar.
    """
    record = fields(value)
    if record == [value] and not value.startswith("type="):
        if record[0] == "-":
            return Output(type="tar", dest="-")
        return Output(type="local", dest=record[0])
    attributes = dict(pairs(value))
    kind = attributes.pop("type", "")
    if not kind:
        raise InputError("type is required for output")
    dest = attributes.pop("dest", None)
    if kind == "registry":
        kind = "image"
        attributes["push"] = "true"
        attributes.setdefault("unpack", "false")
    return Output(type=kind, attributes=attributes, dest=dest)


def parse_outputs(
    values: Iterable[str], *, push: bool = False, load: bool = False
) -> tuple[Output, ...]:
    """Turn all of ``-o``, ``--push`` and ``--load`` into outputs. An empty ``-o`` asks for nothing.

    Raises:
        InputError: A value does not follow the grammar.
    """
    outputs = [parse_output(value) for value in values if value]
    return with_shorthands(outputs, push=push, load=load)


def with_shorthands(outputs: Sequence[Output], *, push: bool, load: bool) -> tuple[Output, ...]:
    """Give the outputs, changed and complemented as ``--push`` and ``--load`` ask for it."""
    found = list(outputs)
    if push:
        found = _with_push(found)
    if load and not any(output.is_load for output in found):
        found.append(Output(type="docker"))
    return tuple(found)


def check_outputs(
    outputs: Sequence[Output], *, working_directory: Path, terminal: bool
) -> tuple[Output, ...]:
    """Check that the places on this machine can take what goes there.

    Args:
        outputs: The outputs as parsed.
        working_directory: What relative paths are relative to.
        terminal: Whether ``stdout`` is a terminal, which gets no archives.

    Returns:
        The outputs with absolute paths.

    Raises:
        InputError: A destination is missing, of the wrong kind, or used twice.
    """
    checked = tuple(_checked(output, working_directory) for output in outputs)
    to_stdout = [output for output in checked if output.dest == "-"]
    if len(to_stdout) > 1:
        raise InputError("multiple outputs configured to write to stdout")
    if to_stdout and terminal:
        raise InputError(
            f"dest file is required for {to_stdout[0].type} exporter. refusing to write to console"
        )
    return checked


def is_layout(output: Output) -> bool:
    """Say whether an output is an image as a directory of blobs, and no archive."""
    return output.type in _LAYOUTS and output.attributes.get("tar") in _FALSE


def _with_push(outputs: list[Output]) -> list[Output]:
    found = any(output.type == "image" for output in outputs)
    pushed = [
        evolve(output, attributes={"unpack": "false", **output.attributes, "push": "true"})
        if output.type == "image"
        else output
        for output in outputs
    ]
    if not found:
        pushed.append(Output(type="image", attributes={"push": "true", "unpack": "false"}))
    return pushed


def _checked(output: Output, working_directory: Path) -> Output:
    if output.type == "local":
        _check_mode(output)
    if output.type == "local" or is_layout(output):
        return _checked_directory(output, working_directory)
    if output.type in {"tar", "oci"} and not output.dest:
        return evolve(output, dest="-")
    if output.type not in _STREAMED or not output.dest or output.dest == "-":
        return output
    path = working_directory / output.dest
    if _is_directory(path, output.dest, "file"):
        raise InputError(f"destination file {in_line(output.dest)} is a directory")
    return evolve(output, dest=str(path))


def _check_mode(output: Output) -> None:
    mode = output.attributes.get("mode", "")
    if not output.deletes and mode.strip().lower() not in {"", "copy"}:
        raise InputError(f"invalid local exporter mode {quoted(mode)}")


def _checked_directory(output: Output, working_directory: Path) -> Output:
    if not output.dest:
        raise InputError(f"dest is required for {output.type} exporter")
    if output.dest == "-":
        raise InputError(f"dest cannot be stdout for {output.type} exporter")
    path = working_directory / output.dest
    if _is_directory(path, output.dest, "directory") is False:
        raise InputError(f"destination directory {in_line(output.dest)} is a file")
    return evolve(output, dest=str(path))


def _is_directory(path: Path, dest: str, wanted: str) -> bool | None:
    """Say what is there; None is nothing."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        shown = in_line(dest)
        raise InputError(
            f"invalid destination {wanted}: {shown}: stat {shown}: {reason(error)}"
        ) from error
