"""The life of a builder in a container, on real engines, beside the reference buildx."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
from tools.engine import Engine

from dockyard.cancellation import Cancellation
from dockyard.driver import Node, parse_options
from dockyard.engine.endpoint import EngineEndpoint
from dockyard.errors import BootstrapError, CanceledError
from dockyard.progress import ProgressWriter
from dockyard_docker_container import connection, plugin, ready
from dockyard_docker_container.declaration import DRIVER
from support.buildkit_image import BuildkitImage
from support.cli import Cli
from support.engines import Engines, ScratchContext
from support.mute import LOGGED, SAID, import_mute
from support.peer import Peers, peers
from support.registry import Registry

__all__ = ["peers"]

WARNING = (
    "WARNING: No output specified with docker-container driver. Build result will only remain in "
    "the build cache. To push result image into registry use --push or to load image into docker "
    "use --load\n"
)


@attrs.frozen(kw_only=True)
class Yard:
    """A place to make builders in: an engine, its BuildKit image, and a home of our own."""

    engine: Engine
    image: str
    cli: Cli
    prefix: str = attrs.field(factory=lambda: f"dockyard-life-{uuid4().hex[:6]}")
    """What the names of everything here begin with: other workers use the same engine."""

    def new_name(self) -> str:
        return f"{self.prefix}-{uuid4().hex[:6]}"

    def create(self, *flags: str, name: str = "") -> str:
        """Make a builder that has not booted yet, and give its name."""
        name = name or self.new_name()
        self.cli.ok("create", "--name", name, "--driver-opt", f"image={self.image}", *flags)
        return name

    def inspect(self, thing: str) -> dict[str, Any]:
        """Give what the engine has to say about a container or volume."""
        (found,) = json.loads(self.engine.docker("inspect", thing).stdout)
        return dict(found)

    def exists(self, thing: str) -> bool:
        return self.engine.docker("inspect", thing, check=False).returncode == 0

    def buildx(self, program: str, *arguments: str) -> str:
        """Run the reference buildx in the same home."""
        done = subprocess.run(
            [program, *arguments],
            env=self.cli.environment,
            cwd=self.cli.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        # It stops the container and asks to remove it twice, which a busy engine may object to.
        busy = "is already in progress" in done.stderr
        assert done.returncode == 0 or busy, done.stderr
        return done.stdout + done.stderr

    def clean(self) -> None:
        """Take away what a test that failed may have left."""
        listed = self.engine.docker("ps", "--all", "--format", "{{.Names}}").stdout.split()
        for name in listed:
            if self.prefix in name:
                self.engine.docker("rm", "--force", "--volumes", name, check=False)
        volumes = self.engine.docker("volume", "ls", "--format", "{{.Name}}").stdout.split()
        for name in volumes:
            if self.prefix in name:
                self.engine.docker("volume", "rm", "--force", name, check=False)


def container(builder: str) -> str:
    return f"buildx_buildkit_{builder}0"


def volume(builder: str) -> str:
    return f"{container(builder)}_state"


@contextmanager
def open_yard(engine: Engine, image: str, home: Path) -> Iterator[Yard]:
    yard = Yard(engine=engine, image=image, cli=Cli(home=home, docker_host=engine.host))
    try:
        yield yard
    finally:
        yard.clean()


@pytest.fixture(scope="module", params=["26.1", "26.1-containerd"])
def yard(
    request: pytest.FixtureRequest,
    engines: Engines,
    buildkit_image: BuildkitImage,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Yard]:
    """Each kind of engine that can run BuildKit in a container."""
    engine = engines.get(request.param)
    with open_yard(engine, buildkit_image(engine), tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture(scope="module")
def classic(
    engines: Engines, buildkit_image: BuildkitImage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Yard]:
    """The engine with the classic store, for what does not depend on the store."""
    engine = engines.get("26.1")
    with open_yard(engine, buildkit_image(engine), tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture(scope="module")
def booted(yard: Yard, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A builder that runs, with a configuration file and variables. Only looked at."""
    config = tmp_path_factory.mktemp("config") / "buildkitd.toml"
    (config.parent / "ca.pem").write_text("a certificate\n")
    config.write_text(
        f'debug = true\n[registry."my.io:5000"]\nca = ["{config.parent / "ca.pem"}"]\n'
    )
    return yard.create(
        "--bootstrap",
        "--driver-opt=env.FOO=bar,memory=2g",
        f"--buildkitd-config={config}",
        "--platform=linux/arm64",
    )


