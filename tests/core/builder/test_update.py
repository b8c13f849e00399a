"""Tests for new settings becoming a record and a list of differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from dockyard.builder.group import NodeEntry, NodeGroup
from dockyard.builder.update import (
    Difference,
    Settings,
    differences,
    node_changes,
    with_settings,
)
from dockyard.driver import DriverType, Option
from dockyard.errors import BuilderError, OptionError
from dockyard.platforms import parse_list

HOST_NETWORK = "--allow-insecure-entitlement=network.host"
ENTITLED = {"buildkitd.toml": b'insecure-entitlements = ["network.host"]\n'}
SHED = DriverType(
    name="shed",
    summary="for tests",
    features={},
    options=(
        Option(name="image", help="the image", default="shed:1"),
        Option(name="network", help="the network"),
        Option(name="size", help="the size", default="10m", loses_cache=True),
        Option(name="load", help="load", default="false", recreates=False),
        Option(name="env.", help="environment"),
    ),
)


def entry(**values: Any) -> NodeEntry:  # noqa: ANN401  # whatever a node entry has
    return NodeEntry(**{"name": "a0", "endpoint": "x", "flags": (HOST_NETWORK,), **values})


def changed(old: NodeEntry, settings: Settings) -> NodeEntry:
    return with_settings(NodeGroup(name="a", nodes=(old,)), settings, SHED).nodes[0]


def options_become(old: Mapping[str, str], new: Mapping[str, str]) -> list[Difference]:
    return differences(entry(options=old), entry(options=new), SHED)


# --- flags -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "settings", "flags"),
    [
        (entry(flags=("--debug", HOST_NETWORK)), Settings(options={"image": "b"}), None),
        (entry(flags=()), Settings(platforms=()), None),
        (entry(), Settings(files=ENTITLED), None),
        (entry(), Settings(flags=()), (HOST_NETWORK,)),
        (entry(), Settings(flags=("--debug",)), ("--debug", HOST_NETWORK)),
        (entry(), Settings(flags=("--debug",), files=ENTITLED), ("--debug",)),
        (entry(flags=(), files=ENTITLED), Settings(files={}), (HOST_NETWORK,)),
        (
            entry(flags=("--allow-insecure-entitlement=security.insecure",)),
            Settings(options={"network": "host"}),
            ("--allow-insecure-entitlement=security.insecure", HOST_NETWORK),
        ),
        (
            entry(flags=("--allow-insecure-entitlement=security.insecure",)),
            Settings(options={"network": "other"}),
            None,
        ),
    ],
)
def test_flags_that_nobody_touched_change_only_with_what_they_depend_on(
    old: NodeEntry, settings: Settings, flags: tuple[str, ...] | None
) -> None:
    assert changed(old, settings).flags == (old.flags if flags is None else flags)


def test_a_driver_that_takes_no_flags_gets_none_by_default() -> None:
    managed = attrs.evolve(SHED, flags_refusal="no flags here")
    group = NodeGroup(name="a", nodes=(entry(flags=()),))

    assert with_settings(group, Settings(options={"image": "b"}), managed).nodes[0].flags == ()
    assert with_settings(group, Settings(flags=("--x",)), managed).nodes[0].flags == ("--x",)


# --- differences -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ({}, {"image": "b"}, "image shed:1 -> b"),
        ({"image": "b"}, {}, "image b -> shed:1"),
        ({}, {"network": "n"}, "network unset -> n"),
        ({}, {"network": "a b"}, "network unset -> 'a b'"),
        ({}, {"network": "\x1b[2J"}, "network unset -> '\\x1b[2J'"),
        ({"env.A": "1"}, {"env.A": "2"}, "env.A: changed"),
        ({}, {"env.A": "2"}, "env.A: added"),
        ({"env.A": "1"}, {}, "env.A: removed"),
        ({"bogus": "1"}, {"bogus": "2"}, "bogus: changed"),
    ],
)
def test_an_option_that_changes_needs_a_new_node(
    old: Mapping[str, str], new: Mapping[str, str], text: str
) -> None:
    option = next(iter({**old, **new}))

    assert options_become(old, new) == [Difference(option, text)]


def test_an_option_may_lose_the_cache_or_need_no_new_node() -> None:
    assert options_become({}, {"size": "20m", "load": "true"}) == [
        Difference("load", "load false -> true", recreates=False),
        Difference("size", "size 10m -> 20m", loses_cache=True),
    ]


def test_the_default_in_writing_changes_nothing() -> None:
    assert options_become({}, {"size": "10m"}) == [
        Difference("size", "size 10m, as by default", recreates=False)
    ]


def test_nodes_that_nothing_changes_for_are_left_out_unless_they_are_made_anew() -> None:
    group = NodeGroup(name="a", nodes=(entry(), entry(name="a1", endpoint="y")))
    one = Settings(node="A1", options={"image": "b"})
    again = Settings(node="a0", recreate=True)

    after = with_settings(group, one, SHED)

    (change,) = node_changes(group, after, one, SHED)
    assert (change.place, change.name, change.recreates) == (1, "a1", True)
    assert node_changes(group, group, one, SHED) == []
    (change,) = node_changes(group, group, again, SHED)
    assert (change.place, change.differences, change.recreates) == (0, (), True)


# --- what is refused -------------------------------------------------------------------------


def test_a_builder_without_nodes_cannot_be_changed() -> None:
    with pytest.raises(BuilderError, match="^builder a has no nodes$"):
        with_settings(NodeGroup(name="a"), Settings(recreate=True), SHED)


def test_removing_what_is_neither_set_nor_known_is_a_mistake() -> None:
    with pytest.raises(OptionError, match="^invalid driver option imgae for shed driver$"):
        changed(entry(), Settings(dropped=("imgae",)))

    own_words = attrs.evolve(SHED, option_refusal="no {} here")
    with pytest.raises(OptionError, match="^no imgae here$"):
        with_settings(
            NodeGroup(name="a", nodes=(entry(),)), Settings(dropped=("imgae",)), own_words
        )

    assert changed(entry(), Settings(dropped=("image",))) == entry()
    assert changed(entry(options={"old": "1"}), Settings(dropped=("old",))) == entry()


def test_platforms_for_several_nodes_at_once_name_the_choice() -> None:
    group = NodeGroup(name="a", nodes=(entry(), entry(name="a1", endpoint="y")))

    with pytest.raises(BuilderError) as caught:
        with_settings(group, Settings(platforms=parse_list(["arm64"])), SHED)

    assert caught.value.hint == "choose one with --node: a0, a1"
