"""What BuildKit is told about the GitHub Actions run that it is booted in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dockyard.errors import BootstrapError
from dockyard_docker_container.provenance import provenance_files

from .conftest import MakeNode

FILE = "provenance.d/github_actions_context.json"


@pytest.fixture
def event(tmp_path: Path) -> Path:
    path = tmp_path / "event.json"
    path.write_text('{"n": 12345678901234567890, "text": "<ä&b>"}')
    return path


def run(event: Path, **more: str) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_EVENT_PATH": str(event),
        **more,
    }


def test_groups_are_told_whole_or_not_at_all(make_node: MakeNode, event: Path) -> None:
    actor = {"GITHUB_ACTOR": "me", "GITHUB_ACTOR_ID": "1", "GITHUB_TRIGGERING_ACTOR": "you"}
    partial = {"GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main", "RUNNER_OS": "Linux"}
    node = make_node(variables=run(event, **actor, **partial))

    told = json.loads(provenance_files(node)[FILE])

    assert told == {
        "github_event_name": "push",
        "github_event_payload": {"n": 12345678901234567890, "text": "<ä&b>"},
        "github_actor": "me",
        "github_actor_id": "1",
        "github_triggering_actor": "you",
    }


def test_the_runner_s_variables_have_keys_of_their_own(make_node: MakeNode, event: Path) -> None:
    names = ("ARCH", "ENVIRONMENT", "NAME", "OS", "TRACKING_ID")
    runner = {f"RUNNER_{name}": name.lower() for name in names}
    node = make_node(variables=run(event, ImageOS="deb", ImageVersion="12", **runner))

    told = json.loads(provenance_files(node)[FILE])

    assert {key: value for key, value in told.items() if "runner" in key} == {
        "github_runner_arch": "arch",
        "github_runner_environment": "environment",
        "github_runner_image_os": "deb",
        "github_runner_image_version": "12",
        "github_runner_name": "name",
        "github_runner_os": "os",
        "github_runner_tracking_id": "tracking_id",
    }


def test_the_file_is_written_as_buildx_writes_it(make_node: MakeNode, event: Path) -> None:
    content = provenance_files(make_node(variables=run(event)))[FILE]

    assert content.decode() == (
        '{"github_event_name":"push","github_event_payload":'
        '{"n":12345678901234567890,"text":"\\u003cä\\u0026b\\u003e"}}'
    )


@pytest.mark.parametrize("missing", ["GITHUB_ACTIONS", "GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH"])
def test_without_a_run_there_is_nothing_to_tell(
    make_node: MakeNode, event: Path, missing: str
) -> None:
    variables = run(event)
    del variables[missing]

    assert provenance_files(make_node(variables=variables)) == {}


@pytest.mark.parametrize(("typed", "told"), [("1", True), ("false", False), ("yes", False)])
def test_the_variable_that_tells_of_a_run_is_a_truth_value(
    make_node: MakeNode, event: Path, typed: str, told: bool
) -> None:
    node = make_node(variables={**run(event), "GITHUB_ACTIONS": typed})

    assert bool(provenance_files(node)) is told


def test_the_option_switches_it_off(make_node: MakeNode, event: Path) -> None:
    node = make_node({"provenance-add-gha": "false"}, variables=run(event))

    assert provenance_files(node) == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, 'failed to read GITHUB_EVENT_PATH ".*": no such file or directory'),
        ("{", 'failed to unmarshal GitHub event payload from ".*": '),
        ("[]", 'failed to unmarshal GitHub event payload from ".*": it is no JSON object'),
    ],
)
def test_an_event_that_cannot_be_read_is_an_error(
    make_node: MakeNode, tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "e"
    if content is not None:
        path.write_text(content)

    with pytest.raises(BootstrapError, match=words) as caught:
        provenance_files(make_node(variables=run(path)))

    assert caught.value.hint == "--driver-opt provenance-add-gha=false does without"
