"""What frontends are asked and what they answer, as it is handed on.

The tables are those of :mod:`dockyard.wire.messages`, but for definitions: how something is made is
only passed from one build to another here, so it stays the bytes that the daemon sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockyard.wire import messages
from dockyard.wire.codec import Message

_CHANGED = (
    *("REF", "REF_MAP", "ATTESTATION", "ATTESTATIONS", "RESULT"),
    *("GATEWAY_SOLVE_REQUEST", "GATEWAY_SOLVE_RESPONSE"),
)

Values = Mapping[str, Any]


def _tables() -> dict[str, Any]:
    found = dict(vars(messages))
    for name in _CHANGED:
        known: Message = found[name]
        fields = known.fields.replace("DEFINITION", "bytes")
        found[name] = Message(known.name, found, fields)
    return found


_TABLES = _tables()
SOLVE_REQUEST: Message = _TABLES["GATEWAY_SOLVE_REQUEST"]
SOLVE_RESPONSE: Message = _TABLES["GATEWAY_SOLVE_RESPONSE"]


def returned(answer: Values) -> dict[str, Any]:
    """Make what a build is given of what was answered: references by name, not all they hold."""
    result = dict(answer)
    if "ref" in result:
        result["ref"] = _reference(result["ref"])
    if "refs" in result:
        references = result["refs"].get("refs", {})
        result["refs"] = {"refs": {key: _reference(one) for key, one in references.items()}}
    if "attestations" in result:
        result["attestations"] = {
            key: {"attestation": [_attestation(one) for one in found.get("attestation", ())]}
            for key, found in result["attestations"].items()
        }
    return result


def _attestation(values: Values) -> dict[str, Any]:
    return {**values, "ref": _reference(values["ref"])} if "ref" in values else dict(values)


def _reference(values: Values) -> dict[str, Any]:
    return {"id": values.get("id", "")}
