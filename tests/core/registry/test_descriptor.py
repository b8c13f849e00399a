from __future__ import annotations

import json
from typing import Any

import pytest

from dockyard.errors import ProtocolError
from dockyard.registry.descriptor import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    check,
    flatten,
    make_index,
)

AMD64 = {"architecture": "amd64", "os": "linux"}
ARM64 = {"architecture": "arm64", "os": "linux"}


class Store:
    """Blobs by digest, and how often each was asked for."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def add(self, values: object, kind: str = OCI_MANIFEST, **more: Any) -> Descriptor:  # noqa: ANN401
        data = values if isinstance(values, bytes) else json.dumps(values).encode()
        descriptor = Descriptor.of(kind, data)
        self.blobs[descriptor.digest] = data
        return descriptor._replace(more=more)

    def index(self, *entries: Descriptor, kind: str = OCI_INDEX) -> Descriptor:
        return self.add({"manifests": [entry.values for entry in entries]}, kind)

    def fetch(self, descriptor: Descriptor) -> bytes:
        self.fetched.append(descriptor.digest)
        return self.blobs[descriptor.digest]


@pytest.fixture
def store() -> Store:
    return Store()


def test_nested_indexes_become_flat_and_attestations_stay(store: Store) -> None:
    image = store.add("one", platform=AMD64)
    attestation = store.add(
        "what is attested",
        platform={"architecture": "unknown", "os": "unknown"},
        annotations={"vnd.docker.reference.digest": image.digest},
    )
    other = store.add("two", platform=ARM64)

    found = flatten(store.index(store.index(image, attestation), other), store.fetch)

    assert found == [image, attestation, other]
    assert len(store.fetched) == 2  # manifests whose platform is known are not looked into


def test_a_platform_that_nobody_named_is_read_from_the_configuration(store: Store) -> None:
    kind = "application/vnd.oci.image.config.v1+json"
    config = store.add({"architecture": "arm", "os": "linux", "variant": "v7"}, kind)
    manifest = store.add({"config": config.values})

    (found,) = flatten(manifest, store.fetch)

    assert found.digest == manifest.digest
    assert str(found.platform) == "linux/arm/v7"


@pytest.mark.parametrize(
    "values",
    [
        b"no JSON",
        b"[" * 100000,
        [],
        {},
        {"manifests": 1},
        {"manifests": [1]},
        {"manifests": [{"mediaType": OCI_MANIFEST, "digest": "sha256:../..", "size": 1}]},
        {"manifests": [{"mediaType": OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": -1}]},
        {"manifests": [{"mediaType": OCI_MANIFEST, "digest": "sha256:" + "0" * 64, "size": True}]},
        {"manifests": [{"mediaType": 1, "digest": "sha256:" + "0" * 64, "size": 1}]},
        {"manifests": [{}] * 1001},
        {
            "manifests": [
                {
                    "mediaType": OCI_MANIFEST,
                    "digest": "sha256:" + "0" * 64,
                    "size": 1,
                    "platform": "linux",
                }
            ]
        },
    ],
)
def test_an_index_that_makes_no_sense_is_refused(store: Store, values: object) -> None:
    with pytest.raises(ProtocolError):
        flatten(store.add(values, OCI_INDEX), store.fetch)


def test_indexes_without_end_are_refused(store: Store) -> None:
    index = store.index()
    for _ in range(5):
        index = store.index(index)

    with pytest.raises(ProtocolError, match="too many"):
        flatten(index, store.fetch)


def test_an_index_that_is_named_often_is_read_once(store: Store) -> None:
    index = store.index(store.add("one", platform=AMD64))
    for _ in range(3):  # a thousand million manifests, if it were followed each time
        index = store.index(*[index] * 1000)

    found = flatten(index, store.fetch)

    assert len(found) == 1
    assert len(store.fetched) == 4


def test_too_many_manifests_in_several_indexes_are_refused(store: Store) -> None:
    indexes = [
        store.index(*(store.add([part, each], platform=AMD64) for each in range(600)))
        for part in range(2)
    ]

    with pytest.raises(ProtocolError, match="more than 1000 manifests"):
        flatten(store.index(*indexes), store.fetch)


def test_what_is_no_image_is_refused(store: Store) -> None:
    with pytest.raises(ProtocolError, match="is no image"):
        flatten(store.add("x", "text/plain"), store.fetch)


def test_an_index_is_written_as_the_reference_writes_it() -> None:
    digest = "sha256:" + "0" * 64
    image = Descriptor.read(
        {
            "size": 5,
            "mediaType": OCI_MANIFEST,
            "digest": digest,
            "platform": {"os": "linux", "variant": "v7", "architecture": "arm", "else": 1},
            "annotations": {"b": "<&>", "a": "é"},
            "unknown": "dropped",
        }
    )

    index = make_index([image, image], annotations={"y": "1", "x": "2"})

    assert index.data.decode() == (
        "{\n"
        '  "schemaVersion": 2,\n'
        f'  "mediaType": "{OCI_INDEX}",\n'
        '  "manifests": [\n'
        "    {\n"
        f'      "mediaType": "{OCI_MANIFEST}",\n'
        f'      "digest": "{digest}",\n'
        '      "size": 5,\n'
        '      "annotations": {\n'
        '        "a": "é",\n'
        '        "b": "\\u003c\\u0026\\u003e"\n'
        "      },\n"
        '      "platform": {\n'
        '        "architecture": "arm",\n'
        '        "os": "linux",\n'
        '        "variant": "v7"\n'
        "      }\n"
        "    }\n"
        "  ],\n"
        '  "annotations": {\n'
        '    "x": "2",\n'
        '    "y": "1"\n'
        "  }\n"
        "}"
    )
    assert check(index.descriptor, index.data) == index.data


def test_an_index_of_dockers_own_kind_is_made_only_of_such(store: Store) -> None:
    docker = store.add("one", DOCKER_MANIFEST, platform=AMD64)
    oci = store.add("two", OCI_MANIFEST, platform=ARM64)

    listed = make_index([docker], annotations={"a": "b"})
    assert listed.descriptor.media_type == DOCKER_LIST
    assert "annotations" not in json.loads(listed.data)
    assert make_index([docker, oci]).descriptor.media_type == OCI_INDEX


def test_other_bytes_than_described_are_noticed() -> None:
    described = Descriptor.of(OCI_MANIFEST, b"{}")

    for data in (b"[]", b"{} "):
        with pytest.raises(ProtocolError, match="other content"):
            check(described, data)
