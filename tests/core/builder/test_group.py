"""Tests for node groups."""

from __future__ import annotations

import pytest

from dockyard.builder.group import NodeEntry, NodeGroup, context_group
from dockyard.errors import BuilderError, InvalidNameError
from dockyard.platforms import parse_list


def entry(name: str, endpoint: str, *platforms: str) -> NodeEntry:
    return NodeEntry(name=name, endpoint=endpoint, platforms=parse_list(platforms))


def test_an_appended_nodes_platforms_are_taken_from_the_others() -> None:
    group = NodeGroup(name="g", nodes=(entry("g0", "a", "linux/arm64", "linux/amd64"),))

    changed = group.with_node(entry("g1", "b", "linux/arm64"))

    assert [tuple(map(str, node.platforms)) for node in changed.nodes] == [
        ("linux/amd64",),
        ("linux/arm64",),
    ]


def test_a_changed_node_keeps_its_place() -> None:
    group = NodeGroup(name="g", nodes=(entry("g0", "a"), entry("g1", "b")))

    changed = group.with_node(entry("g0", "c"))

    assert [(node.name, node.endpoint) for node in changed.nodes] == [("g0", "c"), ("g1", "b")]


def test_nodes_of_one_name_as_buildx_writes_them_are_all_kept() -> None:
    twins = (entry("g0", "a"), entry("g0", "b"), entry("g0", "c"))
    group = NodeGroup(name="G", nodes=twins)

    changed = group.with_node(entry("g0", "d"))
    left = group.without_node("g0")

    assert [node.endpoint for node in changed.nodes] == ["d", "b", "c"]
    assert [node.endpoint for node in left.nodes] == ["b", "c"]
    assert group.next_node_name() == "g1"


def test_two_nodes_cannot_have_one_endpoint() -> None:
    group = NodeGroup(name="g", nodes=(entry("g0", "tcp://127.0.0.1:20"),))

    with pytest.raises(BuilderError, match=r"^invalid duplicate endpoint tcp://127\.0\.0\.1:20$"):
        group.with_node(entry("g1", "tcp://127.0.0.1:20"))


def test_a_node_can_be_changed_to_the_endpoint_it_has() -> None:
    group = NodeGroup(name="g", nodes=(entry("g0", "a"),))

    assert group.with_node(entry("g0", "a", "linux/arm64")).nodes[0].endpoint == "a"


def test_a_node_can_leave_unless_it_is_unknown_or_the_last() -> None:
    group = NodeGroup(name="r1", nodes=(entry("g0", "a"), entry("g1", "b")))

    left = group.without_node("g0")

    assert [node.name for node in left.nodes] == ["g1"]
    with pytest.raises(BuilderError, match='^node "nope" not found for r1$'):
        group.without_node("nope")
    with pytest.raises(
        BuilderError, match="^can not leave last node, do you want to rm instance instead"
    ):
        left.without_node("g1")


def test_the_next_node_takes_the_smallest_free_number() -> None:
    group = NodeGroup(name="Ab", nodes=(entry("ab0", "a"), entry("ab2", "b")))

    assert group.next_node_name() == "ab1"
    with pytest.raises(InvalidNameError):
        NodeGroup(name="1x").next_node_name()


def test_a_contexts_builder_has_one_node_named_like_it() -> None:
    group = context_group("ctx2")

    assert group.is_context
    assert [(node.name, node.endpoint) for node in group.nodes] == [("ctx2", "ctx2")]
