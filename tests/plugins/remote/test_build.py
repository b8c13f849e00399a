"""Builds through every form of endpoint, by a real daemon, as a person does them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import attrs
import pytest
import trustme

from support.cli import Cli
from support.engines import ScratchContext
from support.remote_buildkit import Daemon, server_context, terminate_tls, wait_until_gone
from support.sshd import SSHHost, run_sshd

from .conftest import StartRelay, peer

SECONDS = 60


class Way(NamedTuple):
    """An endpoint, what goes with it, and what programs it calls how."""

    endpoint: str
    options: tuple[str, ...] = ()
    path: Path | None = None
    call: str = ""


MakeWay = Callable[[str], Way]


@pytest.fixture(scope="session")
def ssh_host(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSHHost]:
    folder = tmp_path_factory.mktemp("sshd")
    with run_sshd(folder, daemon.make_programs(folder / "programs")) as host:
        yield host


@pytest.fixture
def way(
    request: pytest.FixtureRequest, daemon: Daemon, relay: StartRelay, tmp_path: Path
) -> Iterator[MakeWay]:
    """Make what a form of endpoint needs."""
    with ExitStack() as stack:

        def tls() -> Way:
            authority = trustme.CA()
            server, client = authority.issue_cert("bk.example"), authority.issue_cert("c@x.org")
            paths = {name: tmp_path / f"{name}.pem" for name in ("ca", "server", "cert", "key")}
            authority.cert_pem.write_to_path(paths["ca"])
            server.private_key_and_cert_chain_pem.write_to_path(paths["server"])
            client.cert_chain_pems[0].write_to_path(paths["cert"])
            client.private_key_pem.write_to_path(paths["key"])
            context = server_context(paths["server"], paths["server"], paths["ca"])
            script = terminate_tls(context, relay(unix=True).endpoint)
            options = (
                f"cacert={paths['ca']},cert={paths['cert']},key={paths['key']}",
                "servername=bk.example",
            )
            return Way(stack.enter_context(peer(script)), options)

        def ssh(socket: str = "") -> Way:
            host: SSHHost = request.getfixturevalue("ssh_host")
            address = f"--addr unix://{socket} " if socket else ""
            return Way(host.address + socket, path=host.path, call=f"buildctl {address}dial-stdio")

        makers: dict[str, Callable[[], Way]] = {
            "unix": lambda: Way(relay(unix=True).endpoint),
            "tcp": lambda: Way(relay().endpoint),
            "tls": tls,
            "ssh": ssh,
            "ssh with a socket": lambda: ssh("/run/buildkit/buildkitd.sock"),
            "docker-container": lambda: Way(
                f"docker-container://{daemon.name}",
                call=f"docker exec -i {daemon.name} buildctl dial-stdio",
            ),
            "podman-container": lambda: Way(
                f"podman-container://{daemon.name}",
                call=f"podman exec -i {daemon.name} buildctl dial-stdio",
            ),
            "nerdctl-container": lambda: Way(
                f"nerdctl-container://{daemon.name}?namespace=k8s.io",
                call=f"nerdctl --namespace=k8s.io exec -i {daemon.name} buildctl dial-stdio",
            ),
            "kube-pod": lambda: Way(
                "kube-pod://bk-0?namespace=ci&container=bkd",
                call="kubectl --namespace=ci exec --container=bkd -i bk-0 -- buildctl dial-stdio",
            ),
        }
        yield lambda form: makers[form]()


FORMS = [
    "unix",
    "tcp",
    "tls",
    "ssh",
    "ssh with a socket",
    "docker-container",
    "podman-container",
    "nerdctl-container",
    "kube-pod",
]


def inspected(cli: Cli) -> str:
    """Give what is shown of the builder once its daemon answers in time: this machine is busy."""
    deadline = time.monotonic() + SECONDS
    while "Status:           running" not in (shown := cli.ok("inspect", "far").out):
        assert time.monotonic() < deadline, shown
    return shown


@pytest.mark.parametrize("form", FORMS)
def test_a_builder_is_made_shown_and_built_with(
    form: str, way: MakeWay, cli: Cli, scratch_context: ScratchContext, daemon: Daemon
) -> None:
    endpoint, options, path, call = way(form)
    if path is not None:
        cli = attrs.evolve(
            cli, variables={**cli.variables, "PATH": f"{path}:{cli.variables['PATH']}"}
        )
    context = scratch_context("RUN cat /in > /out", "COPY in /copy", **{"in": os.urandom(300_000)})
    (context / "Dockerfile").write_text(
        (context / "Dockerfile").read_text().replace("RUN cat", "COPY in /in\nRUN cat")
    )
    given = [word for option in options for word in ("--driver-opt", option)]

    made = cli.ok("create", "--name", "far", "--driver", "remote", *given, endpoint)
    shown = inspected(cli)
    built = cli.ok("build", "--builder", "far", "--no-cache", "-o", "out", context)

    assert made.out == "far\n"
    assert "WARNING" not in made.err
    assert f"Endpoint:         {endpoint}" in shown
    assert "linux/amd64" in shown
    assert 'building with "far" instance using remote driver' in built.err
    if "no answer within" not in built.err:  # the way there was not too slow for once
        assert "waiting for connection" not in built.err
    assert (cli.home / "out" / "out").read_bytes() == (context / "in").read_bytes()
    if call:
        programs = path.parent / "programs" if path else Path(cli.variables["PATH"].split(":")[0])
        assert call in (programs / "calls").read_text().splitlines()
    if form.endswith("container"):
        assert not wait_until_gone(f"exec -i {daemon.name} buildctl")


def test_a_record_is_the_reference_s(cli: Cli, relay: StartRelay) -> None:
    endpoint = relay(unix=True).endpoint

    cli.ok(
        "create",
        "--name",
        "far",
        "--driver",
        "remote",
        "--driver-opt",
        "default-load=true",
        endpoint,
    )

    record = json.loads((cli.home / "docker" / "buildx" / "instances" / "far").read_bytes())
    assert record["Driver"] == "remote"
    (node,) = record["Nodes"]
    assert node["Name"] == "far0"
    assert node["Endpoint"] == endpoint
    assert node["DriverOpts"] == {"default-load": "true"}
    assert not node["Flags"]
    assert not node["Files"]


def test_buildkit_host_chooses_the_driver(cli: Cli, relay: StartRelay) -> None:
    endpoint = relay(unix=True).endpoint
    cli = attrs.evolve(cli, variables={**cli.variables, "BUILDKIT_HOST": endpoint})

    cli.ok("create", "--name", "far")

    assert f"Endpoint:         {endpoint}" in cli.ok("inspect", "far").out
    assert "Driver:        remote" in cli.ok("inspect", "far").out


def test_a_builder_whose_daemon_is_down_is_made_and_listed(cli: Cli) -> None:
    cli.ok("create", "--name", "far", "tcp://127.0.0.1:1")

    listed = cli.ok("ls").out

    assert "far" in listed
    assert "inactive" in listed


def test_plain_tcp_to_another_machine_is_warned_of_once(cli: Cli) -> None:
    make = ("create", "--name", "far", "--driver", "remote")
    elsewhere = "tcp://no-such-host.invalid:1"
    append = ("--append", "tcp://127.0.0.1:1")

    first = cli.ok(*make, elsewhere).err
    second = cli.ok(*make, *append).err
    agreed = cli.ok(*make, "--node", "far0", "--driver-opt", "allow-plaintext=true").err

    assert first.startswith(f"WARNING: {elsewhere} is not encrypted")
    assert "allow-plaintext=true" in first
    assert second == ""
    assert "not encrypted" not in agreed
    assert "not encrypted" not in cli.ok("inspect", "far").err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("foo://x",), "unrecognized url scheme foo"),
        ((), "no remote endpoint provided"),
        (("tcp://x",), "invalid endpoint tcp://x: the port is missing"),
        (
            ("--driver-opt", "cert=/c", "tcp://x:1"),
            "failed to initialize builder far (far0): tls enabled, but missing keys cacert, key",
        ),
        (
            ("--driver-opt", "cacert=a", "tcp://x:1"),
            "failed to initialize builder far (far0): non-absolute path 'a' provided for cacert",
        ),
        (
            ("--buildkitd-flags=--debug", "tcp://x:1"),
            "failed to initialize builder far (far0): "
            "setting buildkit flags is not supported for remote driver",
        ),
        (
            ("--buildkitd-config", "buildkitd.toml", "tcp://x:1"),
            "failed to initialize builder far (far0): "
            "setting config file is not supported for remote driver",
        ),
    ],
)
def test_what_makes_no_sense_makes_no_builder(
    cli: Cli, arguments: tuple[str, ...], words: str
) -> None:
    (cli.home / "buildkitd.toml").write_text("debug = true\n")

    line = cli.refused("create", "--name", "far", "--driver", "remote", *arguments)

    assert line.splitlines()[0] == words
    assert "far" not in cli.ok("ls").out


def test_default_load_puts_the_image_into_the_engine(
    cli: Cli, relay: StartRelay, scratch_context: ScratchContext, daemon: Daemon
) -> None:
    endpoint = relay(unix=True).endpoint
    context = scratch_context("RUN echo loaded > /word")
    name = f"{daemon.name}:loaded"

    cli.ok("create", "--name", "far", "--driver-opt", "default-load=true", endpoint)
    cli.ok("build", "--builder", "far", "-t", name, context)

    try:
        ran = daemon.engine.docker("run", "--rm", name, "cat", "/word")
        assert ran.stdout == "loaded\n"
    finally:
        daemon.engine.docker("image", "rm", "--force", name)


def test_without_it_nothing_is_loaded_and_that_is_said(
    cli: Cli, relay: StartRelay, scratch_context: ScratchContext
) -> None:
    cli.ok("create", "--name", "far", relay(unix=True).endpoint)

    built = cli.ok("build", "--builder", "far", scratch_context())

    assert "WARNING: No output specified with remote driver." in built.err
