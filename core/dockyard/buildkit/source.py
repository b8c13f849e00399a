"""Builds that consist of one source, in the terms that BuildKit itself works with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dockyard.wire.codec import encode
from dockyard.wire.messages import OP


class OneSource(NamedTuple):
    """Something that the daemon fetches."""

    identifier: str
    attributes: Mapping[str, str]
    capabilities: Iterable[str]
    """What the daemon needs to be able to."""
    name: str
    """What it is called in the progress."""

    def definition(self) -> dict[str, Any]:
        """Describe the build that consists of it."""
        operation = {"identifier": self.identifier, "attrs": self.attributes}
        source = encode(OP, {"source": operation, "constraints": {}})
        digest = _digest(source)
        last = encode(OP, {"inputs": [{"digest": digest}]})
        return {
            "def": [source, last],
            "metadata": {
                digest: {
                    "description": {"llb.customname": f"[internal] load {self.name}"},
                    "caps": dict.fromkeys([*self.capabilities, "meta.description"], True),
                },
                _digest(last): {"caps": {"constraints": True, "platform": True}},
            },
        }


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
