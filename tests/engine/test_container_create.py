"""``create`` of builders in containers: what is stored, and what is refused with nothing left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from support.cli import Cli, Finished
from support.engines import ScratchContext
from support.stand import record

HOST_NETWORK = "--allow-insecure-entitlement=network.host"
RESTART = "WARNING: new settings may not be used until builder is restarted\n"


@attrs.frozen
class Maker:
    """Makes builders in containers. Those called ``crt-...`` are never booted."""

    cli: Cli
    engine: Engine
    image: str

    def create(self, *arguments: str) -> Finished:
        return self.cli.ok("create", "--driver", "docker-container", *arguments)

    def refused(self, *arguments: str) -> str:
        return self.cli.refused("create", "--driver", "docker-container", *arguments)

    def node(self, name: str, place: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = record(self.cli, name)["Nodes"][place]
        return found

    def kept(self) -> list[str]:
        """Name the files below docker's configuration directory."""
        root = self.cli.home / "docker"
        files = (file for file in root.rglob("*") if file.is_file() and file.name != ".lock")
        return sorted(str(file.relative_to(root)) for file in files)

    def containers(self, name: str = "crt-") -> str:
        """Name the containers and volumes of builders whose name has this in it."""
        of_ours = ("--filter", f"name={name}")
        listed = self.engine.docker("ps", "--all", "--quiet", *of_ours).stdout
        return listed + self.engine.docker("volume", "ls", "--quiet", *of_ours).stdout


@pytest.fixture
def maker(
    engine_26: Engine, cli_for: Callable[[str], Cli], buildkit_image: Callable[[Engine], str]
) -> Iterator[Maker]:
    made = Maker(cli_for(engine_26.host), engine_26, buildkit_image(engine_26))
    yield made
    root = made.cli.home / "docker/buildx/instances"
    if root.is_dir():
        made.cli.run("rm", "--force", *(file.name for file in root.iterdir()))


# --- what is stored --------------------------------------------------------------------------


def test_options_flags_and_platforms_are_stored_as_typed(maker: Maker) -> None:
    (maker.cli.home / "my.toml").write_text("debug = true\n")

    done = maker.create(
        *("--name", "crt-A", "--platform", "linux/arm64/v8,amd64", "--platform", "armhf"),
        *("--driver-opt", 'image=x/y:1,"env.A=1,2",env.B=once', "--driver-opt", "env.B=k=v"),
        *("--driver-opt", "memory=1g", "--buildkitd-config", "my.toml"),
        *("--buildkitd-flags", "--debug --oci-worker-net 'a b'"),
    )

    assert (done.out, done.err) == ("crt-A\n", "")
    assert record(maker.cli, "crt-a") == {
        "Name": "crt-A",
        "Driver": "docker-container",
        "Nodes": [
            {
                "Name": "crt-a0",
                "Endpoint": maker.engine.host,
                "Platforms": [
                    {"architecture": "arm64", "os": "linux"},
                    {"architecture": "amd64", "os": "linux"},
                    {"architecture": "arm", "os": "linux", "variant": "v7"},
                ],
                "DriverOpts": {
                    "env.A": "1,2", "env.B": "k=v", "image": "x/y:1", "memory": "1g",
                },
                "Flags": ["--debug", "--oci-worker-net", "a b", HOST_NETWORK],
                "Files": {"buildkitd.toml": "ZGVidWcgPSB0cnVlCg=="},
            }
        ],
        "Dynamic": False,
    }  # fmt: skip
    assert maker.containers() == ""


def test_without_any_word_a_container_on_the_current_engine_is_made(maker: Maker) -> None:
    name = maker.cli.ok("create").out.strip()

    found = record(maker.cli, name)
    assert found["Driver"] == "docker-container"
    assert found["Nodes"][0]["Endpoint"] == maker.engine.host
    assert found["Nodes"][0]["Name"] == f"{name}0"
    assert found["Nodes"][0]["Flags"] == [HOST_NETWORK]


