"""Tests for what is shown of pods while they are waited for."""

from __future__ import annotations

import pytest

from dockyard.events import StatusUpdate
from dockyard.progress import ProgressWriter
from dockyard_kubernetes.lines import PodLines
from dockyard_kubernetes.pods import parse_pods
from support.cluster_objects import Json, container, event, pod, unready, waiting


def lines(*rounds: tuple[list[Json], list[Json]]) -> list[tuple[str, bool]]:
    """Give each line as it is shown, and whether it is done, for one look after the other."""
    updates: list[StatusUpdate] = []
    with ProgressWriter(updates.append).step("booting") as step:
        shown = PodLines(step)
        for pods, events in rounds:
            shown.show(parse_pods(pods), events, wanted=1)
        shown.close()
    return [
        (status.id, status.completed is not None) for each in updates for status in each.statuses
    ]


def creating(*statuses: Json, phase: str = "Pending") -> Json:
    return unready("a", phase=phase, containerStatuses=list(statuses))


CREATING = creating(waiting("ContainerCreating"))
NOWHERE = {**unready("a", conditions=[]), "spec": {"containers": [{"name": "buildkitd"}]}}
UNPLACED = {
    **unready("a", conditions=[{"type": "PodScheduled", "status": "False"}]),
    "spec": {"containers": [{"name": "buildkitd"}]},
}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (NOWHERE, "waits for the scheduler"),
        (UNPLACED, "finds no place yet"),
        (CREATING, "is being set up on node-1"),
        (creating(waiting("ErrImagePull")), "cannot pull its image on node-1"),
        (creating(waiting("ImagePullBackOff")), "cannot pull its image on node-1"),
        (creating(waiting("CrashLoopBackOff")), "is held up on node-1: CrashLoopBackOff"),
        (
            creating(container(state={"running": {}}), phase="Running"),
            "has started BuildKit",
        ),
        (pod("a"), "is ready"),
        (pod("a", metadata={"deletionTimestamp": "now"}), "is being deleted"),
    ],
)
def test_a_pod_has_a_line_for_what_it_is_doing(found: Json, words: str) -> None:
    assert lines(([found], []))[0] == (f"pod a {words}", False)


def test_the_image_that_is_being_pulled_is_named_until_it_is_there() -> None:
    pulling = event(CREATING, "Pulling", 'Pulling image "img:1"')
    pulled = event(CREATING, "Pulled", 'Successfully pulled image "img:1"')

    found = lines(([CREATING], [pulling]), ([CREATING], [pulling, pulled]))

    assert found == [
        ("pod a is pulling image img:1 on node-1", False),
        ("pod a is pulling image img:1 on node-1", True),
        ("pod a is being set up on node-1", False),
        ("pod a is being set up on node-1", True),
    ]


def test_a_line_is_shown_once_for_as_long_as_nothing_changes() -> None:
    found = lines(([CREATING], []), ([CREATING], []), ([pod("a")], []), ([pod("a")], []))

    assert found == [
        ("pod a is being set up on node-1", False),
        ("pod a is being set up on node-1", True),
        ("pod a is ready", False),
        ("1 of 1 pods ready", True),
        ("pod a is ready", True),
    ]


def test_the_line_of_a_pod_that_goes_is_ended() -> None:
    assert lines(([CREATING], []), ([], []))[-1] == ("pod a is being set up on node-1", True)
