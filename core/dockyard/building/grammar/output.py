"""The grammar of ``-o``, ``--push`` and ``--load``, and what an output needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import evolve

from dockyard.building.grammar.csvline import fields, pairs
from dockyard.building.inputs.place import DIRECTORY, MISSING, NO_DIRECTORY, state
from dockyard.driver import Output
from dockyard.errors import InputError

_STREAMED = frozenset({"tar", "oci", "docker"})
_LAYOUTS = frozenset({"oci", "docker"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def parse_output(value: str) -> Output:
    """Turn the value of one ``-o`` into an output.

    Raises:
        InputError: It does not follow the grammar.
    """
    record = fields(value)
    if len(record) == 1 and not record[0].startswith("type="):
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


def parse_outputs(values: Iterable[str], *, push: bool, load: bool) -> tuple[Output, ...]:
    """Turn all of ``-o``, ``--push`` and ``--load`` into outputs. An empty ``-o`` asks for nothing.

    Raises:
        InputError: A value does not follow the grammar.
    """
    outputs = [parse_output(value) for value in values if value]
    if push:
        outputs = _with_push(outputs)
    if load and not any(output.is_load for output in outputs):
        outputs.append(Output(type="docker"))
    return tuple(outputs)


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
    if state(path) == DIRECTORY:
        raise InputError(f"destination file {output.dest} is a directory")
    return evolve(output, dest=str(path))


def _check_mode(output: Output) -> None:
    mode = output.attributes.get("mode", "")
    if not output.deletes and mode.strip().lower() not in {"", "copy"}:
        raise InputError(f'invalid local exporter mode "{mode}"')


def _checked_directory(output: Output, working_directory: Path) -> Output:
    if not output.dest:
        raise InputError(f"dest is required for {output.type} exporter")
    if output.dest == "-":
        raise InputError(f"dest cannot be stdout for {output.type} exporter")
    path = working_directory / output.dest
    found = state(path)
    if found == NO_DIRECTORY:
        raise InputError(f"destination directory {output.dest} is a file")
    if found not in {DIRECTORY, MISSING}:
        raise InputError(f"destination directory {output.dest} {found}")
    return evolve(output, dest=str(path))