def test_the_default_configuration_decides_about_the_flags(maker: Maker) -> None:
    folder = maker.cli.home / "docker/buildx"
    folder.mkdir(parents=True)
    (folder / "buildkitd.default.toml").write_text('insecure-entitlements = ["network.host"]\n')

    maker.create("--name", "crt-a")
    maker.create("--name", "crt-b", "--driver-opt", "network=host")

    assert list(maker.node("crt-a")["Files"]) == ["buildkitd.toml"]
    assert (maker.node("crt-a")["Flags"], maker.node("crt-b")["Flags"]) == (None, [HOST_NETWORK])


def test_endpoints_are_contexts_and_addresses(maker: Maker) -> None:
    environment = maker.cli.environment
    maker.engine.docker(
        *("context", "create", "crt-ctx", "--docker", f"host={maker.engine.host}"),
        environment={"DOCKER_CONFIG": environment["DOCKER_CONFIG"]},
    )
    for name, endpoint in (("a", "crt-ctx"), ("b", "default"), ("c", maker.engine.host)):
        maker.create("--name", f"crt-{name}", endpoint)
    elsewhere = attrs.evolve(maker.cli, docker_host="", variables={"DOCKER_CONTEXT": "crt-ctx"})
    elsewhere.ok("create", "--driver", "docker-container", "--name", "crt-d")

    stored = [maker.node(f"crt-{name}")["Endpoint"] for name in "abcd"]
    assert stored == ["crt-ctx", maker.engine.host, maker.engine.host, "crt-ctx"]
    assert "inactive" in maker.cli.ok("inspect", "crt-a").out


def test_nodes_come_change_and_leave(maker: Maker) -> None:
    address = maker.engine.host.removeprefix("unix://")
    maker.create("--name", "crt-a", "--node", "crt-First", "--platform", "arm64,amd64")
    maker.create("--name", "crt-a", "--append", "--platform", "arm64", f"unix:///{address}")

    assert [node["Name"] for node in record(maker.cli, "crt-a")["Nodes"]] == ["crt-first", "crt-a0"]
    assert maker.node("crt-a")["Platforms"] == [{"architecture": "amd64", "os": "linux"}]

    done = maker.create("--name", "crt-a", "--node", "crt-a0", "--driver-opt", "env.A=1")
    assert (done.out, done.err) == ("crt-a\n", RESTART)
    assert maker.node("crt-a", 1)["DriverOpts"] == {"env.A": "1"}

    left = maker.cli.ok("create", "--name", "crt-a", "--leave", "--node", "crt-first")
    assert (left.out, left.err) == ("", "")
    assert [node["Name"] for node in record(maker.cli, "crt-a")["Nodes"]] == ["crt-a0"]


def test_a_builder_is_booted_and_used_at_once(
    maker: Maker, scratch_context: ScratchContext
) -> None:
    name = f"crb-{uuid4().hex[:8]}"

    done = maker.create(
        *("--name", name, "--use", "--bootstrap"),
        *("--driver-opt", f"image={maker.image},env.A=1", "--buildkitd-flags", "--debug"),
    )

    assert done.out == f"{name}\n"
    assert "[internal] booting buildkit" in done.err
    text = maker.engine.docker("inspect", f"buildx_buildkit_{name}0").stdout
    (container,) = json.loads(text)
    assert container["State"]["Running"]
    assert container["Config"]["Cmd"] == ["--debug", HOST_NETWORK]
    assert "A=1" in container["Config"]["Env"]
    built = maker.cli.ok("build", scratch_context())
    assert f'building with "{name}" instance using docker-container driver' in built.err
    maker.cli.ok("rm", name)
    assert maker.containers(name) == ""