# --- from the first build to the removal -------------------------------------------------------


def test_a_builder_s_life(yard: Yard, scratch_context: ScratchContext) -> None:
    name = yard.create()
    context = scratch_context('RUN ["/bin/busybox", "echo", "built"]')
    made = f"creating container {container(name)}"

    first = yard.cli.ok("build", "--progress=plain", "--builder", name, context)

    assert re.fullmatch(
        rf'#0 building with "{name}" instance using docker-container driver\n\n'
        r"#1 \[internal\] booting buildkit\n"
        rf"(#1 pulling image {yard.image}\n)?"
        rf"#1 pulling image {yard.image}( \d+\.\ds)? done\n"
        rf"(#1 using local image {yard.image}\n)?"
        rf"#1 using local image {yard.image}( \d+\.\ds)? done\n"
        rf"#1 {made}\n#1 {made} \d+\.\ds done\n"
        r"#1 DONE \d+\.\ds\n\n"
        r"#2 \[internal\] load (.|\n)* built\n(.|\n)*",
        first.err,
    )
    assert first.err.endswith(WARNING)

    again = yard.cli.ok("build", "--progress=plain", "--builder", name, context)

    assert "booting" not in again.err
    assert "CACHED" in again.err

    yard.cli.ok("stop", name)
    yard.cli.ok("stop", name)

    assert yard.inspect(container(name))["State"]["Status"] == "exited"
    listed = yard.cli.ok("ls", "--format", "{{.Name}} {{.Status}}").out
    assert f"{name}0 stopped\n" in listed
    assert "Reason" not in yard.cli.ok("inspect", name).out

    third = yard.cli.ok("build", "--progress=plain", "--builder", name, context)

    assert f"#1 starting container {container(name)}\n" in third.err
    assert "creating" not in third.err
    assert "CACHED" in third.err

    removed = yard.cli.ok("rm", name)

    assert removed.err == f"{name} removed\n"
    assert not yard.exists(container(name))
    assert not yard.exists(volume(name))


def test_a_kept_state_is_the_next_builder_s_cache(
    classic: Yard, scratch_context: ScratchContext
) -> None:
    name = classic.create()
    context = scratch_context('RUN ["/bin/busybox", "echo", "built"]')
    classic.cli.ok("build", "--builder", name, context)

    classic.cli.ok("rm", "--keep-state", name)

    assert not classic.exists(container(name))
    assert classic.exists(volume(name))
    classic.create(name=name)
    again = classic.cli.ok("build", "--progress=plain", "--builder", name, context).err
    assert "creating container" in again
    steps = re.findall(r"^#(\d+) \[\d/\d\] .*$", again, re.MULTILINE)
    assert len(set(steps)) == 3
    assert [number for number in steps if f"#{number} CACHED\n" not in again] == []
    classic.cli.ok("rm", name)
    assert not classic.exists(volume(name))


def test_a_kept_daemon_runs_on_and_is_used_again(
    classic: Yard, scratch_context: ScratchContext
) -> None:
    name = classic.create("--bootstrap")
    before = classic.inspect(container(name))["State"]["StartedAt"]

    classic.cli.ok("rm", "--keep-daemon", name)

    assert name not in classic.cli.ok("ls").out
    assert classic.inspect(container(name))["State"]["StartedAt"] == before
    classic.create(name=name)
    assert "booting" not in classic.cli.ok("build", "--builder", name, scratch_context()).err
    # The container is taken away under the builder: the volume is found without it.
    classic.engine.docker("rm", "--force", container(name))
    classic.cli.ok("rm", name)
    assert not classic.exists(volume(name))


def test_a_builder_that_never_booted_is_removed(classic: Yard) -> None:
    name = classic.create()

    assert classic.cli.ok("rm", name).err == f"{name} removed\n"


def test_only_inactive_builders_are_removed_with_all_inactive(yard: Yard, booted: str) -> None:
    inactive = yard.create()

    done = yard.cli.ok("rm", "--all-inactive", "--force")

    assert f"{inactive} removed\n" in done.err
    assert booted not in done.err
    assert yard.inspect(container(booted))["State"]["Running"]


