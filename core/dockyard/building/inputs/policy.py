"""BuildKit's own rules for sources, from the file that a variable names.

What is not understood is refused, and not left out: a rule that is silently dropped forbids
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dockyard.errors import InputError
from dockyard.fsutil.name import reason

VARIABLE = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"
CAPABILITY = "source.policy"

_MOST = 4 << 20
"""Bytes of a policy."""
_ACTIONS = ("ALLOW", "DENY", "CONVERT")
_MATCHES = ("WILDCARD", "EXACT", "REGEX")
_CONDITIONS = ("EQUAL", "NOTEQUAL", "MATCHES")

Policy = Mapping[str, Any]
"""A policy in the words of the wire."""
_Read = Callable[[Any, str], Any]


def read_source_policy(path: Path) -> Policy:
    """Read a policy: JSON, or the message itself as protobuf writes it.

    Raises:
        InputError: It cannot be read, or makes no sense.
    """
    data = _content(path)
    import json

    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return _decoded(data, path)
    try:
        policy: Policy = _policy(values, "the policy")
    except _WrongError as error:
        raise InputError(f"failed to parse source policy {path}: {error}") from error
    return policy


class _WrongError(Exception):
    """Something in the policy is not what it has to be."""


def _content(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_MOST + 1) or b""
    except OSError as error:
        message = f"failed to read policy file: open {path}: {reason(error)}"
        raise InputError(message) from error
    if len(data) > _MOST:
        raise InputError(f"failed to read policy file: {path} is longer than {_MOST >> 20} MiB")
    return data


def _decoded(data: bytes, path: Path) -> Policy:
    from dockyard.wire.codec import CodecError, decode
    from dockyard.wire.messages import POLICY

    try:
        policy = decode(POLICY, data)
    except CodecError as error:
        raise InputError(
            f"failed to parse source policy {path}: it is neither JSON nor protobuf"
        ) from error
    if not policy.get("rules"):
        raise InputError(f"failed to parse source policy {path}: it has no rules")
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
                raise _WrongError(f'{where} has an unknown key "{key}"')
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
