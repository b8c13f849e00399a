"""A BuildKit image made of Debian's packages, for machines that reach no image registry.

The image holds a Docker Engine as the daemon and two programs (``tools/buildkit``) that make it
look like BuildKit from outside: ``buildkitd`` and ``buildctl``. What builds in it is BuildKit as
the engine carries it, with containerd's image store.

What it does not do: read buildkitd.toml, fetch from git, reach the internet from a ``RUN``. It
uses plain HTTP with registries on private addresses; with the builder option ``network=host`` it
reaches those on the machine's own loopback, too.

It is an archive for ``docker load``, kept in the cache under a name that changes with whatever it
is made of. Its one layer is not compressed: engines import it at every test run.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tools import debian
from tools.cache import cache_root, locked
from tools.debian import Package
from tools.packages import (
    BUSYBOX,
    CERTIFICATES,
    CONTAINERD_1_7,
    DOCKER_26,
    LIBC,
    LIBCAP,
    LIBCRYPT,
    LIBSECCOMP,
    LIBSYSTEMD,
    PERL,
    RUNC,
)
from tools.report import say

REPOSITORY = "dockyard-buildkit"
STOCK_NAME = "moby/buildkit:buildx-stable-1"
"""The image that a builder gets when none is named."""
VERSION = "v0.13.2"
"""The BuildKit in Docker Engine 26.1."""
KEEP_SECONDS = 7 * 24 * 3600
PROGRAMS = Path(__file__).resolve().parent / "buildkit"

_LIBRARY = "usr/lib/*-linux-gnu"
CONTENT: dict[Package, tuple[str, ...]] = {
    DOCKER_26: ("usr/sbin/dockerd",),
    CONTAINERD_1_7: ("usr/bin/containerd", "usr/bin/containerd-shim-runc-v2"),
    RUNC: ("usr/sbin/runc",),
    BUSYBOX: ("bin/busybox",),
    PERL: (
        "usr/bin/perl",
        f"{_LIBRARY}/perl-base/*.pm",
        f"{_LIBRARY}/perl-base/warnings/*",
        f"{_LIBRARY}/perl-base/auto/Socket/*",
    ),
    LIBC: (
        "usr/lib*/ld-linux*",
        *(f"{_LIBRARY}/{name}" for name in ("ld-linux*", "libc.so.6", "libm.so.6")),
    ),
    LIBCAP: (f"{_LIBRARY}/libcap.so.2*",),
    LIBCRYPT: (f"{_LIBRARY}/libcrypt.so.1*",),
    LIBSECCOMP: (f"{_LIBRARY}/libseccomp.so.2*",),
    LIBSYSTEMD: (f"{_LIBRARY}/libsystemd.so.0*",),
    CERTIFICATES: (),
}
"""What the image takes of each package: patterns, as libraries lie in a folder per machine."""

_FOLDERS = ("etc/ssl/certs", "proc", "root", "run", "sys", "usr/local/bin", "var/lib/buildkit")


class Entry(NamedTuple):
    """One file, folder or link of the image."""

    name: str
    data: bytes | Path | None = None
    """A file's content, or where it is; None for a folder or a link."""
    link: str = ""
    """What a symbolic link points to."""
    mode: int = 0o755


class Archive(NamedTuple):
    """The image as a file."""

    path: Path
    """An archive for ``docker load``."""
    name: str
    """The image's name in it."""


def archive() -> Archive:
    """Return the image, made if it is not in the cache yet.

    Raises:
        DevError: Debian's packages cannot be had here.
    """
    folders = debian.unpacked(tuple(CONTENT))
    tag = _digest(folders)
    store = cache_root() / "buildkit"
    store.mkdir(exist_ok=True)
    made = Archive(store / f"{tag}.tar", f"{REPOSITORY}:{tag}")
    with locked(store / "lock"):
        if not made.path.exists():
            say(f"making the BuildKit image {made.name} of Debian's packages")
            _make(made, folders)
    return made


def _make(wanted: Archive, folders: list[Path]) -> None:
    store = wanted.path.parent
    with tempfile.TemporaryDirectory(dir=store, prefix=".new-") as work:
        layer = Path(work) / "layer.tar"
        _write(layer, _entries(folders))
        image = Path(work) / "image.tar"
        _write(image, _image(wanted.name, layer))
        image.rename(wanted.path)
    _forget_old(store)


