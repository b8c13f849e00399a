from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import grpc
import pytest

from dockyard.building.inputs.extras import open_inputs
from dockyard.building.inputs.rego.find import CAPABILITY, Found, find_policies
from dockyard.building.inputs.source import Source
from dockyard.building.job import Job
from dockyard.buildkit.client import Client
from dockyard.buildkit.gateway import GatewayMissingError
from dockyard.cancellation import Cancellation
from dockyard.config import Environment
from dockyard.driver import BuildRequest, Node
from dockyard.errors import BuildError, InputError, UnsupportedFeatureError
from dockyard.progress import ProgressWriter
from dockyard.session.policy import Decision, SourceCheck
from support.hostile_buildkit import HostileBuildKit, Victim
from support.protos import protos
from support.scripted_buildkit import Refusal, Values

GIT = "https://example.invalid/x.git#main:sub"
WEB = "http://example.invalid/x.tar"
POLICY = b"""package docker
import data.lib.team
default allow := false
allow if input.local.name in load_json("names.json")
decision := {"allow": allow, "deny_msg": [team.name]}
"""
FILES = {
    "Dockerfile.rego": POLICY,
    "lib/team.rego": b'package lib.team\nname := "core"\n',
    "names.json": b'["context"]',
}


class Daemon(HostileBuildKit):
    """Has fetched a context with some files, after it was told a secret."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, self._ask)
        self.files = dict(FILES)
        self.told: list[bytes] = []
        self.bridge["Solve"] = lambda _: {"result": {"ref": {"id": "r"}}}
        self.bridge["StatFile"] = self._stat
        self.bridge["ReadFile"] = self._read

    def _ask(self, victim: Victim) -> None:
        request = ("moby.buildkit.secrets.v1.GetSecretRequest", {"ID": "GIT_AUTH_TOKEN"})
        answer = victim.ask("/moby.buildkit.secrets.v1.Secrets/GetSecret", request)
        response = "moby.buildkit.secrets.v1.GetSecretResponse"
        self.told.append(protos().decode(response, answer)["data"])

    def _stat(self, request: Values) -> Values:
        path = request["Path"]
        if path not in self.files:
            words = f"lstat {path}: no such file or directory"
            raise Refusal(grpc.StatusCode.UNKNOWN, words)
        return {"stat": {"path": path, "mode": 0o644}}

    def _read(self, request: Values) -> Values:
        return {"Data": self.files[request["FilePath"]]}

    def graph(self) -> list[Values]:
        """Give the operations that it was asked for first."""
        asked = next(asked for name, asked in self.requests if name == "bridge.Solve")
        return [protos().decode("pb.Op", each) for each in asked["Definition"]["def"]]

    def paths(self) -> list[str]:
        return [asked["Path"] for name, asked in self.requests if name == "bridge.StatFile"]


class Knowing(Client):
    """A client that knows without asking what the daemon can do."""

    known: frozenset[str] = frozenset()

    def capabilities(self, timeout: float = 20) -> frozenset[str]:
        return self.known


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder)) as daemon:
        yield daemon


Find = Callable[..., Found | None]


@pytest.fixture
def find(daemon: Daemon, tmp_path: Path) -> Iterator[Find]:
    client = Knowing(daemon.connect())

    def find(*policies: str, url: str = GIT, old: bool = False) -> Found | None:
        request = BuildRequest(
            policies=policies,
            working_directory=str(tmp_path),
            secrets={"GIT_AUTH_TOKEN": b"token"},
        )
        manager = SimpleNamespace(connect=lambda _node, _cancel: daemon.connect())
        client.known = frozenset() if old else frozenset({CAPABILITY})
        job = SimpleNamespace(
            workbench=SimpleNamespace(
                environment=Environment.from_process(variables={"HOME": str(tmp_path)}),
                manager=manager,
            ),
            client=client,
            node=Node(name="n0", driver="shed", endpoint=""),
            request=request,
            cancel=Cancellation(),
            progress=ProgressWriter(lambda _: None),
        )
        source = Source(attributes={"filename": "Dockerfile", "context": url})
        return find_policies(source, open_inputs(request), cast("Job", job))

    yield find
    client.close()


def decide(found: Found | None, name: str) -> object:
    assert found is not None
    return found.policies.decide(SourceCheck(f"local://{name}"), Cancellation())


def test_a_policy_in_a_repository_decides_with_all_that_lies_beside_it(
    daemon: Daemon, find: Find
) -> None:
    found = find()

    assert decide(found, "context") == Decision(allow=True)
    assert decide(found, "more") == Decision(allow=False, messages=("core",))
    assert daemon.paths() == ["Dockerfile.rego", "lib/team.rego", "names.json"]
    source = daemon.graph()[0]["source"]
    assert source["identifier"] == "git://example.invalid/x.git#main:sub"
    assert source["attrs"]["git.fullurl"] == "https://example.invalid/x.git"
    assert daemon.told == [b"token"] * 3
    assert daemon.failures == []


def test_an_archive_at_a_url_is_unpacked_first(daemon: Daemon, find: Find) -> None:
    assert decide(find(url=WEB), "context") == Decision(allow=True)

    source, unpack, last = daemon.graph()
    assert source["source"] == {"identifier": WEB, "attrs": {"http.filename": "context"}}
    (action,) = unpack["file"]["actions"]
    assert action["copy"]["attemptUnpackDockerCompatibility"] is True
    assert (action["copy"]["src"], action["copy"]["dest"]) == ("/context", "/")
    assert len(unpack["inputs"]) == len(last["inputs"]) == 1


def test_a_context_without_policy_is_asked_once(daemon: Daemon, find: Find) -> None:
    del daemon.files["Dockerfile.rego"]

    assert find() is None
    assert daemon.paths() == ["Dockerfile.rego"]


def test_nobody_looks_for_a_policy_that_would_not_count(daemon: Daemon, find: Find) -> None:
    assert find("disabled=true") is None
    assert find("reset=true") is None
    assert daemon.paths() == []


def test_a_policy_is_named_by_its_place_in_the_context(daemon: Daemon, find: Find) -> None:
    daemon.files["deep/p.rego"] = POLICY

    assert decide(find("reset=true,filename=/../deep//p.rego"), "context") == Decision(allow=True)
    assert daemon.paths()[0] == "deep/p.rego"
    with pytest.raises(InputError, match=r"^policy file none\.rego not found$"):
        find("filename=none.rego")


def test_a_policy_that_is_too_long_is_refused(daemon: Daemon, find: Find) -> None:
    daemon.files["Dockerfile.rego"] = b"#" * (1 << 20) + b"#"

    with pytest.raises(InputError, match=r"policy file Dockerfile\.rego: more than 1024 KiB"):
        find()


def test_a_daemon_that_would_not_ask_is_refused_only_if_there_is_a_policy(
    daemon: Daemon, find: Find
) -> None:
    with pytest.raises(UnsupportedFeatureError, match="^a policy in Rego is not supported"):
        find(old=True)
    del daemon.files["Dockerfile.rego"]
    assert find(old=True) is None


def test_a_context_that_cannot_be_got_at_allows_nothing(daemon: Daemon, find: Find) -> None:
    def refuse(_request: Values) -> Values:
        raise Refusal(grpc.StatusCode.UNKNOWN, "repository not found")

    daemon.bridge["StatFile"] = refuse

    with pytest.raises(BuildError, match="repository not found"):
        find()


def test_a_daemon_without_gateway_has_nothing_to_look_with(daemon: Daemon, find: Find) -> None:
    def refuse(_request: Values) -> Values:
        raise Refusal(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")

    daemon.bridge["Solve"] = refuse

    assert find() is None
    with pytest.raises(GatewayMissingError):
        find("filename=p.rego")
