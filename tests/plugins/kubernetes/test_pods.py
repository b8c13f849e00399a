"""Tests for reading and choosing pods."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dockyard.driver import Node
from dockyard.errors import DriverError
from dockyard_kubernetes.pods import (
    Pod,
    choose_pod,
    parse_pod,
    parse_pods,
    pod_nodes,
    pod_selector,
    whole,
)
from support.cluster_objects import container, pod, unready

MakeNode = Callable[..., Node]
ENDING = {"deletionTimestamp": "2026-01-31T00:00:00Z"}


def names(pods: list[Pod]) -> list[str]:
    return [each.name for each in pods]


def test_pods_are_sorted_and_those_without_buildkit_left_out() -> None:
    other = {**pod("a"), "spec": {"containers": [{"name": "web"}]}}

    assert names(parse_pods([pod("c"), pod("b"), other, {}])) == ["b", "c"]


@pytest.mark.parametrize(
    "found",
    [
        unready(),
        unready(phase="Running"),
        pod(metadata=ENDING),
        pod(status={"phase": "Failed"}),
        pod(status={"phase": "Unknown"}),
        pod(status={"conditions": [{"type": "Ready", "status": "Unknown"}]}),
        pod(status={"conditions": "nonsense"}),
    ],
    ids=["pending", "unready", "ending", "failed", "lost", "unknown", "nonsense"],
)
@pytest.mark.parametrize("balance", ["sticky", "random"])
def test_a_pod_that_cannot_take_builds_is_never_chosen(
    make_node: MakeNode, found: dict[str, object], balance: str
) -> None:
    node = make_node({"loadbalance": balance}, sticky_key="/src")
    useless = parse_pod(found)

    assert choose_pod(node, [useless, parse_pod(pod("good"))]).name == "good"
    with pytest.raises(DriverError, match="no running buildkit pods found"):
        choose_pod(node, [useless])


def test_sticky_builds_stay_and_random_builds_do_not(make_node: MakeNode) -> None:
    pods = parse_pods([pod("pod-a"), pod("pod-b"), pod("pod-c")])
    sticky = make_node(sticky_key="/src/app")
    random = make_node({"loadbalance": "random"}, sticky_key="/src/app")

    assert {choose_pod(sticky, pods).name for _ in range(9)} == {"pod-a"}
    assert len({choose_pod(random, pods).name for _ in range(200)}) == 3


def test_every_usable_pod_is_a_node(make_node: MakeNode) -> None:
    node = make_node()
    notes = {"annotations": {"buildx.docker.com/platform": "linux/arm64,linux/s390x"}}
    pods = parse_pods([pod("a", metadata=notes), pod("b"), unready("c")])

    first, second = pod_nodes(node, pods)

    assert (first.name, second.name) == ("a", "b")
    assert list(map(str, first.platforms)) == ["linux/arm64", "linux/s390x"]
    assert whole(first) is node
    assert whole(node) is node


def test_platforms_that_make_no_sense_are_those_of_the_node(make_node: MakeNode) -> None:
    notes = {"annotations": {"buildx.docker.com/platform": "a/b/c/d/e"}}

    (found,) = pod_nodes(make_node(), parse_pods([pod(metadata=notes)]))

    assert found.platforms == ()


def test_restarts_are_those_of_buildkit_s_container() -> None:
    statuses = [container("side", restartCount=7), container(restartCount=2)]

    assert parse_pod(pod(status={"containerStatuses": statuses})).restarts == 2


def test_pods_are_found_by_the_label_that_no_option_changes(make_node: MakeNode) -> None:
    assert pod_selector(make_node({"labels": "a=b"}, name="k_0")) == "app=k-0"
