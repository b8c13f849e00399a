"""Making the objects that policies read: what is empty is left out, as Go leaves it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dockyard.building.inputs.rego.language.value import RObject, Value

Pairs = Iterable[tuple[str, Value]]


def filled(pairs: Pairs, missing: Mapping[str, str] | None = None) -> RObject:
    """Make an object of what is not empty.

    Args:
        pairs: Names and values.
        missing: The fields that are not known yet, and what to ask for to know them.
    """
    kept = [(name, value) for name, value in pairs if not _is_empty(value)]
    return RObject(kept, {} if missing is None else missing)


def _is_empty(value: Value) -> bool:
    return (
        value is None
        or value is False
        or value in ("", ())
        or (isinstance(value, RObject) and value.is_empty)
    )


def texts_of(values: Mapping[str, str]) -> RObject:
    """Make an object of names and texts."""
    return RObject(values.items())