def _forget_old(store: Path) -> None:
    """Remove what was made of other inputs, unless another clone may be using it these days."""
    for path in (*store.glob("*.tar"), *store.glob("registry-*")):
        if path.stat().st_mtime < time.time() - KEEP_SECONDS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _image(name: str, layer: Path) -> Iterator[Entry]:
    """Yield the files of an archive for ``docker load``."""
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = {
        "architecture": _architecture(),
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {
            "Entrypoint": ["buildkitd"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Volumes": {"/var/lib/buildkit": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = {"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}
    yield Entry("manifest.json", json.dumps([manifest]).encode())
    yield Entry("config.json", json.dumps(config).encode())
    yield Entry("layer.tar", layer)


def _entries(folders: list[Path]) -> Iterator[Entry]:
    """Yield what the image's file system holds."""
    for name in (
        "etc/ssl/certs",
        "proc",
        "root",
        "run",
        "sys",
        "usr/local/bin",
        "var/lib/buildkit",
    ):
        yield Entry(name)
    yield Entry("tmp", mode=0o1777)
    for name in ("bin", "lib", "lib64", "sbin"):
        yield Entry(name, link=f"usr/{name}")
    yield Entry("usr/lib64")
    yield Entry("var/run", link="/run")
    yield Entry("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", mode=0o644)
    yield Entry("etc/group", b"root:x:0:\n", mode=0o644)
    for name, text in _programs().items():
        yield Entry(f"usr/local/bin/{name}", text)
    for package, folder in zip(CONTENT, folders, strict=True):
        yield from _of_package(package, folder)


def _of_package(package: Package, folder: Path) -> Iterator[Entry]:
    if package == CERTIFICATES:
        certificates = sorted((folder / "usr/share/ca-certificates").rglob("*.crt"))
        bundle = b"".join(path.read_bytes() for path in certificates)
        yield Entry("etc/ssl/certs/ca-certificates.crt", bundle, mode=0o644)
    if package == BUSYBOX:
        yield from _applets(folder / "bin/busybox")
    for pattern in CONTENT[package]:
        for path in sorted(folder.glob(pattern)):
            name = str(path.relative_to(folder))
            name = name if name.startswith("usr/") else f"usr/{name}"
            if path.is_symlink():
                yield Entry(name, link=str(path.readlink()))
            elif path.is_file():
                yield Entry(name, path)


def _applets(busybox: Path) -> Iterator[Entry]:
    """Yield the names that busybox goes by."""
    done = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for applet in done.stdout.split():
        if applet != "busybox":
            yield Entry(f"usr/bin/{applet}", link="busybox")


def _write(path: Path, entries: Iterator[Entry]) -> None:
    """Write a tar archive that is the same bytes for the same entries."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.mode = entry.mode
            if isinstance(entry.data, bytes):
                info.size = len(entry.data)
                tar.addfile(info, io.BytesIO(entry.data))
            elif entry.data is not None:
                info.size = entry.data.stat().st_size
                with entry.data.open("rb") as file:
                    tar.addfile(info, file)
            else:
                info.type = tarfile.SYMTYPE if entry.link else tarfile.DIRTYPE
                info.linkname = entry.link
                tar.addfile(info)


@cache
def _programs() -> dict[str, bytes]:
    """Return our own programs, with the version that they tell filled in."""
    found = {}
    for path in sorted(PROGRAMS.iterdir()):
        text = path.read_text()
        revision = hashlib.sha256(text.encode()).hexdigest()[:12]
        text = text.replace("@VERSION@", VERSION).replace("@REVISION@", revision)
        found[path.name] = text.encode()
    return found


def _digest(folders: list[Path]) -> str:
    """Return a short name for everything that the image is made of."""
    inputs = hashlib.sha256(Path(__file__).read_bytes())
    for folder in folders:
        inputs.update(folder.name.encode())
    for text in _programs().values():
        inputs.update(text)
    return inputs.hexdigest()[:12]


def _architecture() -> str:
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
