from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockyard.building.nodes.plan import Archive, Plan, plan_outputs
from dockyard.driver import BuildRequest, Output
from dockyard.errors import InputError
from dockyard.platforms import Platform

AMD64, ARM64 = (Platform("linux", machine) for machine in ("amd64", "arm64"))


def request(*outputs: Output, **values: Any) -> BuildRequest:  # noqa: ANN401  # its own fields
    return BuildRequest(outputs=outputs, platforms=(AMD64, ARM64), **values)


def pushed(**attributes: str) -> Output:
    return Output(type="image", attributes={"push": "true", **attributes})


def image(plan: Plan) -> Output:
    (output,) = plan.outputs
    assert isinstance(output, Output)
    return output


def test_nodes_push_by_digest_into_the_repositories_of_the_tags() -> None:
    plan = plan_outputs(request(pushed(), tags=("a:1", "a:2", "b.example/c")))

    assert image(plan).attributes == {
        "push": "true",
        "push-by-digest": "true",
        "name": "docker.io/library/a,b.example/c",
    }
    assert plan.push is not None
    assert plan.push.names == ("a:1", "a:2", "b.example/c")
    assert not plan.push.by_digest
    assert not plan.push.insecure


def test_names_may_come_with_the_output() -> None:
    output = pushed(name="b.example/c:1", **{"push-by-digest": "true", "registry.insecure": "1"})

    plan = plan_outputs(request(output))

    assert image(plan).attributes["name"] == "b.example/c"
    assert plan.push is not None
    assert plan.push.names == ("b.example/c:1",)
    assert plan.push.by_digest
    assert plan.push.insecure


def test_annotations_of_the_index_stay_here() -> None:
    plan = plan_outputs(
        request(pushed(name="a", **{"annotation-index.b": "c", "annotation.d": "e"}))
    )

    assert "annotation-index.b" not in image(plan).attributes
    assert image(plan).attributes["annotation.d"] == "e"
    assert plan.push is not None
    assert plan.push.annotations.on_index == {"b": "c"}


def test_several_images_are_asked_for_once() -> None:
    kept = Output(type="image", attributes={"unpack": "true"})

    plan = plan_outputs(request(kept, pushed(), tags=("a",)))

    assert image(plan).attributes["unpack"] == "true"
    assert plan.push is not None


def test_what_is_not_pushed_keeps_its_names_and_stays_with_the_node() -> None:
    plan = plan_outputs(request(Output(type="image"), tags=("a:1", "b:1")))

    assert image(plan).attributes == {"name": "a:1,b:1"}
    assert plan.push is None


@pytest.mark.parametrize("output", [Output(type="local", dest="x"), Output(type="cacheonly")])
def test_other_outputs_are_left_as_they_are(output: Output) -> None:
    assert plan_outputs(request(output)) == Plan((output,))


def test_archives_and_loaded_images_are_joined() -> None:
    outputs = (Output(type="oci", dest="x"), Output(type="docker"))

    plan = plan_outputs(request(*outputs))

    assert [archive.output for archive in plan.archives] == list(outputs)


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ((Output(type="tar", dest="x"),), "^tar for multi-node builds currently not supported"),
        (
            (Output(type="oci", dest="x", attributes={"tar": "false"}),),
            "^oci for multi-node builds currently not supported",
        ),
        ((Output(type="docker", dest="x"),), "use the oci exporter instead"),
        (
            (Output(type="local", dest="x", attributes={"mode": "delete"}),),
            "^local output with mode=delete for multi-node builds currently not supported$",
        ),
        ((pushed(),), "tag is needed when pushing to registry"),
        ((pushed(name="A//"),), 'invalid reference "A//"'),
        ((pushed(name="a"), Output(type="oci", dest="x")), "cannot be pushed and written"),
        ((pushed(name="a"), Output(type="docker")), "cannot be pushed and written"),
    ],
)
def test_what_several_nodes_cannot_make_is_refused(outputs: tuple[Output, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        plan_outputs(request(*outputs))


def test_an_archives_pieces_have_names_of_their_own(tmp_path: Path) -> None:
    plan = plan_outputs(request(Output(type="oci", dest="x"), Output(type="oci", dest="y")))

    pieces = {
        archive.piece(tmp_path, part)
        for archive in plan.outputs
        if isinstance(archive, Archive)
        for part in (0, 1)
    }

    assert len(pieces) == 4