# --- what is refused, and leaves nothing -----------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--name", "../x"], "invalid name ../x, name needs to start with a letter and may not"),
        (["--name", "a", "--node", "../x"], "invalid name ../x, name needs to start with a lett"),
        (["--name", "x" * 256], "name xxxxxxxxxxxxxxxxxxxx... is too long: it has 256 characters"),
        (["--name", "x" * 255], f"failed to initialize builder {'x' * 255} ({'x' * 255}0): "),
        (["--name", "default"], "default is a reserved name and cannot be used to identify"),
        (["--driver-opt", "memory"], 'invalid value "memory", expecting k=v'),
        (["--driver-opt", '"memory=1g'], "parse error on line 1, column 2: extraneous or missing"),
        (["--buildkitd-flags", "'x"], "failed to parse buildkit flags: EOF found when expecting"),
        (["--buildkitd-config", "nope.toml"], "buildkit configuration file not found: "),
        (["--buildkitd-config", "."], "failed to load buildkit configuration file: "),
        (["--platform", "a/b/c/d"], '"a/b/c/d": cannot parse platform specifier'),
        (["foo://x"], "failed to parse endpoint foo://x: invalid bind address format: foo://x"),
        (["unix:///nowhere.sock"], "failed to initialize builder crt-x (crt-x0): failed to con"),
        (["tcp://127.0.0.1:1"], "failed to initialize builder crt-x (crt-x0): failed to connec"),
    ],
)
def test_what_cannot_be_made_is_refused(maker: Maker, line: list[str], words: str) -> None:
    refused = maker.refused("--name", "crt-x", "--use", "--bootstrap", *line)

    assert refused.startswith(words)
    assert maker.kept() == []
    assert maker.containers() == ""


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("memory=abc", "invalid size: 'abc'"),
        ("memory-swap=1x", "invalid suffix: 'x'"),
        ("cpu-quota=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("cpu-period=1.5", 'strconv.ParseInt: parsing "1.5": invalid syntax'),
        ("cpu-shares=", 'strconv.ParseInt: parsing "": invalid syntax'),
        ("restart-policy=:1", "invalid restart policy format: no policy provided before colon"),
        (
            "restart-policy=on-failure:x",
            "invalid restart policy format: maximum retry count must be an integer",
        ),
        ("default-load=maybe", 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("provenance-add-gha=2", 'strconv.ParseBool: parsing "2": invalid syntax'),
        ("env.=x", 'invalid env option "env.", expecting env.FOO=bar'),
        ("colour=x", "invalid driver option colour for docker-container driver"),
    ],
)
def test_a_wrong_option_is_refused_in_the_references_words(
    maker: Maker, option: str, words: str
) -> None:
    refused = maker.refused("--name", "crt-x", "--use", "--bootstrap", "--driver-opt", option)

    assert refused.splitlines()[0] == f"failed to initialize builder crt-x (crt-x0): {words}"
    assert maker.kept() == []
    assert maker.containers() == ""


def test_a_name_that_is_taken_is_refused_and_changes_nothing(maker: Maker) -> None:
    maker.create("--name", "crt-a")
    before = record(maker.cli, "crt-a")

    for name in ("crt-a", "CRT-A"):
        assert maker.refused("--name", name, "--driver-opt", "env.A=1") == (
            f'existing instance for "{name}" but no append mode, specify the node name to make '
            "changes for existing instances"
        )
    assert maker.refused("--name", "crt-a", "--append").startswith("invalid duplicate endpoint ")
    assert record(maker.cli, "crt-a") == before


def test_a_change_that_cannot_be_used_leaves_the_whole_old_record(maker: Maker) -> None:
    maker.create("--name", "crt-a", "--platform", "arm64", "--driver-opt", "memory=1g")
    file = maker.cli.home / "docker/buildx/instances/crt-a"
    before = file.read_bytes()

    maker.refused("--name", "crt-a", "--node", "crt-a0", "--driver-opt", "memory=abc")

    assert file.read_bytes() == before


def test_certificates_from_the_environment_are_refused(maker: Maker) -> None:
    secured = attrs.evolve(
        maker.cli, docker_host="tcp://127.0.0.1:1", variables={"DOCKER_TLS_VERIFY": "1"}
    )

    assert secured.refused("create", "--driver", "docker-container").startswith(
        "could not create a builder instance with TLS data loaded from environment. Please use "
        "`docker context create <context-name>` to create a context for current environment"
    )
    assert maker.kept() == []
