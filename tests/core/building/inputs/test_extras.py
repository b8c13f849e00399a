from __future__ import annotations

from pathlib import Path

import pytest

from core.building.inputs.test_named import make_layout
from dockyard.building.inputs.extras import Inputs, open_inputs
from dockyard.config import Environment
from dockyard.driver import BuildRequest, SshAgent
from dockyard.errors import InputError, UnsupportedFeatureError
from dockyard.session.secrets import Secrets
from dockyard.session.ssh import SshAgents
from support.ssh_agent import make_key


def opened(tmp_path: Path, variables: dict[str, str] | None = None, **values: object) -> Inputs:
    request = BuildRequest(working_directory=str(tmp_path), **values)  # type: ignore[arg-type]
    environment = Environment.from_process(variables=variables or {})
    return open_inputs(request, environment)


def nobody() -> frozenset[str]:
    raise AssertionError("the daemon was asked")


def services(inputs: Inputs) -> list[type]:
    return [type(each) for each in inputs.attachables(lambda _: None)]


def test_a_build_without_inputs_asks_and_serves_as_little_as_can_be(tmp_path: Path) -> None:
    inputs = opened(tmp_path)

    inputs.check(nobody, "docker")
    assert services(inputs) == [Secrets]
    assert not inputs.contexts.attributes
    assert inputs.source_policy is None


def test_agents_are_served_when_there_are_some(tmp_path: Path) -> None:
    make_key(tmp_path, "one")

    inputs = opened(tmp_path, ssh=(SshAgent(keys=("key-one",)),))

    assert services(inputs) == [Secrets, SshAgents]


def test_everything_is_relative_to_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "secret").touch()

    inputs = opened(tmp_path, secrets={"s": "secret"}, build_contexts={"more": "more"})

    assert inputs.contexts.directories == {"more": tmp_path / "more"}
    with pytest.raises(InputError, match="failed to stat nosuch"):
        opened(tmp_path, secrets={"s": "nosuch"})


def test_a_daemon_that_lacks_what_is_needed_is_refused_by_name(tmp_path: Path) -> None:
    make_layout(tmp_path / "lay", latest=b"one")
    (tmp_path / "policy").write_text('{"rules": []}')

    layout = opened(tmp_path, build_contexts={"x": "oci-layout://lay"})
    policy = opened(tmp_path, {"EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": str(tmp_path / "policy")})

    layout.check(lambda: frozenset({"source.ocilayout"}), "docker")
    policy.check(lambda: frozenset({"source.policy"}), "docker")
    with pytest.raises(UnsupportedFeatureError, match="OCI layout are not supported.*v0.11"):
        layout.check(lambda: frozenset({"source.policy"}), "docker")
    with pytest.raises(UnsupportedFeatureError, match="policy is not supported.*v0.11"):
        policy.check(frozenset, "docker")