def test_what_a_try_for_gpus_left_is_removed_with_the_builder(classic: Yard) -> None:
    name = classic.create()
    labels = [f"--label=dev.dockyard.builder={name}", f"--label=dev.dockyard.node={name}0"]
    made = classic.engine.docker("create", *labels, classic.image).stdout.strip()

    classic.cli.ok("rm", name)

    assert not classic.exists(made)


def test_a_half_made_container_gets_its_files_and_is_started(classic: Yard, tmp_path: Path) -> None:
    config = tmp_path / "buildkitd.toml"
    config.write_text("debug = true\n")
    name = classic.create(f"--buildkitd-config={config}")
    classic.engine.docker(
        "create",
        "--privileged",
        f"--name={container(name)}",
        f"--volume={volume(name)}:/var/lib/buildkit",
        classic.image,
        "--config=/etc/buildkit/buildkitd.toml",
    )

    done = classic.cli.ok("inspect", "--bootstrap", name)

    assert f"starting container {container(name)}" in done.err
    toml = "/etc/buildkit/buildkitd.toml"
    assert classic.engine.docker("exec", container(name), "cat", toml).stdout == "debug = true\n"
    classic.cli.ok("rm", name)


def test_a_paused_container_goes_on(classic: Yard) -> None:
    name = classic.create("--bootstrap")
    classic.engine.docker("pause", container(name))
    assert "container buildx" in classic.cli.ok("inspect", name).out

    classic.cli.ok("inspect", "--bootstrap", name)

    assert classic.inspect(container(name))["State"]["Status"] == "running"
    classic.engine.docker("pause", container(name))
    classic.cli.ok("stop", name)
    assert classic.inspect(container(name))["State"]["Status"] == "exited"
    classic.cli.ok("rm", name)


# --- what is in the engine ---------------------------------------------------------------------


def test_everything_carries_the_builder_s_labels(yard: Yard, booted: str) -> None:
    labels = {"dev.dockyard.builder": booted, "dev.dockyard.node": f"{booted}0"}

    assert yard.inspect(container(booted))["Config"]["Labels"].items() >= labels.items()
    assert yard.inspect(volume(booted))["Labels"] == labels


def test_no_probe_is_left(yard: Yard, booted: str) -> None:
    wanted = f"label=dev.dockyard.builder={booted}"

    found = yard.engine.docker("ps", "--all", "--filter", wanted, "--format", "{{.Names}}")

    assert found.stdout.split() == [container(booted)]


def test_configuration_and_certificates_are_in_the_container(yard: Yard, booted: str) -> None:
    def cat(path: str) -> str:
        return yard.engine.docker("exec", container(booted), "cat", path).stdout

    toml = cat("/etc/buildkit/buildkitd.toml")

    assert "debug = true" in toml
    assert "/etc/buildkit/certs/my.io_5000/ca.pem" in toml
    assert cat("/etc/buildkit/certs/my.io_5000/ca.pem") == "a certificate\n"
    assert yard.inspect(container(booted))["Config"]["Cmd"] == [
        "--config",
        "/etc/buildkit/buildkitd.toml",
        "--allow-insecure-entitlement=network.host",
    ]


def test_the_run_in_github_actions_is_told(classic: Yard, tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text('{"number": 7}')
    variables = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_EVENT_PATH": str(event),
    }
    told = attrs.evolve(classic.cli, variables=variables)
    name = classic.create()

    told.ok("inspect", "--bootstrap", name)

    path = "/etc/buildkit/provenance.d/github_actions_context.json"
    content = json.loads(classic.engine.docker("exec", container(name), "cat", path).stdout)
    assert content == {"github_event_name": "push", "github_event_payload": {"number": 7}}
    classic.cli.ok("rm", name)


def test_a_private_image_is_pulled_with_docker_s_login(
    classic: Yard, registry_with_login: Registry, scratch_context: ScratchContext, tmp_path: Path
) -> None:
    registry = registry_with_login
    image = f"{registry.address}/dockyard/{classic.new_name()}:x"
    user = base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
    cli = Cli(home=tmp_path, docker_host=classic.engine.host)
    config = tmp_path / "docker" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"auths": {registry.address: {"auth": user}}}))
    cli.ok("build", "--push", "--tag", image, scratch_context())
    classic.engine.docker("image", "rm", "--force", image)
    name = classic.new_name()
    cli.ok("create", "--name", name, f"--driver-opt=image={image}")

    pulled = cli.run("inspect", "--bootstrap", name).err
    classic.engine.docker("image", "rm", "--force", image)
    config.unlink()
    refused = cli.run("inspect", "--bootstrap", name).err

    assert "which is not a BuildKit image" in pulled
    assert f"failed to pull image {image}: " in refused
    assert "no basic auth credentials" in refused


