"""Strategic merging: what a template changes and what it leaves.

The expectations were compared with the API server's own code for thousands of random templates.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dockyard_kubernetes.merge import merge
from dockyard_kubernetes.shape import TEMPLATE
from dockyard_kubernetes.typecheck import check_types

BASE: dict[str, Any] = {
    "metadata": {"labels": {"app": "k0"}},
    "spec": {
        "containers": [
            {
                "name": "buildkitd",
                "image": "bk",
                "args": ["--debug"],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "securityContext": {"privileged": True},
                "volumeMounts": [{"name": "config", "mountPath": "/etc/buildkit"}],
            }
        ],
        "volumes": [{"name": "data", "emptyDir": {"medium": "Memory"}}],
        "nodeSelector": {"a": "b"},
        "tolerations": [{"key": "old"}],
    },
}


def merged(spec: dict[str, Any]) -> dict[str, Any]:
    patch = {"spec": spec}
    check_types(patch)
    found: dict[str, Any] = merge(BASE, patch, TEMPLATE)["spec"]
    return found


def container(fields: dict[str, Any]) -> dict[str, Any]:
    (found,) = merged({"containers": [{"name": "buildkitd", **fields}]})["containers"]
    return dict(found)


def test_nothing_changes_nothing_and_shares_nothing() -> None:
    before = copy.deepcopy(BASE)

    found = merge(BASE, {}, TEMPLATE)

    assert found == BASE
    found["spec"]["containers"][0]["env"].clear()
    assert before == BASE


def test_fields_are_added_changed_and_taken_away() -> None:
    found = merged(
        {"priorityClassName": "high", "nodeSelector": {"c": "d", "a": None}, "dnsPolicy": None}
    )

    assert found == {
        **BASE["spec"],
        "priorityClassName": "high",
        "nodeSelector": {"c": "d"},
    }


@pytest.mark.parametrize(
    ("field", "item"),
    [
        ("imagePullSecrets", {"name": "login"}),
        ("topologySpreadConstraints", {"topologyKey": "zone", "maxSkew": 1}),
        ("hostAliases", {"ip": "10.0.0.1", "hostnames": ["a"]}),
        ("resourceClaims", {"name": "gpu"}),
        ("initContainers", {"name": "first", "image": "x"}),
    ],
)
def test_lists_that_are_not_there_are_taken_over(field: str, item: dict[str, Any]) -> None:
    assert merged({field: [item]})[field] == [item]


def test_items_with_a_key_are_merged_and_new_ones_come_after() -> None:
    found = merged(
        {
            "containers": [{"name": "side", "image": "s"}, {"name": "buildkitd", "image": "other"}],
            "volumes": [{"name": "more", "hostPath": {"path": "/x"}}],
        }
    )

    assert found["containers"] == [
        {**BASE["spec"]["containers"][0], "image": "other"},
        {"name": "side", "image": "s"},
    ]
    assert [volume["name"] for volume in found["volumes"]] == ["data", "more"]


@pytest.mark.parametrize(
    ("field", "items", "wanted"),
    [
        (
            "env",
            [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
            [
                {"name": "A", "value": "1"},
                {"name": "B", "value": "3"},
                {"name": "C", "value": "4"},
            ],
        ),
        (
            "volumeMounts",
            [{"mountPath": "/etc/buildkit", "readOnly": True}, {"mountPath": "/x", "name": "y"}],
            [
                {"name": "config", "mountPath": "/etc/buildkit", "readOnly": True},
                {"name": "y", "mountPath": "/x"},
            ],
        ),
        ("ports", [{"containerPort": 80}], [{"containerPort": 80}]),
        ("args", ["--trace"], ["--trace"]),
    ],
)
def test_lists_of_a_container(
    field: str, items: list[dict[str, Any]], wanted: list[dict[str, Any]]
) -> None:
    assert container({field: items})[field] == wanted


def test_a_list_without_keys_is_replaced() -> None:
    assert merged({"tolerations": [{"key": "new"}]})["tolerations"] == [{"key": "new"}]


def test_an_item_can_be_deleted() -> None:
    assert container({"env": [{"name": "A", "$patch": "delete"}]})["env"] == [
        {"name": "B", "value": "2"}
    ]
    assert (
        container({"env": [{"name": "Z", "$patch": "delete"}]})["env"]
        == BASE["spec"]["containers"][0]["env"]
    )


def test_a_list_can_be_replaced() -> None:
    items = [{"$patch": "replace"}, {"name": "Z", "value": "9"}]

    assert container({"env": items})["env"] == [{"name": "Z", "value": "9"}]


def test_a_mapping_can_be_replaced_or_emptied() -> None:
    replaced = {"$patch": "replace", "runAsUser": 1000}

    assert container({"securityContext": replaced})["securityContext"] == {"runAsUser": 1000}
    assert merged({"nodeSelector": {"$patch": "delete"}})["nodeSelector"] == {}


def test_a_volume_can_become_one_of_another_kind() -> None:
    volume = {"name": "data", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}

    assert merged({"volumes": [volume]})["volumes"] == [
        {"name": "data", "hostPath": {"path": "/x"}}
    ]


def test_nulls_and_directives_leave_no_trace_in_what_is_new() -> None:
    side = {
        "name": "side",
        "image": None,
        "env": [{"name": "A", "$patch": "delete"}, {"name": "B", "value": "x"}],
        "securityContext": {"$patch": "replace", "privileged": False},
    }

    assert merged({"containers": [side]})["containers"][1] == {
        "name": "side",
        "env": [{"name": "B", "value": "x"}],
        "securityContext": {"privileged": False},
    }


def test_fields_that_we_do_not_know_are_merged_as_what_they_are() -> None:
    new = {"brandNew": {"a": [1, 2], "b": {"c": True}}}

    assert merged(new)["brandNew"] == new["brandNew"]
