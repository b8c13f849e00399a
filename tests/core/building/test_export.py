from __future__ import annotations

import pytest
from attrs import evolve

from dockyard.building.export import default_outputs, fit_loads, plan_exports
from dockyard.building.grammar.output import parse_outputs
from dockyard.driver import BuildRequest, Feature, NodeFeatures, Output, Support
from dockyard.errors import InputError
from dockyard.platforms import Platform

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


def test_outputs_are_asked_for_in_the_order_they_were_given_in() -> None:
    asked = request("out", "type=image", "type=oci,dest=x")

    assert [kind for kind, _ in wire(asked, BUILDKITD)] == ["local", "image", "oci"]


def test_images_of_different_names_are_exporters_of_their_own() -> None:
    outputs = parse_outputs(["type=image,name=a", "type=image,name=b"], push=False, load=False)

    asked = wire(BuildRequest(outputs=outputs), BUILDKITD)

    assert asked == [("image", {"name": "a"}), ("image", {"name": "b"})]


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (["type=image"], True),
        (["type=docker"], True),
        (["type=oci,dest=x"], False),
        (["type=docker,dest=x"], False),
        (["type=oci,dest=x", "type=image"], True),
        (["type=oci,dest=x,prefer-image-digest=true"], True),
    ],
)
def test_an_image_is_known_by_its_manifest_where_it_lies_in_containerds_store(
    outputs: list[str], expected: bool
) -> None:
    assert plan_exports(request(*outputs), CONTAINERD).prefer_image_digest is expected


def test_an_engine_with_containerds_store_gets_what_that_takes() -> None:
    asked = request("type=oci,dest=x", load=True)
    plan = plan_exports(asked, BUILDKITD)

    fitted = fit_loads(plan, asked, lambda _: True)

    assert [(export.type, dict(export.attributes)) for export in fitted.exports] == [
        ("oci", {"name": "a,b"}),
        ("oci", {"name": "a,b", "prefer-image-digest": "true"}),
    ]
    assert fitted.prefer_image_digest
    assert [export.is_load for export in fitted.exports] == [False, True]


def test_an_engine_with_a_classic_store_gets_what_was_planned() -> None:
    asked = request(load=True)
    plan = plan_exports(asked, BUILDKITD)

    assert fit_loads(plan, asked, lambda _: False) == plan


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("type=docker", "^docker exporter does not currently support exporting manifest lists$"),
        ("type=docker,dest=x", "use the oci exporter instead$"),
    ],
)
def test_docker_images_are_for_one_platform(output: str, words: str) -> None:
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    asked = evolve(request(output), platforms=platforms)

    with pytest.raises(InputError, match=words):
        fit_loads(plan_exports(asked, BUILDKITD), asked, lambda _: False)
    if "dest" not in output:
        fit_loads(plan_exports(asked, BUILDKITD), asked, lambda _: True)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("type=docker", "^docker exporter does not currently support exporting manifest lists$"),
        ("type=docker,dest=x", "use the oci exporter instead$"),
    ],
)
def test_docker_images_have_no_attestations(output: str, words: str) -> None:
    asked = evolve(request(output), attestations={"sbom": "type=sbom"})

    with pytest.raises(InputError, match=words):
        fit_loads(plan_exports(asked, BUILDKITD), asked, lambda _: False)
    none = evolve(asked, attestations={"provenance": ""})
    fit_loads(plan_exports(none, BUILDKITD), none, lambda _: False)


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_an_image_may_be_written_as_a_directory(kind: str) -> None:
    (export,) = plan_exports(request(f"type={kind},tar=false,dest=x"), BUILDKITD).exports

    assert export.type == kind
    assert export.attributes["tar"] == "false"
    assert export.is_layout
    assert not export.is_load


@pytest.mark.parametrize("output", ["type=oci,dest=x", "type=oci,tar=1,dest=x", "type=oci,tar=x"])
def test_an_archive_is_no_directory(output: str) -> None:
    (export,) = plan_exports(request(output), BUILDKITD).exports

    assert not export.is_layout


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (["type=docker,tar=false"], "^dest is required for docker exporter$"),
        (
            ["type=oci,tar=false,dest=x", "type=docker,tar=f,dest=y"],
            "^only one output of a build can have tar=false$",
        ),
    ],
)
def test_directories_that_have_no_place_are_refused(outputs: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan_exports(request(*outputs), BUILDKITD)


def test_a_driver_may_load_only_because_an_option_says_so() -> None:
    features = NodeFeatures(support={**BUILDKITD.support, Feature.AUTO_LOAD: YES})
    without = request()

    loaded = default_outputs(without, features, load=True)

    assert [output.is_load for output in loaded.outputs] == [True]
    assert plan_exports(loaded, features).exports[0].is_load
    assert default_outputs(without, features, load=False) == without
    other = request("type=local,dest=x")
    assert default_outputs(other, features, load=True) == other
    assert default_outputs(without, BUILDKITD, load=True) == without


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