# --- what is shown -----------------------------------------------------------------------------


def test_ls_and_inspect_show_the_booted_builder(yard: Yard, booted: str) -> None:
    listed = yard.cli.ok("ls").out
    shown = yard.cli.ok("inspect", booted).out

    for line in (
        rf"{booted} +docker-container",
        rf" \\_ {booted}0 +\\_ unix://\S+ +running +v\S+ +linux/amd64 .*linux/arm64\*.*",
    ):
        assert re.search(rf"^{line} *$", listed, re.MULTILINE), listed
    for line in (
        r"Driver: +docker-container",
        r'Driver Options: +env.FOO="bar" image="\S+" memory="2g"',
        r"Status: +running",
        r"BuildKit daemon flags: +--allow-insecure-entitlement=network.host",
        r"BuildKit version: +v\S+",
        r"Platforms: +linux/arm64\*, linux/amd64.*",
        r"File#buildkitd.toml:",
        r" > debug = true",
    ):
        assert re.search(rf"^{line}$", shown, re.MULTILINE), (line, shown)


def test_a_daemon_s_version_can_be_asked_of_the_program(yard: Yard, booted: str) -> None:
    printed = yard.engine.docker("exec", container(booted), "buildkitd", "--version").stdout

    assert connection.version(node_of(yard, booted)) == printed.split()[2]


def test_create_without_a_driver_makes_a_builder_in_a_container(classic: Yard) -> None:
    name = classic.new_name()

    classic.cli.ok("create", "--name", name)

    assert re.search(
        r"^Driver: +docker-container$", classic.cli.ok("inspect", name).out, re.MULTILINE
    )
    classic.cli.ok("rm", name)


def test_create_refuses_wrong_options_before_anything_exists(classic: Yard) -> None:
    name = classic.new_name()

    error = classic.cli.refused("create", "--name", name, "--driver-opt", "memory=abc")

    assert error.startswith(f"failed to initialize builder {name} ({name}0): invalid size: 'abc'")
    assert name not in classic.cli.ok("ls").out


def test_create_refuses_an_engine_that_is_not_there(classic: Yard) -> None:
    name = classic.new_name()

    make = ("create", "--name", name, "--driver", "docker-container")
    error = classic.cli.refused(*make, "unix:///nowhere/docker.sock")

    assert error.startswith(f"failed to initialize builder {name} ({name}0): ")
    assert "unix:///nowhere/docker.sock" in error
    assert name not in classic.cli.ok("ls").out


def test_an_engine_without_buildkit_is_served_by_this_driver(
    classic: Yard, peers: Peers, tmp_path: Path
) -> None:
    old = peers.unix(without_grpc(classic.engine.host.removeprefix("unix://")))
    cli = Cli(home=tmp_path, docker_host=old.host)

    shown = cli.ok("inspect").out

    assert re.search(r"^Driver: +docker-container$", shown, re.MULTILINE)
    assert re.search(r"^Status: +inactive$", shown, re.MULTILINE)


def without_grpc(path: str) -> Callable[[socket.socket], None]:
    """Pass on what is asked of the engine, except for BuildKit's API, which it then lacks."""

    def run(client: socket.socket) -> None:
        begun = client.recv(1 << 16)
        if begun.startswith(b"PRI "):
            return
        if begun.startswith(b"POST /grpc"):
            client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")
            return
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(path)
            engine.sendall(begun)
            other = threading.Thread(target=pump, args=(client, engine), daemon=True)
            other.start()
            pump(engine, client)
            client.shutdown(socket.SHUT_RDWR)
            other.join(10)

    return run


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


# --- beside the reference ----------------------------------------------------------------------

HOST_CONFIG_DIFFERENCES: frozenset[str] = frozenset()
"""Fields of HostConfig in which our containers differ from the reference's: none."""
CONFIG_FIELDS = (
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Image",
    "User",
    "Volumes",
    "WorkingDir",
)
"""The fields of Config that are compared. The others are the host name, which the engine makes of
the container's id, and the labels, which the reference has none of."""
MOUNT_FIELDS = ("Type", "Name", "Destination", "Driver", "Mode", "RW", "Propagation")

