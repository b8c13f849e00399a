"""Builds through the programs that endpoints name, which are really those programs here.

Elsewhere in this folder docker stands behind every name, so that what is called is seen. Here
podman runs a BuildKit of its own, whose file system is that of the Debian-made image, and kubectl
reaches one in a pod of the cluster that the tests bring along.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import pytest
from tools import buildkit_image, debian
from tools.packages import CONMON, KUBECTL, PODMAN, PODMAN_LIBRARIES, RUNC
from tools.report import DevError

from support.cli import Cli
from support.engines import ScratchContext, or_skip
from support.kubernetes.cluster import Cluster
from support.kubernetes.fixture import cluster
from support.remote_buildkit import wait_until_gone

__all__ = ["cluster"]

SECONDS = 120
FILES = 4096
"""Podman's own limit of open files and of processes is above what some machines let it give."""

_SETTINGS = """\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={files}:{files}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
conmon_path = ["{conmon}"]
runtime = "{runc}"
"""

_PROGRAM = """\
#!/bin/sh
export HOME={folder} CONTAINERS_CONF={folder}/containers.conf LD_LIBRARY_PATH={libraries}
exec {podman} --root {folder}/root --runroot {folder}/run --tmpdir {folder}/tmp \
--storage-driver vfs "$@"
"""


@attrs.frozen(kw_only=True)
class Podman:
    """A podman with a storage of its own, in which a BuildKit runs."""

    program: Path
    container: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )


@pytest.fixture
def podman() -> Iterator[Podman]:
    """Run a BuildKit with a real podman; skips where that cannot be."""
    if os.geteuid():
        pytest.skip("needs root")
    name = f"dockyard-bk-{uuid.uuid4().hex}"
    with _folder() as folder, _cgroup(name) as group:
        found = Podman(program=or_skip(lambda: _install(folder)), container=name)
        words = ("--privileged", "--network", "none", "--cgroup-parent", group, "--rootfs")
        root = _unpack_image(folder)
        try:
            or_skip(lambda: _start(found, (*words, str(root), "buildkitd")))
            yield found
        finally:
            found.run("rm", "--force", "--time", "0", name)


@contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder whose path is as short as podman wants it, and not in memory."""
    with TemporaryDirectory(dir="/var/tmp", prefix="dockyard-", ignore_cleanup_errors=True) as path:
        yield Path(path)


def _install(folder: Path) -> Path:
    """Give the program, which uses Debian's packages without any of them being installed."""
    podman, conmon, runc, *others = debian.unpacked((PODMAN, CONMON, RUNC, *PODMAN_LIBRARIES))
    libraries = [str(path.parent) for other in others for path in other.rglob("lib*.so.*")]
    settings = _SETTINGS.format(
        files=FILES, conmon=conmon / "usr/bin/conmon", runc=runc / "usr/sbin/runc"
    )
    (folder / "containers.conf").write_text(settings)
    program = folder / "bin" / "podman"
    program.parent.mkdir()
    text = _PROGRAM.format(
        folder=folder,
        libraries=shlex.quote(":".join(sorted(set(libraries)))),
        podman=shlex.quote(str(podman / "usr/bin/podman")),
    )
    program.write_text(text)
    program.chmod(0o755)
    return program


def _unpack_image(folder: Path) -> Path:
    """Give the image's file system; podman would take four times as long to load it."""
    root = folder / "image"
    root.mkdir()
    archive = or_skip(buildkit_image.archive).path
    with subprocess.Popen(["tar", "-xOf", archive, "layer.tar"], stdout=subprocess.PIPE) as layer:
        subprocess.run(["tar", "-xC", root], stdin=layer.stdout, check=True)
    return root


@contextmanager
def _cgroup(name: str) -> Iterator[str]:
    """Give a name below which podman makes its groups, and remove what it leaves there."""
    try:
        yield f"/{name}"
    finally:
        for top in [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]:
            for path, _, _ in os.walk(top, topdown=False):
                with suppress(OSError):
                    Path(path).rmdir()


def _start(podman: Podman, words: Sequence[str]) -> None:
    started = podman.run("run", "--detach", "--name", podman.container, *words)
    if started.returncode != 0:
        raise DevError(f"podman runs no container here: {started.stderr.strip()}")
    deadline = time.monotonic() + SECONDS
    while podman.run("exec", podman.container, "buildctl", "debug", "workers").returncode:
        assert time.monotonic() < deadline, podman.run("logs", podman.container).stderr[-2000:]
        time.sleep(0.1)  # a poll with a deadline


@pytest.fixture
def pod(cluster: Cluster) -> str:
    """Run a BuildKit in a pod of somebody else's, as the second of two containers."""
    name = f"bk-{uuid.uuid4().hex[:8]}"
    other = {"name": "a", "image": cluster.image, "command": ["sleep", "1000"]}
    daemon = {"name": "b", "image": cluster.image, "securityContext": {"privileged": True}}
    cluster.create("pods", {"metadata": {"name": name}, "spec": {"containers": [other, daemon]}})
    cluster.wait_ready(1)
    return name


def _build(cli: Cli, endpoint: str, context: Path) -> None:
    """Make a builder and build with it; what it sends back has to be what it was sent."""
    cli.ok("create", "--name", "far", endpoint)
    shown = cli.ok("inspect", "--bootstrap", "far").out
    cli.ok("build", "--builder", "far", "-o", "out", context)

    assert "Status:           running" in shown
    assert (cli.home / "out" / "out").read_bytes() == (context / "in").read_bytes()


def _cli(home: Path, programs: Path, **variables: str) -> Cli:
    home.mkdir()
    path = f"{programs}:{os.environ['PATH']}"
    return Cli(home=home, docker_host=f"unix://{home}/none", variables={"PATH": path, **variables})


def _context(make: ScratchContext) -> Path:
    return make("COPY in /in", "RUN cat /in > /out", **{"in": os.urandom(300_000)})


def test_a_container_of_podman_s_is_built_in(
    podman: Podman, tmp_path: Path, scratch_context: ScratchContext
) -> None:
    cli = _cli(tmp_path / "home", podman.program.parent)

    _build(cli, f"podman-container://{podman.container}", _context(scratch_context))

    assert not wait_until_gone(f"exec -i {podman.container} buildctl")


def test_a_pod_is_built_in_through_kubectl(
    cluster: Cluster, pod: str, tmp_path: Path, scratch_context: ScratchContext
) -> None:
    (kubectl,) = or_skip(lambda: debian.unpacked((KUBECTL,)))
    cli = _cli(tmp_path / "home", kubectl / "usr/bin", KUBECONFIG=str(cluster.kubeconfig))
    where = f"namespace={cluster.namespace}&container=b"

    _build(cli, f"kube-pod://{pod}?{where}", _context(scratch_context))

    assert not wait_until_gone(f"--container=b -i {pod}")
