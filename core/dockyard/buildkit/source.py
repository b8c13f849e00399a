"""Builds that consist of one source, in the terms that BuildKit itself works with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from dockyard.wire.codec import encode
from dockyard.wire.messages import OP

Definition: TypeAlias = "Mapping[str, Any]"
"""A graph of operations, in the words of the wire."""


class OneSource(NamedTuple):
    """Something that the daemon fetches."""

    identifier: str
    attributes: Mapping[str, str]
    capabilities: Iterable[str]
    """What the daemon needs to be able to."""
    name: str
    """What it is called in the progress."""

    def definition(self) -> Definition:
        """Describe the build that consists of it."""
        return _graph([self._operation()])

    def unpacked(self, name: str) -> Definition:
        """Describe the build that consists of what one of its files holds.

        Args:
            name: The file: an archive; the result has the file itself if it is none.
        """
        copy = {
            "src": f"/{name}",
            "dest": "/",
            "mode": -1,
            "attemptUnpackDockerCompatibility": True,
            "timestamp": -1,
        }
        # On top of nothing, which is input -1, out of the source.
        action = {"input": -1, "secondaryInput": 0, "output": 0, "copy": copy}
        unpack = _Operation({"file": {"actions": [action]}}, {"caps": {"file.base": True}})
        return _graph([self._operation(), unpack])

    def _operation(self) -> _Operation:
        return _Operation(
            {"source": {"identifier": self.identifier, "attrs": self.attributes}},
            {
                "description": {"llb.customname": f"[internal] load {self.name}"},
                "caps": dict.fromkeys([*self.capabilities, "meta.description"], True),
            },
        )


def http_source(url: str, filename: str, name: str) -> OneSource:
    """Make a source of a file at a URL.

    Args:
        url: Where it is.
        filename: What it shall be called.
        name: What the source is called in the progress.
    """
    return OneSource(url, {"http.filename": filename}, ["source.http"], name)


class _Operation(NamedTuple):
    values: Mapping[str, Any]
    metadata: Mapping[str, Any]


def _graph(chain: Iterable[_Operation]) -> Definition:
    """Describe operations each of which works on the result of the one before."""
    operations: list[bytes] = []
    metadata: dict[str, Mapping[str, Any]] = {}
    inputs: dict[str, Any] = {}
    for values, about in chain:
        data = encode(OP, {**values, **inputs, "constraints": {}})
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        operations.append(data)
        metadata[digest] = about
        inputs = {"inputs": [{"digest": digest}]}
    last = encode(OP, inputs)
    metadata[f"sha256:{hashlib.sha256(last).hexdigest()}"] = {
        "caps": {"constraints": True, "platform": True}
    }
    return {"def": [*operations, last], "metadata": metadata}