OPTION_SETS = {
    "none": ([], []),
    "limits": (
        [
            "memory=1g",
            "memory-swap=2g",
            "cpu-quota=50000",
            "cpu-period=100000",
            "cpu-shares=512",
            "cpuset-cpus=0",
            "cpuset-mems=0",
            "cgroup-parent=/docker/mine",
            "env.FOO=bar",
            "env.EMPTY=",
            "restart-policy=on-failure:3",
        ],
        ["--buildkitd-flags=--debug", "--buildkitd-config=buildkitd.toml"],
    ),
    "network": (["network=dockyard-life-net", "memory-swap=-1", "restart-policy=always"], []),
    "host": (["network=host", "default-load=true", "restart-policy=no"], []),
}


@pytest.mark.parametrize("options", list(OPTION_SETS))
def test_the_container_is_the_one_that_buildx_makes(
    classic: Yard, reference_buildx: str, options: str
) -> None:
    chosen, flags = OPTION_SETS[options]
    name = classic.new_name()
    (classic.cli.home / "buildkitd.toml").write_text("debug = true\n")
    if options == "network":
        classic.engine.docker("network", "create", "dockyard-life-net")
    theirs = [option for option in chosen if not option.startswith("default-load")]
    create = ["create", "--name", name, "--driver=docker-container", "--bootstrap", *flags]
    create.append(f"--driver-opt=image={classic.image}")

    try:
        classic.buildx(reference_buildx, *create, *(f"--driver-opt={each}" for each in theirs))
        reference = classic.inspect(container(name))
        classic.buildx(reference_buildx, "rm", name)
        wait_until(lambda: not classic.exists(container(name)))
        classic.cli.ok(*create, *(f"--driver-opt={each}" for each in chosen))
        ours = classic.inspect(container(name))
    finally:
        classic.cli.run("rm", name)
        if options == "network":
            classic.engine.docker("network", "rm", "dockyard-life-net")

    differences = {
        field
        for field in reference["HostConfig"].keys() | ours["HostConfig"].keys()
        if reference["HostConfig"].get(field) != ours["HostConfig"].get(field)
    }
    assert differences == HOST_CONFIG_DIFFERENCES
    for field in CONFIG_FIELDS:
        assert _sorted(ours["Config"].get(field)) == _sorted(reference["Config"].get(field)), field
    assert ours["Config"]["Cmd"] == reference["Config"]["Cmd"]
    assert [_part(mount, MOUNT_FIELDS) for mount in ours["Mounts"]] == [
        _part(mount, MOUNT_FIELDS) for mount in reference["Mounts"]
    ]
    assert ours["NetworkSettings"]["Networks"].keys() == (
        reference["NetworkSettings"]["Networks"].keys()
    )
    assert (ours["Path"], ours["Args"]) == (reference["Path"], reference["Args"])


def _part(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values.get(name) for name in names}


def _sorted(value: object) -> object:
    """The reference gives variables in random order."""
    return sorted(value) if isinstance(value, list) else value


def test_buildx_s_builder_is_ours_to_use_stop_and_remove(
    classic: Yard, reference_buildx: str, scratch_context: ScratchContext
) -> None:
    name = classic.new_name()
    create = ["create", "--name", name, "--driver=docker-container", "--bootstrap"]
    classic.buildx(reference_buildx, *create, f"--driver-opt=image={classic.image}")
    context = scratch_context()

    assert "booting" not in classic.cli.ok("build", "--builder", name, context).err
    assert re.search(r"^Status: +running$", classic.cli.ok("inspect", name).out, re.MULTILINE)
    classic.cli.ok("stop", name)
    assert "starting container" in classic.cli.ok("build", "--builder", name, context).err
    classic.cli.ok("rm", name)

    assert not classic.exists(container(name))
    assert not classic.exists(volume(name))
    assert name not in classic.buildx(reference_buildx, "ls")


