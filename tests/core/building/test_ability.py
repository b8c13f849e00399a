from __future__ import annotations

from typing import Any, cast

import pytest

from dockyard.building.ability import Ability
from dockyard.building.export import ExportPlan, plan_exports
from dockyard.building.grammar.output import parse_outputs
from dockyard.building.link import Link
from dockyard.buildkit.client import Client
from dockyard.config import Environment
from dockyard.driver import BuildRequest, Feature, NodeFeatures, Support
from dockyard.errors import UnsupportedFeatureError

BUILDKITD = NodeFeatures(support={Feature.MULTI_PLATFORM: Support.yes()})
CLASSIC = NodeFeatures(support={}, loads_itself=True, image_exporter="moby")
ALL = frozenset(
    {
        "exporter.multiple",
        "exporter.image.annotations",
        "exporter.sourcedateepoch",
        "exec.meta.linux.resources",
        "exec.meta.ulimit",
        "exec.mount.tmpfs.size",
        "exec.meta.cgroup.parent",
    }
)


class Daemon:
    """As much of a client as is asked."""

    def __init__(self, capabilities: frozenset[str], *, tells_version: bool) -> None:
        self._capabilities = capabilities
        self.keeps_records = tells_version
        self.asked = 0

    def capabilities(self) -> frozenset[str]:
        self.asked += 1
        return self._capabilities


def ability(
    capabilities: frozenset[str] = ALL,
    features: NodeFeatures = BUILDKITD,
    *,
    tells_version: bool = True,
    **variables: str,
) -> Ability:
    daemon = cast("Client", Daemon(capabilities, tells_version=tells_version))
    environment = Environment.from_process(variables=variables)
    return Ability(Link(daemon, features), "shed", environment)


def plan(*outputs: str, features: NodeFeatures = BUILDKITD) -> ExportPlan:
    parsed = parse_outputs(outputs, push=False, load=False)
    return plan_exports(BuildRequest(outputs=parsed, tags=("a",)), features)


def test_a_plain_build_asks_for_nothing() -> None:
    daemon = Daemon(frozenset(), tells_version=False)
    link = Link(cast("Client", daemon), BUILDKITD)
    found = Ability(link, "shed", Environment.from_process(variables={}))

    found.check(BuildRequest(), plan("type=image"))
    assert list(found.losses(BuildRequest())) == []
    assert found.attributes(BuildRequest()) == {}
    assert daemon.asked == 0


@pytest.mark.parametrize(
    ("values", "outputs", "words"),
    [
        ({}, ("out", "type=image"), "multiple outputs currently unsupported by the current"),
        ({"resources": {"memory": "1"}}, (), r"^resource limits \(memory\) are not supported"),
        ({"ulimits": ("nofile=1:1",)}, (), "^--ulimit is not supported by .* version v0.10+"),
        ({"shm_size": 1}, (), "^--shm-size is not supported by the current"),
        ({"cgroup_parent": "x"}, (), "^--cgroup-parent is not supported by the current"),
    ],
)
def test_what_a_daemon_would_ignore_is_refused_by_name(
    values: dict[str, Any], outputs: tuple[str, ...], words: str
) -> None:
    request = BuildRequest(**values)

    with pytest.raises(UnsupportedFeatureError, match=words):
        ability(frozenset()).check(request, plan(*outputs))
    ability().check(request, plan(*outputs))


def test_a_limit_of_nothing_is_none() -> None:
    ability(frozenset()).check(BuildRequest(resources={"memory": "0"}), plan())


def test_annotations_that_reach_nothing_are_told() -> None:
    request = BuildRequest(annotations={"annotation.a": "b"})

    assert list(ability().losses(request)) == []
    (lacking,) = ability(frozenset()).losses(request)
    assert "BuildKit lacks exporter.image.annotations" in lacking
    (placeless,) = ability(features=CLASSIC).losses(request)
    assert "image store has no place" in placeless


def test_a_time_stamp_that_gets_lost_is_told() -> None:
    assert list(ability(SOURCE_DATE_EPOCH="1").losses(BuildRequest())) == []
    (lost,) = ability(frozenset(), SOURCE_DATE_EPOCH="1").losses(BuildRequest())
    assert "SOURCE_DATE_EPOCH is only a build argument" in lost


def test_old_daemons_are_not_asked_to_attest() -> None:
    assert "attest:provenance" in ability().attributes(BuildRequest())
    assert ability(tells_version=False).attributes(BuildRequest()) == {}


def test_a_variable_wants_images_without_artifacts() -> None:
    asked = plan("type=image", "type=oci,dest=x,oci-artifact=true", "type=docker", "out")

    fitted = ability(BUILDX_NO_DEFAULT_OCI_ARTIFACT="1").fitted(asked)

    assert [export.attributes.get("oci-artifact") for export in fitted.exports] == [
        "false",
        "true",
        "false",
        None,
    ]
    assert ability().fitted(asked) is asked
