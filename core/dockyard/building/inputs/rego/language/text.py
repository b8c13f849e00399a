"""Values as they stand in a policy: sets in braces, texts quoted."""

from __future__ import annotations

from dockyard.building.inputs.rego.language.value import RObject, RSet, Value, text_of


def written(value: Value) -> str:
    """Write a value."""
    match value:
        case tuple():
            return f"[{', '.join(map(written, value))}]"
        case RSet():
            return f"{{{', '.join(map(written, value))}}}" if len(value) else "set()"
        case RObject():
            pairs = (f"{written(key)}: {written(inner)}" for key, inner in value.items())
            return f"{{{', '.join(pairs)}}}"
        case _:
            return text_of(value)
