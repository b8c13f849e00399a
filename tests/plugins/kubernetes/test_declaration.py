"""What the driver declares, and what it refuses before a cluster is asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dockyard.driver import Feature, Level
from dockyard.errors import DriverError, OptionError
from dockyard_kubernetes.declaration import DEFAULT_TIMEOUT, DRIVER, check, features

from .conftest import MakeNode

CLAIM = "persistent-volume-claim.requests.storage"

DEFAULTS = {
    "image": "moby/buildkit:buildx-stable-1",
    "replicas": "1",
    "rootless": "false",
    "loadbalance": "sticky",
    "qemu.install": "false",
    "qemu.image": "tonistiigi/binfmt:latest",
    "timeout": "120s",
    "keep-failed": "false",
    "provenance-add-gha": "false",
    "default-load": "false",
}
WITHOUT_DEFAULT = {
    "context", "namespace", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
    "limits.cpu", "limits.memory", "limits.ephemeral-storage", CLAIM,
    "buildkit-root-volume-memory", "nodeselector", "tolerations", "labels", "annotations",
    "serviceaccount", "schedulername", "template", "env.",
}  # fmt: skip


def test_the_options_and_their_defaults() -> None:
    declared = {option.name: option.default for option in DRIVER.options}

    assert declared == {**DEFAULTS, **dict.fromkeys(WITHOUT_DEFAULT, "")}


def test_every_default_is_a_value_that_the_option_takes() -> None:
    values = {
        option.name: option.parse(option.default) for option in DRIVER.options if option.default
    }

    assert values["timeout"] == DEFAULT_TIMEOUT


def test_options_that_are_looked_at_each_time_need_no_new_pods() -> None:
    assert {option.name for option in DRIVER.options if not option.recreates} == {
        "loadbalance",
        "timeout",
        "keep-failed",
        "default-load",
    }


def test_options_that_say_where_the_cache_is_lose_it() -> None:
    assert {option.name for option in DRIVER.options if option.loses_cache} == {
        "context",
        "namespace",
        CLAIM,
        "buildkit-root-volume-memory",
        "rootless",
    }


def test_every_feature_is_there_and_loading_by_default_is_a_matter_of_the_option() -> None:
    levels = {feature: DRIVER.support(feature).level for feature in Feature}

    assert levels.pop(Feature.AUTO_LOAD) is Level.CONDITIONAL
    assert set(levels.values()) == {Level.YES}
    assert DRIVER.support(Feature.AUTO_LOAD).reason == "with default-load"


@pytest.mark.parametrize("default_load", [True, False])
def test_a_node_loads_by_default_with_the_option(default_load: bool) -> None:
    found = features({"default-load": default_load})

    assert {feature for feature in Feature if not found.has(feature)} == (
        set() if default_load else {Feature.AUTO_LOAD}
    )
    assert (found.image_exporter, found.loads_itself) == ("image", False)


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"requests.cpu": "1000m", "limits.cpu": "1"},
        {"requests.memory": "1Gi"},
        {"limits.ephemeral-storage": "1Gi"},
        {CLAIM: "1Gi", "rootless": "true"},
        {"buildkit-root-volume-memory": "1Gi", "rootless": "true"},
        {"env.a.b-c": "1"},
    ],
)
def test_options_that_go_together_are_taken(make_node: MakeNode, typed: dict[str, str]) -> None:
    check(make_node(typed))


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (
            {"requests.cpu": "1001m", "limits.cpu": "1"},
            r"requests.cpu \(1001m\) is larger than limits.cpu \(1\)",
        ),
        ({"requests.memory": "1Gi", "limits.memory": "1G"}, r"requests.memory \(1Gi\) is larger"),
        (
            {"requests.ephemeral-storage": "2k", "limits.ephemeral-storage": "1k"},
            "requests.ephemeral-storage",
        ),
        ({CLAIM: "1Gi", "buildkit-root-volume-memory": "1Gi"}, "exclude each other"),
        ({"env.a\u00e4": "1"}, "invalid environment variable name"),
    ],
)
def test_options_that_no_server_takes_together_are_refused(
    make_node: MakeNode, typed: dict[str, str], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        check(make_node(typed))


def test_a_name_that_no_workload_can_have_is_refused(make_node: MakeNode) -> None:
    check(make_node(name="x" * 63))

    with pytest.raises(DriverError, match="64 characters, at most 63"):
        check(make_node(name="x" * 64))
    with pytest.raises(DriverError, match="53 characters, at most 52"):
        check(make_node({CLAIM: "1Gi"}, name="x" * 53))


def test_declaring_and_checking_import_no_client_and_no_yaml() -> None:
    program = (
        "import sys, dockyard_kubernetes.declaration;"
        "print([m for m in ('yaml', 'kubernetes', 'websockets', 'ssl', 'decimal', 'fractions')"
        " if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "[]\n"
