"""Tests for the text of stored builders. The sample is one that buildx wrote."""

from __future__ import annotations

import json
import string
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.builder.group import NodeEntry, NodeGroup
from dockyard.builder.record import format_group, parse_group
from dockyard.platforms import Platform

SAMPLE = (
    b'{"Name":"up","Driver":"remote","Nodes":[{"Name":"up0","Endpoint":"tcp://127.0.0.1:9",'
    b'"Platforms":[],"DriverOpts":{"default-load":"true"},"Flags":null,"Files":null},'
    b'{"Name":"up1","Endpoint":"tcp://127.0.0.1:2","Platforms":[{"architecture":"arm64",'
    b'"os":"linux"}],"DriverOpts":null,"Flags":null,"Files":null}],"Dynamic":false}'
)


def test_the_sample_is_read() -> None:
    group = parse_group(SAMPLE, "up")

    assert group == NodeGroup(
        name="up",
        driver="remote",
        nodes=(
            NodeEntry(name="up0", endpoint="tcp://127.0.0.1:9", options={"default-load": "true"}),
            NodeEntry(
                name="up1", endpoint="tcp://127.0.0.1:2", platforms=(Platform("linux", "arm64"),)
            ),
        ),
    )


def test_the_sample_is_written_back_byte_for_byte() -> None:
    assert format_group(parse_group(SAMPLE, "up")) == SAMPLE


def test_a_change_to_one_node_leaves_every_other_byte() -> None:
    group = parse_group(SAMPLE, "up")
    changed = group.with_node(attrs.evolve(group.nodes[1], endpoint="tcp://127.0.0.1:3"))

    assert format_group(changed) == SAMPLE.replace(b"127.0.0.1:2", b"127.0.0.1:3")


def test_a_new_record_has_the_keys_that_buildx_writes_in_its_order() -> None:
    group = NodeGroup(
        name="Up",
        driver="stand",
        nodes=(
            NodeEntry(
                name="up0",
                endpoint="tcp://h?a=1&b=2",
                platforms=(Platform("linux", "arm", "v7"),),
                options={"b": "2", "a": "<1>"},
                flags=("--debug",),
                files={"buildkitd.toml": b"debug = true\n"},
            ),
        ),
    )

    assert format_group(group) == (
        b'{"Name":"Up","Driver":"stand","Nodes":[{"Name":"up0",'
        b'"Endpoint":"tcp://h?a=1\\u0026b=2",'
        b'"Platforms":[{"architecture":"arm","os":"linux","variant":"v7"}],'
        b'"DriverOpts":{"a":"\\u003c1\\u003e","b":"2"},"Flags":["--debug"],'
        b'"Files":{"buildkitd.toml":"ZGVidWcgPSB0cnVlCg=="}}],"Dynamic":false}'
    )


def test_unknown_keys_survive_on_every_level() -> None:
    source = {
        "Future": {"a": [1, 2.5, None]},
        "Name": "x",
        "Driver": "stand",
        "Nodes": [
            {
                "Name": "x0",
                "Endpoint": "e",
                "Platforms": [{"architecture": "arm64", "os": "linux", "later": True}],
                "Proxy": {"http": "p"},
            }
        ],
        "Dynamic": False,
    }
    group = parse_group(json.dumps(source).encode(), "x")
    changed = group.with_node(attrs.evolve(group.nodes[0], endpoint="other"))

    written = json.loads(format_group(changed))

    assert written["Future"] == source["Future"]
    assert written["Nodes"][0]["Proxy"] == {"http": "p"}
    assert written["Nodes"][0]["Platforms"][0]["later"] is True
    assert written["Nodes"][0]["Endpoint"] == "other"


def test_keys_are_read_in_any_letter_case_and_keep_their_spelling() -> None:
    data = b'{"name":"x","DRIVER":"stand","nodes":[{"nAME":"x0","endpoint":"e","FLAGS":["-d"]}]}'
    group = parse_group(data, "x")

    changed = group.with_node(attrs.evolve(group.nodes[0], endpoint="f"))

    assert group.nodes == (NodeEntry(name="x0", endpoint="e", flags=("-d",)),)
    node = json.loads(format_group(changed))["nodes"][0]
    assert node["endpoint"] == "f"
    assert "Endpoint" not in node
    assert node["FLAGS"] == ["-d"]


def test_an_exact_key_wins_over_another_spelling() -> None:
    group = parse_group(b'{"name":"other","Name":"x","Driver":"d","Nodes":[]}', "x")

    assert group.name == "x"
    assert json.loads(format_group(attrs.evolve(group, driver="e"))) == {
        "name": "other",
        "Name": "x",
        "Driver": "e",
        "Nodes": [],
        "Dynamic": False,
    }


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"Name":null,"Driver":null,"Nodes":null,"Dynamic":null}',
        b'{"Nodes":[]}',
    ],
)
def test_missing_and_null_values_are_taken(data: bytes) -> None:
    assert parse_group(data, "x") == NodeGroup(name="x")


def test_a_node_with_nulls_everywhere_is_taken() -> None:
    data = (
        b'{"Name":"x","Nodes":[{"Name":"x0","Endpoint":null,"Platforms":null,'
        b'"DriverOpts":null,"Flags":null,"Files":null}]}'
    )

    assert parse_group(data, "x").nodes == (NodeEntry(name="x0", endpoint=""),)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[]", "it is not an object"),
        (b'"x"', "it is not an object"),
        (b"\xff{}", "can't decode byte"),
        (b'{"Name":1}', "Name of the record is not a text"),
        (b'{"Nodes":{}}', "Nodes of the record is not a list"),
        (b'{"Nodes":[1]}', "node 0 is not an object"),
        (b'{"Nodes":[{}]}', "node 0 has no name"),
        (b'{"Nodes":[{"Name":"a","Flags":[1]}]}', "a flag of node 0 is not a text"),
        (b'{"Nodes":[{"Name":"a","DriverOpts":{"k":1}}]}', "option k of node 0 is not a text"),
        (b'{"Nodes":[{"Name":"a","Files":{"f":"!"}}]}', "base64"),
        (b'{"Nodes":[{"Name":"a","Platforms":[1]}]}', "a platform of node 0 is not an object"),
        (b'{"x":NaN}', "NaN is not JSON"),
        (b'{"x":1e999}', "1e999 is too large"),
        (b"[" * 200_000, "nested too deeply"),
    ],
)
def test_a_damaged_record_says_what_is_wrong(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_group(data, "x")


_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)
_extra = st.dictionaries(
    st.text(alphabet=string.digits + "&<>é\u2028", min_size=1, max_size=4), _json, max_size=3
)


@given(_extra, _extra, st.dictionaries(_text, _text, max_size=3), st.binary(max_size=20))
def test_whatever_was_read_is_written_back_with_the_same_meaning(
    extra: dict[str, Any], node_extra: dict[str, Any], options: dict[str, str], content: bytes
) -> None:
    entry = NodeEntry(name="x0", endpoint="e", options=options, files={"f": content})
    written = json.loads(format_group(NodeGroup(name="x", driver="d", nodes=(entry,))))
    written["Nodes"][0] |= node_extra
    written |= extra

    group = parse_group(json.dumps(written).encode(), "x")

    assert group.nodes == (entry,)
    assert json.loads(format_group(group)) == written
