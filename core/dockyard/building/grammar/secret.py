"""The grammar of ``--secret``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dockyard.building.grammar.csvline import fields
from dockyard.errors import InputError
from dockyard.quote import in_line, quoted

_ALIASES = {"source": "src"}


class _Spec(NamedTuple):
    """One value of the flag."""

    id: str = ""
    type: str = ""
    src: str = ""
    env: str = ""


def parse_secrets(
    values: Iterable[str] | Mapping[str, str | bytes], variables: Mapping[str, str]
) -> dict[str, str | bytes]:
    """Turn secrets into a mapping from id to value, or to a file's path as text.

    Args:
        values: Each ``id=ID[,src=FILE][,env=NAME][,type=file|env]``; or such a mapping already.
        variables: The environment. What comes from it is taken now.

    Raises:
        InputError: A value does not follow the grammar.
    """
    if isinstance(values, Mapping):
        return dict(values)
    secrets: dict[str, str | bytes] = {}
    for value in values:
        if not value:
            continue
        spec = _parse(value)
        secrets[spec.id] = _source(spec, variables)
    return secrets


def _parse(value: str) -> _Spec:
    spec = _Spec()
    try:
        record = fields(value)
    except InputError as error:
        raise InputError(f"failed to parse csv secret: {error}", hint=error.hint) from error
    for field in record:
        key, equals, text = field.partition("=")
        key = key.lower()
        key = _ALIASES.get(key, key)
        if not equals:
            raise InputError(f"invalid field '{in_line(field)}' must be a key=value pair")
        if key not in spec._fields:
            raise InputError(f"unexpected key '{in_line(key)}' in '{in_line(field)}'")
        if key == "type" and text not in {"file", "env"}:
            raise InputError(f"unsupported secret type {quoted(text)}")
        spec = spec._replace(**{key: text})
    if spec.type == "env" and not spec.env:
        spec = spec._replace(env=spec.src, src="")
    return spec


def _source(spec: _Spec, variables: Mapping[str, str]) -> str | bytes:
    if spec.env or (not spec.src and spec.id in variables):
        # As Python has it: what is no UTF-8 comes back as the bytes that it was.
        return variables.get(spec.env or spec.id, "").encode("utf-8", "surrogateescape")
    return spec.src or spec.id
