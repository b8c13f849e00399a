"""The configuration that a node's container is created from, one option at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockyard.engine.endpoint import EngineEndpoint
from dockyard_docker_container import container
from dockyard_docker_container.container import (
    GPUS,
    Surroundings,
    container_config,
    image_of,
    labels,
    probe_config,
    surroundings,
    volume_name,
)
from dockyard_docker_container.state import container_name

from .conftest import MakeNode

PLAIN = {
    "Privileged": True,
    "Init": True,
    "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
    "Mounts": [
        {
            "Type": "volume",
            "Source": "buildx_buildkit_b0_state",
            "Target": "/var/lib/buildkit",
        }
    ],
}


def test_names_are_buildx_s(make_node: MakeNode) -> None:
    node = make_node()

    assert container_name(node) == "buildx_buildkit_b0"
    assert volume_name(node) == "buildx_buildkit_b0_state"


def test_a_container_without_options(make_node: MakeNode) -> None:
    node = make_node()

    assert container_config(node, image_of(node), Surroundings()) == {
        "Image": "moby/buildkit:buildx-stable-1",
        "Env": None,
        "Cmd": [],
        "Labels": {"dev.dockyard.builder": "B", "dev.dockyard.node": "b0"},
        "HostConfig": PLAIN,
    }


@pytest.mark.parametrize(
    ("name", "typed", "field", "value"),
    [
        ("network", "foonet", "NetworkMode", "foonet"),
        ("memory", "1g", "Memory", 1 << 30),
        ("memory-swap", "-1", "MemorySwap", -1),
        ("cpu-quota", "50000", "CpuQuota", 50_000),
        ("cpu-period", "100000", "CpuPeriod", 100_000),
        ("cpu-shares", "512", "CpuShares", 512),
        ("cpuset-cpus", "0-1", "CpusetCpus", "0-1"),
        ("cpuset-mems", "0", "CpusetMems", "0"),
        ("restart-policy", "no", "RestartPolicy", {"Name": "no", "MaximumRetryCount": 0}),
        (
            "restart-policy",
            "on-failure:3",
            "RestartPolicy",
            {"Name": "on-failure", "MaximumRetryCount": 3},
        ),
        ("cgroup-parent", "/mine", "CgroupParent", None),
        ("network", "", "NetworkMode", None),
        ("cpu-shares", "0", "CpuShares", None),
        ("default-load", "true", "", None),
        ("provenance-add-gha", "false", "", None),
        ("allow-untrusted-image", "true", "", None),
    ],
)
def test_an_option_changes_its_own_field_only(
    make_node: MakeNode, name: str, typed: str, field: str, value: object
) -> None:
    node = make_node({name: typed})

    made = container_config(node, image_of(node), Surroundings())

    assert made["HostConfig"] == (PLAIN if value is None else {**PLAIN, field: value})


def test_variables_go_into_the_environment(make_node: MakeNode) -> None:
    node = make_node({"env.B": "2=3", "env.A": ""})

    assert container_config(node, "i", Surroundings())["Env"] == ["A=", "B=2=3"]


def test_the_configuration_file_comes_before_the_flags(make_node: MakeNode) -> None:
    node = make_node(flags=("--debug",), files={"buildkitd.toml": b"", "certs/r/ca.pem": b""})

    made = container_config(node, "i", Surroundings())

    assert made["Cmd"] == ["--config", "/etc/buildkit/buildkitd.toml", "--debug"]


def test_certificates_alone_are_no_configuration(make_node: MakeNode) -> None:
    node = make_node(files={"certs/r/ca.pem": b""})

    assert container_config(node, "i", Surroundings())["Cmd"] == []


@pytest.mark.parametrize(
    ("around", "more"),
    [
        (Surroundings(cgroupfs=True), {"CgroupParent": "/docker/buildx"}),
        (Surroundings(remapped_users=True), {"UsernsMode": "host"}),
        (Surroundings(gpus=True), {"DeviceRequests": [*GPUS]}),
        (
            Surroundings(wsl=True),
            {
                "Mounts": [
                    *PLAIN["Mounts"],  # type: ignore[misc]  # it is a list
                    {
                        "Type": "bind",
                        "Source": "/usr/lib/wsl",
                        "Target": "/usr/lib/wsl",
                        "ReadOnly": True,
                    },
                ]
            },
        ),
    ],
)
def test_what_the_engine_is_like_changes_the_container(
    make_node: MakeNode, around: Surroundings, more: dict[str, Any]
) -> None:
    node = make_node()

    assert container_config(node, "i", around)["HostConfig"] == {**PLAIN, **more}


def test_a_cgroup_parent_counts_only_where_the_engine_uses_cgroupfs(make_node: MakeNode) -> None:
    node = make_node({"cgroup-parent": "/mine"})

    made = container_config(node, "i", Surroundings(cgroupfs=True))

    assert made["HostConfig"]["CgroupParent"] == "/mine"


def test_an_empty_image_is_the_default_one(make_node: MakeNode) -> None:
    assert image_of(make_node({"image": ""})) == "moby/buildkit:buildx-stable-1"


def test_a_gpu_probe_is_found_by_its_labels(make_node: MakeNode) -> None:
    node = make_node()

    made = probe_config(node, "i", "mark")

    assert labels(node).items() < made["Labels"].items()
    assert made["Labels"]["dev.dockyard.probe"] == "mark"
    assert made["Entrypoint"] == ["/bin/true"]
    assert made["HostConfig"]["AutoRemove"] is True


@pytest.mark.parametrize(
    ("info", "around"),
    [
        ({}, Surroundings()),
        ({"CgroupDriver": "systemd", "SecurityOptions": None}, Surroundings()),
        ({"CgroupDriver": "cgroupfs"}, Surroundings(cgroupfs=True)),
        (
            {"SecurityOptions": ["name=seccomp,profile=builtin", "name=userns"]},
            Surroundings(remapped_users=True),
        ),
    ],
)
def test_an_engine_tells_what_it_is_like(
    make_node: MakeNode, info: dict[str, Any], around: Surroundings
) -> None:
    assert surroundings(make_node(), info, gpus=False) == around


@pytest.mark.parametrize(
    ("variables", "host", "there", "wsl"),
    [
        ({"WSL_DISTRO_NAME": "Debian"}, "unix:///x", True, True),
        ({"WSL_DISTRO_NAME": "Debian"}, "npipe:////./pipe/x", True, True),
        ({"WSL_DISTRO_NAME": "Debian"}, "tcp://far:2375", True, False),
        ({"WSL_DISTRO_NAME": "Debian"}, "unix:///x", False, False),
        ({}, "unix:///x", True, False),
    ],
)
def test_the_libraries_of_windows_are_for_an_engine_on_this_machine(
    make_node: MakeNode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    host: str,
    there: bool,
    wsl: bool,
) -> None:
    monkeypatch.setattr(container, "_WSL", str(tmp_path / ("" if there else "missing")))
    node = make_node(variables=variables, engine=EngineEndpoint(host=host))

    assert surroundings(node, {}, gpus=False).wsl is wsl
