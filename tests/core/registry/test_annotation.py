from __future__ import annotations

import pytest

from dockyard.errors import InputError
from dockyard.registry.annotation import Annotations
from dockyard.registry.descriptor import OCI_MANIFEST, Descriptor

DIGEST = "sha256:" + "0" * 64


def manifest(**more: object) -> Descriptor:
    platform = {"architecture": "arm64", "os": "linux"}
    return Descriptor(OCI_MANIFEST, DIGEST, 2, {"platform": platform, **more})


def test_only_what_is_for_indexes_is_taken() -> None:
    found, others = Annotations.take(
        {
            "name": "a",
            "annotation.x": "of manifests",
            "annotation-index.org.example": "of the index",
            "annotation-manifest-descriptor.y": "of all",
            "annotation-manifest-descriptor[linux/arm64].z": "of one",
            "annotation-index[linux/amd64].of": "index",
        }
    )

    assert others == {"name": "a", "annotation.x": "of manifests"}
    assert found.on_index == {"org.example": "of the index", "of": "index"}
    assert found.annotated(manifest()).more["annotations"] == {"y": "of all", "z": "of one"}


def test_other_platforms_and_attestations_are_left_as_they_are() -> None:
    found, _ = Annotations.take({"annotation-manifest-descriptor[linux/s390x].z": "of one"})
    unknown = manifest(platform={"architecture": "unknown", "os": "unknown"})

    assert found.annotated(manifest()) == manifest()
    found, _ = Annotations.take({"annotation-manifest-descriptor.z": "of all"})
    assert found.annotated(unknown) == unknown


def test_annotations_that_are_there_stay() -> None:
    found, _ = Annotations.take({"annotation-manifest-descriptor.b": "new"})

    annotated = found.annotated(manifest(annotations={"c": "old", "b": "old"}))

    assert annotated.more["annotations"] == {"b": "new", "c": "old"}


def test_a_platform_that_is_none_is_refused() -> None:
    with pytest.raises(InputError):
        Annotations.take({"annotation-manifest-descriptor[a/b/c/d].x": "y"})
