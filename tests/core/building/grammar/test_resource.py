from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.building.grammar.resource import NAMES, parse_resources, resource_attributes
from dockyard.errors import InputError


def test_limits_become_the_frontends_attributes() -> None:
    resources = parse_resources(
        [
            "memory=64m",
            "memory-swap=-1",
            "cpu-shares=512",
            "cpu-period=100000",
            "cpu-quota=50000",
            "cpuset-cpus=0",
            " cpuset-mems = 0-1 ",
        ]
    )

    assert resource_attributes(resources) == {
        "memory": "67108864",
        "memswap": "-1",
        "cpushares": "512",
        "cpuperiod": "100000",
        "cpuquota": "50000",
        "cpusetcpus": "0",
        "cpusetmems": "0-1",
    }
    assert tuple(resources) == NAMES


def test_what_limits_nothing_is_not_sent() -> None:
    resources = parse_resources(["memory=0", "memory-swap=0", "cpu-quota=-1", "cpuset-cpus="])

    assert resource_attributes(resources) == {}


def test_the_last_of_a_name_counts() -> None:
    assert parse_resources(["memory=1k", "memory=2k"]) == {"memory": "2048"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("memory", 'invalid resource "memory", expected key=value'),
        ("foo=1", 'unknown resource "foo"'),
        ("memory=x", "invalid value \"x\" for resource memory: invalid size: 'x'"),
        ("memory=-1", "invalid value \"-1\" for resource memory: invalid size: '-1'"),
        ("memory-swap=-2", 'invalid value "-2" for resource memory-swap: invalid size'),
        ("cpu-shares=1.5", 'invalid value "1.5" for resource cpu-shares: strconv.ParseInt'),
        ("cpu-shares=", 'invalid value "" for resource cpu-shares: strconv.ParseInt'),
    ],
)
def test_a_wrong_limit_is_refused(value: str, words: str) -> None:
    with pytest.raises(InputError, match=f"^{words}"):
        parse_resources([value])


@given(st.sampled_from(NAMES), st.text(max_size=30))
def test_no_value_is_a_surprise(name: str, value: str) -> None:
    try:
        found = parse_resources([f"{name}={value}"])
    except InputError:
        return
    resource_attributes(found)
