"""BuildKit's own rules for sources, from the file that a variable names.

What is not understood is refused, and not left out: a rule that is silently dropped forbids
nothing.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dockyard.errors import InputError
from dockyard.fsutil.name import reason
from dockyard.quote import in_line, quoted

VARIABLE = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"
CAPABILITY = "source.policy"

_MOST = 4 << 20
"""Bytes of a policy."""
_PATIENCE = 30.0
"""Seconds to wait for a policy that comes through a pipe."""
_ACTIONS = ("ALLOW", "DENY", "CONVERT")
_MATCHES = ("WILDCARD", "EXACT", "REGEX")
_CONDITIONS = ("EQUAL", "NOTEQUAL", "MATCHES")

Policy = Mapping[str, Any]
"""A policy in the words of the wire."""
_Read = Callable[[Any, str], Any]


def read_source_policy(here: Path, name: str, *, patience: float = _PATIENCE) -> Policy:
    """Read a policy: JSON, or the message itself as protobuf writes it.

    Args:
        here: What a relative path is relative to.
        name: The file, as a person said it; a pipe can be read once.
        patience: Seconds to wait for what comes through a pipe.

    Raises:
        InputError: It cannot be read, or makes no sense.
    """
    data = _content(here / name, in_line(name), patience)
    import json

    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return _decoded(data, name)
    try:
        policy: Policy = _policy(values, "the policy")
    except _WrongError as error:
        raise _senseless(name, str(error)) from error
    return policy


class _WrongError(Exception):
    """Something in the policy is not what it has to be."""


def _senseless(name: str, why: str) -> InputError:
    shown = in_line(name)
    return InputError(f"failed to parse source policy: {why}", hint=f"the file is {shown}")


def _content(path: Path, shown: str, patience: float) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = b"".join(_pieces(descriptor, shown, time.monotonic() + patience))
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        verb = "read" if isinstance(error, IsADirectoryError) else "open"
        message = f"failed to read policy file: {verb} {shown}: {reason(error)}"
        raise InputError(message) from error
    if len(data) > _MOST:
        raise InputError(f"failed to read policy file: {shown} is longer than {_MOST >> 20} MiB")
    return data


def _pieces(descriptor: int, shown: str, deadline: float) -> Iterator[bytes]:
    """Read to the end, or a little more than is allowed."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    room = _MOST + 1
    while room > 0:
        # Also a pipe that nobody has opened for writing yet is waited for.
        if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
            raise InputError(f"failed to read policy file: nothing comes from {shown}")
        piece = os.read(descriptor, room)
        if not piece:
            return
        room -= len(piece)
        yield piece


def _decoded(data: bytes, name: str) -> Policy:
    from dockyard.wire.codec import CodecError, decode
    from dockyard.wire.messages import POLICY

    try:
        policy = decode(POLICY, data)
    except CodecError as error:
        raise _senseless(name, "it is neither JSON nor protobuf") from error
    if not policy.get("rules"):
        raise _senseless(name, "it has no rules")
    return policy


# --- JSON -----------------------------------------------------------------------------------


def _object(**readers: _Read) -> _Read:
    """Give what reads an object with these keys."""

    def read(value: Any, where: str) -> dict[str, Any]:  # noqa: ANN401  # it is from JSON
        if not isinstance(value, dict):
            raise _WrongError(f"{where} is no object")
        found = {}
        for key, inner in value.items():
            name = "match_type" if key == "matchType" else key.lower()
            if name not in readers:
                raise _WrongError(f"{where} has an unknown key {quoted(key)}")
            if inner is not None:
                found[name] = readers[name](inner, f"{name} of {where}")
        return found

    return read


def _list(reader: _Read) -> _Read:
    def read(value: Any, where: str) -> list[Any]:  # noqa: ANN401
        if not isinstance(value, list):
            raise _WrongError(f"{where} is no list")
        return [reader(each, f"number {number} in {where}") for number, each in enumerate(value, 1)]

    return read


def _one_of(names: tuple[str, ...]) -> _Read:
    def read(value: Any, where: str) -> int:  # noqa: ANN401
        if isinstance(value, str) and value in names:
            return names.index(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            return value
        raise _WrongError(f"{where} is none of {', '.join(names)}")

    return read


def _text(value: Any, where: str) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise _WrongError(f"{where} is no text")
    return value


def _number(value: Any, where: str) -> int:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise _WrongError(f"{where} is no number")
    return value


def _texts(value: Any, where: str) -> dict[str, str]:  # noqa: ANN401
    if not isinstance(value, dict):
        raise _WrongError(f"{where} is no object")
    return {key: _text(each, f"{key} in {where}") for key, each in value.items()}


_policy = _object(
    version=_number,
    rules=_list(
        _object(
            action=_one_of(_ACTIONS),
            selector=_object(
                identifier=_text,
                match_type=_one_of(_MATCHES),
                constraints=_list(_object(key=_text, value=_text, condition=_one_of(_CONDITIONS))),
            ),
            updates=_object(identifier=_text, attrs=_texts),
        )
    ),
)
