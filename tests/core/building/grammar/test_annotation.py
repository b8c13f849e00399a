from __future__ import annotations

import pytest

from dockyard.building.grammar.annotation import annotated, check_annotations, parse_annotations
from dockyard.building.grammar.output import parse_outputs
from dockyard.driver import BuildRequest, Feature, NodeFeatures, Output, Support
from dockyard.errors import InputError

CLASSIC = NodeFeatures(support={}, loads_itself=True)
CONTAINERD = NodeFeatures(support={Feature.MULTI_PLATFORM: Support.yes()}, loads_itself=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a=b", {"annotation.a": "b"}),
        ("a=b=c", {"annotation.a": "b=c"}),
        ("a=", {"annotation.a": ""}),
        ("", {}),
        ("index:a=b", {"annotation-index.a": "b"}),
        ("index,manifest:a=b", {"annotation-index.a": "b", "annotation-manifest.a": "b"}),
        ("manifest[linux/amd64]:a=b", {"annotation-manifest[linux/amd64].a": "b"}),
        (
            "manifest-descriptor[aarch64]:a=b",
            {"annotation-manifest-descriptor[linux/arm64].a": "b"},
        ),
        ("index-descriptor:a=b", {"annotation-index-descriptor.a": "b"}),
        ("index[linux/amd64]:a=b", {"annotation-index.a": "b"}),
        ("index:org.x:y=b", {"annotation-index.org.x:y": "b"}),
        ("a=x:y", {"annotation.a": "x:y"}),
    ],
)
def test_annotations_become_attributes_of_exporters(value: str, expected: dict[str, str]) -> None:
    assert parse_annotations([value]) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("foo", 'invalid annotation "foo", expected key=value'),
        ("bogus:a=b", 'unknown annotation type "bogus"'),
        ("A:a=b", 'invalid annotation type "A", expected type and optional platform in square'),
        (":a=b", 'invalid annotation type "", expected'),
        ("manifest[]:a=b", r'invalid annotation type "manifest\[\]", expected'),
        ("manifest[a/b/c/d]:a=b", 'invalid platform "a/b/c/d": '),
    ],
)
def test_a_wrong_annotation_is_refused(value: str, words: str) -> None:
    with pytest.raises(InputError, match=f"^parse annotations: {words}"):
        parse_annotations([value])


def test_images_get_annotations_and_files_do_not() -> None:
    outputs = parse_outputs(
        ["type=image,x=y", "type=oci,dest=o", "type=docker", "out"], push=False, load=False
    )
    request = annotated(BuildRequest(outputs=outputs, annotations={"annotation.a": "b"}))

    image, oci, docker, local = request.outputs
    assert image.attributes == {"x": "y", "annotation.a": "b"}
    assert oci.attributes == docker.attributes == {"annotation.a": "b"}
    assert local.attributes == {}


def test_a_request_without_annotations_stays_as_it_is() -> None:
    request = BuildRequest(outputs=(Output(type="image"),))

    assert annotated(request) is request


@pytest.mark.parametrize("name", ["annotation-index.a", "annotation-index-descriptor.a"])
def test_a_store_without_indexes_refuses_annotations_of_one(name: str) -> None:
    request = BuildRequest(outputs=(Output(type="docker"),), annotations={name: "b"})

    with pytest.raises(
        InputError, match="^index annotations not supported for single platform export$"
    ):
        check_annotations(request, CLASSIC)
    check_annotations(request, CONTAINERD)
    check_annotations(BuildRequest(annotations={name: "b"}), CLASSIC)
    check_annotations(
        BuildRequest(outputs=request.outputs, annotations={"annotation-manifest.a": "b"}), CLASSIC
    )
