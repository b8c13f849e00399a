from __future__ import annotations

import base64
import json

import pytest

from dockyard.buildkit.linked import link, targets_of

GRAPH = b"graph"


def test_a_result_becomes_the_input_that_the_context_names() -> None:
    attributes = {"context:base": "target:one", "filename": "Dockerfile"}
    result = {"ref": {"id": "r", "def": GRAPH}, "metadata": {"containerimage.config": b"{}"}}

    linked = link(attributes, {"one": result})

    assert linked.inputs == {"one": GRAPH}
    metadata = linked.attributes.pop("input-metadata:one")
    assert json.loads(metadata) == {"containerimage.config": base64.b64encode(b"{}").decode()}
    assert linked.attributes == {"context:base": "input:one", "filename": "Dockerfile"}


def test_results_for_platforms_become_an_input_each() -> None:
    result = {
        "refs": {"refs": {"linux/amd64": {"id": "1", "def": GRAPH}, "linux/arm64": {}}},
        "metadata": {"containerimage.config/linux/amd64": b"1"},
    }

    linked = link({"context:base": "target:one"}, {"one": result})

    assert linked.inputs == {"one::linux/amd64": GRAPH, "one::linux/arm64": b""}
    assert set(linked.attributes) == {
        "context:base::linux/amd64",
        "context:base::linux/arm64",
        "input-metadata:one::linux/amd64",
    }
    assert linked.attributes["context:base::linux/arm64"] == "input:one::linux/arm64"


def test_other_contexts_and_values_are_no_targets() -> None:
    attributes = {"context:a": "docker-image://b", "label:x": "target:y", "context:c": "target:d"}

    assert targets_of(attributes) == {"context:c": "d"}
    with pytest.raises(KeyError, match="d"):
        link(attributes, {})
