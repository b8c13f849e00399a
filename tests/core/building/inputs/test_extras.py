from __future__ import annotations

from pathlib import Path

import pytest

from core.building.inputs.test_named import make_layout
from dockyard.building.inputs.extras import Inputs, open_inputs, with_source_policy
from dockyard.config import Environment
from dockyard.driver import BuildRequest, SshAgent
from dockyard.errors import InputError, UnsupportedFeatureError
from dockyard.session.secrets import Secrets
from dockyard.session.ssh import SshAgents
from dockyard.session.ssh_absence import NoSshAgents
from support.ssh_agent import make_key


def opened(tmp_path: Path, variables: dict[str, str] | None = None, **values: object) -> Inputs:
    request = BuildRequest(working_directory=str(tmp_path), **values)  # type: ignore[arg-type]
    environment = Environment.from_process(variables=variables or {})
    return open_inputs(with_source_policy(request, environment))


def nobody() -> frozenset[str]:
    raise AssertionError("the daemon was asked")


def services(inputs: Inputs) -> list[type]:
    return [type(each) for each in inputs.attachables(lambda _: None)]


def test_a_build_without_inputs_asks_and_serves_as_little_as_can_be(tmp_path: Path) -> None:
    inputs = opened(tmp_path)

    inputs.check(nobody, "docker")
    assert services(inputs) == [Secrets, NoSshAgents]
    assert not inputs.contexts.attributes
    assert inputs.request.source_policy is None


def test_agents_are_served_only_when_the_request_has_some(tmp_path: Path) -> None:
    make_key(tmp_path, "one")
    variables = {"SSH_AUTH_SOCK": str(tmp_path / "agent.sock")}

    own = opened(tmp_path, variables)
    inputs = opened(tmp_path, variables, ssh=(SshAgent(keys=("key-one",)),))

    assert own.agents == {}
    assert services(own) == [Secrets, NoSshAgents]

    assert services(inputs) == [Secrets, SshAgents]


def test_everything_is_relative_to_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "secret").touch()

    inputs = opened(tmp_path, secrets={"s": "secret"}, build_contexts={"more": "more"})

    assert inputs.contexts.directories == {"more": tmp_path / "more"}
    with pytest.raises(InputError, match="failed to stat nosuch"):
        opened(tmp_path, secrets={"s": "nosuch"})


def test_a_source_policy_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text('{"rules": []}')
    environment = Environment.from_process(
        variables={"EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": str(tmp_path / "policy")}
    )
    request = with_source_policy(BuildRequest(), environment)
    (tmp_path / "policy").unlink()

    assert request.source_policy == {"rules": []}
    assert with_source_policy(request, environment) is request


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
