from __future__ import annotations

import pytest

from dockyard.building.inputs.git_query import as_inputs, is_wanted
from dockyard.config import Environment
from dockyard.errors import InputError
from support.protos import protos

URL = "https://host/a.git?ref=x"
CAPS = "frontend.caps"
QUERY = "moby.buildkit.frontend.gitquerystring"
CONTEXTS = "moby.buildkit.frontend.contexts+forward"


def identifier(definition: bytes) -> str:
    """Name the source that a definition consists of."""
    graph = protos().decode("pb.Definition", definition)
    return str(protos().decode("pb.Op", graph["def"][0])["source"]["identifier"])


@pytest.mark.parametrize(
    ("value", "wanted"), [("1", True), ("TRUE", True), ("", False), ("0", False), ("what", False)]
)
def test_it_is_asked_for_by_a_variable(value: str, wanted: bool) -> None:
    variables = {"BUILDX_SEND_GIT_QUERY_AS_INPUT": value}

    assert is_wanted(Environment.from_process(variables=variables)) is wanted


def test_a_context_becomes_an_input_which_also_has_the_dockerfile() -> None:
    done = as_inputs({"context": URL, "filename": "Dockerfile", CAPS: QUERY})

    assert done.attributes == {"filename": "Dockerfile", "input:context": URL}
    assert set(done.inputs) == {"context", "dockerfile"}
    assert {identifier(one) for one in done.inputs.values()} == {"git://host/a.git#x"}


def test_a_dockerfile_from_here_stays_from_here() -> None:
    done = as_inputs({"context": URL, "dockerfilekey": "dockerfile"})

    assert set(done.inputs) == {"context"}


def test_a_named_context_becomes_an_input_under_a_name_of_its_own() -> None:
    caps = f"{CONTEXTS},{QUERY}+forward"

    done = as_inputs({"context:n": URL, "context:m": "https://host/b.git#y", CAPS: caps})

    assert done.attributes == {
        "context:n": "input:git_state_context:n",
        "input:context:n": URL,
        "context:m": "https://host/b.git#y",
        CAPS: CONTEXTS,
    }
    assert set(done.inputs) == {"git_state_context:n"}


def test_only_the_main_context_keeps_its_history_by_a_build_argument() -> None:
    keep = "build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR"

    done = as_inputs({"context": URL, "context:n": URL, keep: "1"})

    assert b"git.keepgitdir" in done.inputs["context"]
    assert b"git.keepgitdir" not in done.inputs["git_state_context:n"]


def test_what_has_no_query_and_what_is_not_git_stays_as_it_is() -> None:
    attributes = {
        "context": "https://host/a.tar.gz?x=y",
        "context:a": "docker-image://b",
        "label:context": URL,
        CAPS: CONTEXTS,
    }

    assert as_inputs(attributes) == (attributes, {})


def test_a_query_that_makes_no_sense_is_an_error() -> None:
    with pytest.raises(InputError, match='unexpected query "foo"'):
        as_inputs({"context": f"{URL}&foo=1"})
