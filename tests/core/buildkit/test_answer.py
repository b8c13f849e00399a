from __future__ import annotations

from dockyard.buildkit.answer import SOLVE_REQUEST, SOLVE_RESPONSE, returned
from dockyard.wire.codec import decode, encode
from support.protos import protos

GRAPH = protos().encode("pb.Definition", {"def": [b"graph"], "metadata": {"d": {"caps": {}}}})


def test_definitions_stay_bytes_wherever_they_stand() -> None:
    result = {
        "refs": {"refs": {"linux/amd64": {"id": "1", "def": {"def": [b"graph"]}}}},
        "metadata": {"key": b"value"},
        "attestations": {"p": {"attestation": [{"path": "x", "ref": {"id": "2", "def": {}}}]}},
    }
    data = protos().encode("moby.buildkit.v1.frontend.SolveResponse", {"result": result})

    found = decode(SOLVE_RESPONSE, data)["result"]

    (reference,) = found["refs"]["refs"].values()
    assert protos().decode("pb.Definition", reference["def"]) == {"def": [b"graph"]}
    assert returned(found) == {
        "refs": {"refs": {"linux/amd64": {"id": "1"}}},
        "metadata": {"key": b"value"},
        "attestations": {"p": {"attestation": [{"path": "x", "ref": {"id": "2"}}]}},
    }


def test_definitions_are_handed_on_as_they_came() -> None:
    values = {"Frontend": "dockerfile.v0", "FrontendInputs": {"base": GRAPH}}

    sent = protos().decode("moby.buildkit.v1.frontend.SolveRequest", encode(SOLVE_REQUEST, values))

    assert sent["FrontendInputs"]["base"] == protos().decode("pb.Definition", GRAPH)
