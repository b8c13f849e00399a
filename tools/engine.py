"""Docker Engines: one that already answers, or a private one made of Debian's packages.

What was found to work where capabilities and kernel modules are scarce (cgroup v1, no
CAP_SYS_RESOURCE, no ``modprobe``), and why each flag is there: :func:`_arguments`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tools import debian
from tools.control import Control, new_folder
from tools.debian import Package
from tools.packages import (
    BUILDX,
    CLI,
    CONTAINERD_1_6,
    CONTAINERD_1_7,
    DEVMAPPER,
    DOCKER_20,
    DOCKER_26,
    RUNC,
    TINI,
)
from tools.report import DevError
from tools.supervisor import Spec


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One sort of engine that we can start."""

    name: str
    packages: tuple[Package, ...]
    settings: Mapping[str, object] = field(default_factory=dict)
    """What goes into the daemon's configuration file; ``{folder}`` is its folder."""
    snapshotter: bool = False
    """True: images are kept in containerd's store."""


_TRIXIE = (DOCKER_26, CONTAINERD_1_7, RUNC, TINI)
_BOOKWORM = (DOCKER_20, CONTAINERD_1_6, DEVMAPPER, RUNC, TINI)
KINDS = {
    kind.name: kind
    for kind in (
        Kind(name="26.1", packages=_TRIXIE),
        Kind(
            name="26.1-containerd",
            packages=_TRIXIE,
            settings={"features": {"containerd-snapshotter": True}},
            snapshotter=True,
        ),
        Kind(
            name="20.10",
            packages=_BOOKWORM,
            # It keeps a key, by default in /etc of the machine.
            settings={"deprecated-key-path": "{folder}/key.json"},
        ),
    )
}
DEFAULT_KIND = "26.1"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine that answers, with the Docker CLI to use it by hand."""

    host: str
    """What ``DOCKER_HOST`` is set to."""
    cli: str
    """Path of the ``docker`` program."""
    config: Path
    """The CLI's configuration folder, ours alone."""

    @cached_property
    def version(self) -> str:
        """The engine's version, as it says itself."""
        return self.docker("version", "--format", "{{.Server.Version}}").stdout.strip()

    def environment(self) -> dict[str, str]:
        """Return this process's variables, changed to lead every Docker client to this engine."""
        ours = ("DOCKER_", "BUILDX_")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        return {**kept, "DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.config)}

    def docker(
        self,
        *arguments: str,
        text: str | None = None,
        check: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run the Docker CLI against this engine; its output is in what comes back."""
        done = subprocess.run(
            [self.cli, *arguments],
            env={**self.environment(), **(environment or {})},
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            command = " ".join(("docker", *arguments))
            raise DevError(f"{command!r} ended with {done.returncode}: {done.stderr.strip()}")
        return done


@dataclass(frozen=True, kw_only=True)
class PrivateEngine(Engine):
    """An engine of our own, which nobody else on the machine sees."""

    kind: Kind
    control: Control

    @property
    def socket(self) -> Path:
        return self.control.folder / "docker.sock"

    @property
    def data(self) -> Path:
        """The folder with its images and containers."""
        return self.control.folder / "data"

    @property
    def pid(self) -> int:
        """The daemon's process id; 0 while it does not run."""
        return self.control.ask("status").pid

    def restart(self) -> None:
        """Stop the daemon in good order and start it again; returns once it answers."""
        self.control.ask("restart")

    def kill(self) -> None:
        """Kill the daemon at once, as a crash would; :meth:`start` brings it back."""
        self.control.ask("kill")

    def start(self) -> None:
        """Start a daemon that was killed, on the same data; returns once it answers."""
        self.control.ask("start")

    def end(self) -> None:
        """End the engine and remove all that it had."""
        self.control.end()


def why_not() -> str | None:
    """Say why no private engine can run on this machine; None when one can."""
    if reason := debian.why_not():
        return reason
    return None if os.geteuid() == 0 else "starting an engine needs root"


def start(
    kind: Kind, *, keep: bool = False, settings: Mapping[str, object] | None = None
) -> PrivateEngine:
    """Start a private engine and return once it answers.

    Args:
        kind: Which one.
        keep: Whether it stays up when this process ends.
        settings: What goes into the daemon's configuration file beside the kind's own.

    Raises:
        DevError: It cannot run here, or its packages cannot be had, or it did not come up.
    """
    if reason := why_not():
        raise DevError(f"cannot start a private Docker Engine: {reason}")
    packages = debian.unpacked(kind.packages)
    folder = new_folder()
    values = {"init-path": _init(packages), **kind.settings, **(settings or {})}
    (folder / "daemon.json").write_text(json.dumps(values).replace("{folder}", str(folder)))
    spec = Spec(
        argv=_arguments(folder, packages[0]),
        environment=_environment(packages),
        socket=str(folder / "docker.sock"),
        path="/_ping",
        keep=keep,
    )
    return _engine(kind, Control.launch(folder, spec))


def attach(kind: Kind, folder: Path) -> PrivateEngine:
    """Hold an engine that another process started, too.

    Raises:
        OSError: It does not run any more.
    """
    return _engine(kind, Control(folder))


@contextmanager
def private(kind: Kind) -> Iterator[PrivateEngine]:
    """Run a private engine for as long as the block runs, however that ends."""
    engine = start(kind)
    try:
        yield engine
    finally:
        engine.end()


def cli_path() -> str:
    """Return the path of the Docker CLI of Debian's packages, fetched if need be."""
    return str(debian.unpacked([CLI])[0] / "usr/bin/docker")


def buildx_path() -> str:
    """Return the path of the reference buildx of Debian's packages, fetched if need be."""
    folder = debian.unpacked([BUILDX])[0]
    return str(folder / "usr/libexec/docker/cli-plugins/docker-buildx")


def _engine(kind: Kind, control: Control) -> PrivateEngine:
    folder = control.folder
    return PrivateEngine(
        host=f"unix://{folder / 'docker.sock'}",
        cli=cli_path(),
        config=folder / "cli",
        kind=kind,
        control=control,
    )


def _arguments(folder: Path, package: Path) -> list[str]:
    """Return the daemon's command line."""
    return [
        str(package / "usr/sbin/dockerd"),
        # The machine's own /etc/docker/daemon.json is not for us.
        f"--config-file={folder / 'daemon.json'}",
        f"--data-root={folder / 'data'}",
        f"--exec-root={folder / 'run'}",
        f"--pidfile={folder / 'pid'}",
        f"--host=unix://{folder / 'docker.sock'}",
        # Not the group docker: the folder is closed to all but its owner anyway.
        "--group=root",
        # A bridge of its own: two engines would quarrel over docker0.
        "--bridge",
        "{bridge}",
        # The machine's firewall and routing stay as they are (a daemon at its start rewrites the
        # rules of any other), and iptables need not be there. Containers reach each other and the
        # machine, and published ports work through docker-proxy; the internet is out of reach but
        # for ``--network host``, and nothing here needs it.
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
        # No --storage-driver: overlay2 is taken where the file system allows, vfs otherwise.
        # No --exec-opt for cgroups: cgroupfs is chosen by itself without systemd, v1 or v2.
    ]


def _init(packages: list[Path]) -> str:
    """Return the path of tini, to which the engine's package has a link that leads nowhere."""
    found = (path / "usr/bin/tini-static" for path in packages)
    return next(str(path) for path in found if path.is_file())


def _environment(packages: list[Path]) -> dict[str, str]:
    programs = [str(path / place) for path in packages for place in ("usr/sbin", "usr/bin")]
    libraries = [str(path) for package in packages for path in package.glob("lib/*-linux-gnu")]
    return {
        "PATH": ":".join([*programs, os.environ.get("PATH", "")]),
        "LD_LIBRARY_PATH": ":".join(libraries),
    }
