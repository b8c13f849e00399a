from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from dockyard.building.inputs.extras import open_inputs
from dockyard.building.inputs.rego.find import CAPABILITY, Found, find_policies
from dockyard.building.inputs.source import Source
from dockyard.building.job import Job
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.driver import BuildRequest, Node
from dockyard.errors import InputError, UnsupportedFeatureError
from dockyard.progress import ProgressWriter
from dockyard.session.policy import Decision, SourceCheck

ALLOW = 'package docker\ndecision := {"allow": true}\n'
DENY = 'package docker\ndecision := {"allow": false, "deny_msg": [input.env.filename]}\n'
PROXY = 'package docker\ndecision := {"allow": true, "caps": {"exec.proxy": true}}\n'
LOCAL = SourceCheck("local://context")


class Place:
    """A build context, and a daemon to build it."""

    def __init__(self, folder: Path, *capabilities: str) -> None:
        self.folder = folder
        self._capabilities = frozenset(capabilities)
        self.variables = {"HOME": str(folder)}

    def find(
        self, *policies: str, filename: str = "Dockerfile", archive: bool = False
    ) -> Found | None:
        environment = Environment.from_process(variables=self.variables)
        client = SimpleNamespace(capabilities=lambda: self._capabilities, workers=lambda: ())
        job = SimpleNamespace(
            workbench=SimpleNamespace(environment=environment),
            client=client,
            node=Node(name="n0", driver="shed", endpoint=""),
            cancel=Cancellation(),
            progress=ProgressWriter(lambda _: None),
        )
        request = BuildRequest(policies=policies, working_directory=str(self.folder))
        here = {} if archive else {"context": self.folder, "dockerfile": self.folder}
        source = Source(attributes={"filename": filename}, directories=here)
        return find_policies(source, open_inputs(request), cast("Job", job))

    def decide(self, *policies: str, filename: str = "Dockerfile") -> object:
        found = self.find(*policies, filename=filename)
        assert found is not None
        return found.policies.decide(LOCAL, Cancellation())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, CAPABILITY)


def test_a_build_without_policies_has_none(tmp_path: Path) -> None:
    old = Place(tmp_path)

    assert old.find() is None
    assert old.find("reset=true", "strict=true") is None
    assert old.find(archive=True) is None


def test_the_policy_beside_the_dockerfile_decides(place: Place) -> None:
    (place.folder / "Some.rego").write_text(DENY)

    assert place.find() is None
    assert place.decide(filename="Some") == Decision(allow=False, messages=("Some",))
    assert place.find("reset=true", filename="Some") is None
    assert place.find("disabled=true", filename="Some") is None


def test_all_policies_have_to_allow(place: Place) -> None:
    (place.folder / "Dockerfile.rego").write_text(ALLOW)
    (place.folder / "other.rego").write_text(DENY)

    assert place.decide() == Decision(allow=True)
    assert place.decide("filename=other.rego") == Decision(allow=False, messages=("Dockerfile",))
    assert place.decide("filename=cwd://other.rego") != Decision(allow=True)


def test_a_policy_that_leads_nowhere_ends_the_build(place: Place) -> None:
    (place.folder / "Dockerfile.rego").symlink_to("nowhere")

    with pytest.raises(InputError, match=r"policy file .*Dockerfile.rego not found"):
        place.find()


def test_a_daemon_that_cannot_ask_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile.rego").write_text(ALLOW)
    old = Place(tmp_path, "source.policy")

    words = "is not supported by the current BuildKit daemon, please upgrade to version v0.27"
    with pytest.raises(UnsupportedFeatureError, match=f"^a policy in Rego {words}"):
        old.find()
    with pytest.raises(UnsupportedFeatureError, match=f"^strict policy {words}"):
        old.find("strict=true")


def test_a_proxy_needs_a_daemon_that_has_one(place: Place) -> None:
    (place.folder / "Dockerfile.rego").write_text(PROXY)
    new = Place(place.folder, CAPABILITY, "exec.meta.network.proxy")

    with pytest.raises(UnsupportedFeatureError, match="^network proxy requested by policy is not"):
        place.find()
    found = new.find()
    assert found is not None
    assert found.proxy


def test_an_archive_from_stdin_has_no_files_to_name(place: Place) -> None:
    with pytest.raises(InputError, match="policy file p.rego not found: the build context is an"):
        place.find("filename=p.rego", archive=True)


def test_the_default_policy_is_refused(place: Place) -> None:
    place.variables["BUILDX_DEFAULT_POLICY"] = "1"

    with pytest.raises(InputError, match="which BUILDX_DEFAULT_POLICY asks for, cannot be used"):
        place.find()
    assert place.find("disabled=true") is None
    place.variables["BUILDX_DEFAULT_POLICY"] = "0"
    assert place.find() is None
