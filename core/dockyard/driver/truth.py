"""Truth values as people write them."""

from __future__ import annotations

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def boolean(value: str) -> bool:
    """Read a truth value as Go does.

    Raises:
        ValueError: It is none.
    """
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    from dockyard.quote import quoted

    raise ValueError(f"strconv.ParseBool: parsing {quoted(value)}: invalid syntax")
