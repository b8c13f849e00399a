from __future__ import annotations

import pytest

from dockyard.building.export import default_outputs, plan_exports
from dockyard.building.output import parse_outputs
from dockyard.driver import BuildRequest, Feature, NodeFeatures, Output, Support

YES = Support.yes()
BUILDKITD = NodeFeatures(
    support={feature: YES for feature in Feature if feature is not Feature.AUTO_LOAD}
)
CLASSIC = NodeFeatures(support={Feature.AUTO_LOAD: YES}, image_exporter="moby", loads_itself=True)
CONTAINERD = NodeFeatures(
    support=dict.fromkeys(Feature, YES),
    image_exporter="moby",
    loads_itself=True,
    prefer_image_digest=True,
)


def request(*outputs: str, push: bool = False, load: bool = False) -> BuildRequest:
    return BuildRequest(tags=("a", "b"), outputs=parse_outputs(outputs, push=push, load=load))


def wire(asked: BuildRequest, features: NodeFeatures) -> list[tuple[str, dict[str, str]]]:
    return [(e.type, dict(e.attributes)) for e in plan_exports(asked, features).exports]


def test_a_node_that_loads_itself_is_asked_for_an_image_in_its_store() -> None:
    plan = plan_exports(request(load=True), CLASSIC)

    assert [(export.type, dict(export.attributes)) for export in plan.exports] == [
        ("moby", {"name": "a,b"})
    ]
    assert plan.load
    assert not plan.push


def test_another_node_is_asked_for_an_archive() -> None:
    plan = plan_exports(request(load=True), BUILDKITD)

    assert [export.type for export in plan.exports] == ["docker"]
    assert plan.exports[0].comes_back
    assert plan.load


def test_a_node_that_cannot_push_leaves_it_for_later() -> None:
    plan = plan_exports(request(push=True), CLASSIC)

    assert "push" not in plan.exports[0].attributes
    assert plan.push


def test_a_node_that_can_push_is_asked_to() -> None:
    plan = plan_exports(request(push=True), CONTAINERD)

    assert plan.exports[0].type == "moby"
    assert plan.exports[0].attributes["push"] == "true"
    assert plan.exports[0].attributes["prefer-image-digest"] == "true"
    assert not plan.push


def test_load_and_push_on_one_store_are_one_exporter() -> None:
    assert wire(request(push=True, load=True), CONTAINERD) == [
        (
            "moby",
            {"push": "true", "unpack": "false", "name": "a,b", "prefer-image-digest": "true"},
        )
    ]


def test_without_tags_there_is_no_name() -> None:
    assert wire(BuildRequest(outputs=(Output(type="image"),)), BUILDKITD) == [("image", {})]


def test_cacheonly_never_goes_on_the_wire() -> None:
    assert wire(request("type=cacheonly"), BUILDKITD) == []


def test_files_have_no_image_name() -> None:
    assert wire(request("type=local,dest=o", "type=tar,dest=t"), CLASSIC) == [
        ("local", {}),
        ("tar", {}),
    ]


@pytest.mark.parametrize(
    ("features", "load", "expected"),
    [(CLASSIC, True, ["docker"]), (CLASSIC, False, []), (BUILDKITD, True, [])],
)
def test_the_default_output_is_the_nodes(
    features: NodeFeatures, load: bool, expected: list[str]
) -> None:
    outputs = default_outputs(BuildRequest(), features, load=load).outputs

    assert [output.type for output in outputs] == expected


def test_any_output_replaces_the_default() -> None:
    asked = request("type=cacheonly")

    assert default_outputs(asked, CLASSIC, load=True) is asked
