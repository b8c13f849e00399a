from __future__ import annotations

import json
from typing import Any

import pytest

from dockyard.building.inputs.rego.document import make_document
from dockyard.building.inputs.rego.language.value import MissingError, RObject, to_json
from dockyard.building.inputs.rego.provenance import NEW, OLD, Material, find_provenance, image_of
from dockyard.platforms import Platform
from dockyard.session.policy import SourceCheck

LINUX = Platform(os="linux", architecture="amd64")
HEX = "b" * 64
MATERIALS = [
    {"uri": "pkg:docker/alpine@3.19?platform=linux%2Farm64", "digest": {"sha256": HEX}},
    {"uri": "https://github.com/a/b.git#main", "digest": {"sha1": "c" * 40}},
    {"uri": "https://h/file"},
    {"uri": "what:ever"},
    7,
]
REQUEST = {"frontend": "dockerfile.v0", "args": {"build-arg:A": "1", "target": "t", "x": 1}}
PREDICATES = {
    NEW: {
        "buildDefinition": {
            "buildType": "type",
            "externalParameters": {
                "configSource": {"uri": "u", "digest": {"sha1": "d"}, "path": "Dockerfile"},
                "request": REQUEST,
            },
            "resolvedDependencies": MATERIALS,
        },
        "runDetails": {
            "builder": {"id": "me"},
            "metadata": {
                "invocationId": "i",
                "startedOn": "2024-01-02T03:04:05.6Z",
                "finishedOn": "2024-01-02T04:04:05+01:00",
                "buildkit_hermetic": True,
                "buildkit_completeness": {"request": True},
            },
        },
    },
    OLD: {
        "buildType": "type",
        "builder": {"id": "me"},
        "invocation": {
            "configSource": {"uri": "u", "digest": {"sha1": "d"}, "entryPoint": "Dockerfile"},
            "parameters": REQUEST,
        },
        "materials": MATERIALS,
        "metadata": {
            "buildInvocationID": "i",
            "buildStartedOn": "2024-01-02T03:04:05Z",
            "buildFinishedOn": "2024-01-02T03:04:05Z",
            "https://mobyproject.org/buildkit@v1#hermetic": True,
            "completeness": {"parameters": True},
        },
    },
}


def chain(kind: str, data: bytes) -> dict[str, Any]:
    descriptor = {"annotations": {"in-toto.io/predicate-type": kind}}
    blob = {"descriptor": descriptor, "data": data}
    return {"AttestationManifest": "m", "Blobs": {"x": {}, "y": blob}}


def image(kind: str) -> RObject:
    statement = {"predicateType": kind, "predicate": PREDICATES[kind]}
    found = {"AttestationChain": chain(kind, json.dumps(statement).encode())}
    check = SourceCheck("docker-image://docker.io/library/a:1", image=found)
    part = make_document(check, LINUX).part
    assert isinstance(part, RObject)
    return part


@pytest.mark.parametrize("kind", [NEW, OLD])
def test_provenance_is_read(kind: str) -> None:
    found: Any = to_json(image(kind).only_known())

    provenance = found["provenance"]
    complete = provenance.pop("completeness")
    assert provenance.pop("materials")
    assert provenance == {
        "predicateType": kind,
        "buildType": "type",
        "builderID": "me",
        "configSource": {"uri": "u", "digest": {"sha1": "d"}, "path": "Dockerfile"},
        "frontend": "dockerfile.v0",
        "buildArgs": {"A": "1"},
        "rawArgs": {"build-arg:A": "1", "target": "t"},
        "invocationID": "i",
        "startedOn": "2024-01-02T03:04:05Z",
        "finishedOn": "2024-01-02T03:04:05Z",
        "reproducible": False,
        "hermetic": True,
    }
    assert (complete["parameters"], complete["materials"]) == (True, False)
    assert found["hasProvenance"]


def test_materials_are_known_by_their_names_only() -> None:
    provenance = image(NEW).get("provenance")
    assert isinstance(provenance, RObject)
    materials = provenance.get("materials")
    assert isinstance(materials, tuple)
    base, repository, file = materials

    assert isinstance(base, RObject)
    part = base.get("image")
    assert isinstance(part, RObject)
    assert part.get("ref") == f"docker.io/library/alpine:3.19@sha256:{HEX}"
    assert part.get("platform") == "linux/arm64"
    with pytest.raises(MissingError, match="material"):
        part.get("labels")
    assert isinstance(repository, RObject)
    assert isinstance(repository.get("git"), RObject)
    assert isinstance(file, RObject)
    assert isinstance(file.get("http"), RObject)


@pytest.mark.parametrize(
    ("uri", "digest", "expected"),
    [
        ("pkg:docker/a", "", ("a:latest", "")),
        ("pkg:docker/h.io/n/a@1", "", ("h.io/n/a:1", "")),
        (f"pkg:docker/a?digest=sha256:{HEX}", "", (f"a@sha256:{HEX}", "")),
        (f"pkg:docker/a@sha256:{HEX}", HEX, (f"a@sha256:{HEX}", "")),
        ("https://x/y", "", None),
    ],
)
def test_a_packages_name_gives_the_image(
    uri: str, digest: str, expected: tuple[str, str] | None
) -> None:
    assert image_of(Material(uri, digest)) == expected


def test_two_digests_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="two digests"):
        image_of(Material(f"pkg:docker/a?digest=sha256:{HEX}", "c" * 64))


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"7", b'{"predicate": 1}', b'{"predicate": {"x": 1}}', b"[" * 100000,
     b'{"predicateType": "other", "predicate": {"buildType": "x"}}',
     b'{"predicate": {"buildDefinition": [], "runDetails": "x"}}'],
)  # fmt: skip
@pytest.mark.parametrize("kind", [NEW, OLD, "other"])
def test_what_is_no_provenance_is_left_out(kind: str, data: bytes) -> None:
    assert find_provenance(chain(kind, data)) is None


def test_strange_metadata_makes_no_trouble() -> None:
    predicate = {"buildType": "x", "metadata": {"buildStartedOn": "soon", "completeness": 3}}
    data = json.dumps({"predicateType": OLD, "predicate": predicate}).encode()

    found = find_provenance(chain(OLD, data))

    assert found is not None
    assert ("startedOn", "") in found.pairs