def test_our_builder_is_buildx_s_to_use_stop_and_remove(
    classic: Yard, reference_buildx: str, scratch_context: ScratchContext
) -> None:
    name = classic.create("--bootstrap")
    context = str(scratch_context())

    assert "booting" not in classic.buildx(reference_buildx, "build", "--builder", name, context)
    assert re.search(r"Status: +running", classic.buildx(reference_buildx, "inspect", name))
    classic.buildx(reference_buildx, "stop", name)
    assert re.search(r"^Status: +stopped$", classic.cli.ok("inspect", name).out, re.MULTILINE)
    classic.buildx(reference_buildx, "inspect", "--bootstrap", name)
    removed = classic.buildx(reference_buildx, "rm", name)

    if "is already in progress" not in removed:
        assert not classic.exists(container(name))
        assert not classic.exists(volume(name))
    assert name not in classic.cli.ok("ls").out


# --- in this process ---------------------------------------------------------------------------


def node_of(yard: Yard, builder: str, **options: str) -> Node:
    typed = {"image": yard.image, **options}
    return Node(
        name=f"{builder}0",
        builder=builder,
        driver=DRIVER.name,
        endpoint=yard.engine.host,
        engine=EngineEndpoint(host=yard.engine.host),
        options=parse_options(DRIVER.name, DRIVER.options, typed),
    )


@pytest.fixture
def progress() -> ProgressWriter:
    """A progress that nobody looks at."""
    return ProgressWriter(lambda _: None)


@pytest.fixture
def mute_image(classic: Yard, busybox: Path, tmp_path: Path) -> Iterator[str]:
    """An image whose daemon runs and never answers."""
    name = import_mute(classic.engine, classic.new_name(), busybox, tmp_path)
    yield name
    classic.engine.docker("image", "rm", "--force", name)


def test_a_daemon_that_never_answers_is_given_up_with_its_log(
    classic: Yard, mute_image: str, progress: ProgressWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready, "PATIENCE", 1.5)
    name = classic.new_name()
    node = node_of(classic, name, image=mute_image)

    with pytest.raises(BootstrapError) as caught:
        plugin.dockyard_bootstrap(node, progress, Cancellation())

    assert str(caught.value) == (
        f"BuildKit in container {container(name)} does not answer after 1.5 s: {SAID}; "
        f"its log ends with:\n  {LOGGED}"
    )
    assert not classic.exists(container(name))
    assert not classic.exists(volume(name))


def test_a_boot_that_is_canceled_leaves_nothing(
    classic: Yard, mute_image: str, progress: ProgressWriter
) -> None:
    name = classic.new_name()
    node = node_of(classic, name, image=mute_image)
    cancel = Cancellation()
    errors: list[BaseException] = []

    def boot() -> None:
        try:
            plugin.dockyard_bootstrap(node, progress, cancel)
        except CanceledError as error:
            errors.append(error)

    thread = threading.Thread(target=boot)
    thread.start()
    wait_until(lambda: classic.engine.docker("ps", "--format={{.Names}}").stdout.find(name) >= 0)
    cancel.cancel()
    thread.join(60)

    assert not thread.is_alive()
    assert len(errors) == 1
    assert not classic.exists(container(name))
    assert not classic.exists(volume(name))


def test_a_volume_that_was_there_survives_a_boot_that_fails(
    classic: Yard, progress: ProgressWriter
) -> None:
    name = classic.new_name()
    classic.engine.docker("volume", "create", volume(name))
    node = node_of(classic, name, network="dockyard-life-nowhere")

    with pytest.raises(BootstrapError, match="network dockyard-life-nowhere not found") as caught:
        plugin.dockyard_bootstrap(node, progress, Cancellation())

    assert caught.value.hint == "make it: docker network create dockyard-life-nowhere"
    assert not classic.exists(container(name))
    assert classic.exists(volume(name))
    assert plugin.dockyard_rm(node, keep_state=False, keep_daemon=False).what == (
        f"volume {volume(name)}",
    )


def test_removing_tells_what_was_removed(classic: Yard, progress: ProgressWriter) -> None:
    name = classic.new_name()
    node = node_of(classic, name)
    plugin.dockyard_bootstrap(node, progress, Cancellation())

    kept = plugin.dockyard_rm(node, keep_state=False, keep_daemon=True)
    removed = plugin.dockyard_rm(node, keep_state=False, keep_daemon=False)
    again = plugin.dockyard_rm(node, keep_state=False, keep_daemon=False)

    assert (kept.what, again.what) == ((), ())
    assert removed.what == (f"container {container(name)}", f"volume {volume(name)}")


def wait_until(true: Callable[[], bool]) -> None:
    """Ask until it is true, for as long as a busy machine may take."""
    import time

    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
