from __future__ import annotations

import hashlib

from dockyard.buildkit.source import OneSource
from dockyard.wire.codec import encode
from dockyard.wire.messages import DEFINITION
from support.protos import protos


def test_the_definition_is_a_graph_of_one_source() -> None:
    wanted = OneSource("git://host/x", {"git.mtime": "commit"}, ["source.git"], "git source x")

    graph = protos().decode("pb.Definition", encode(DEFINITION, wanted.definition()))

    source, last = graph["def"]
    operation = protos().decode("pb.Op", source)
    assert operation["source"] == {"identifier": "git://host/x", "attrs": {"git.mtime": "commit"}}
    digest = f"sha256:{hashlib.sha256(source).hexdigest()}"
    assert protos().decode("pb.Op", last) == {"inputs": [{"digest": digest}]}
    assert graph["metadata"][digest] == {
        "description": {"llb.customname": "[internal] load git source x"},
        "caps": {"source.git": True, "meta.description": True},
    }
