"""Every package that is taken from Debian."""

from __future__ import annotations

from tools.debian import Package

CLI = Package(name="docker-cli", suite="trixie", version="26.1.")
BUILDX = Package(name="docker-buildx", suite="trixie", version="0.13.")

DOCKER_26 = Package(name="docker.io", suite="trixie", version="26.1.")
CONTAINERD_1_7 = Package(name="containerd", suite="trixie", version="1.7.")
DOCKER_20 = Package(name="docker.io", suite="bookworm", version="20.10.")
CONTAINERD_1_6 = Package(name="containerd", suite="bookworm", version="1.6.")
DEVMAPPER = Package(name="libdevmapper1.02.1", suite="bookworm", version="2:1.02.")
RUNC = Package(name="runc", suite="bookworm", version="1.1.")
"""Debian 12's serves all engines: the newer one of Debian 13 needs its C library too."""
TINI = Package(name="tini", suite="trixie", version="0.19.")
"""What becomes process 1 of a container with ``--init``; static, so it serves all engines."""

BUSYBOX = Package(name="busybox-static", suite="bookworm", version="1:1.35.")
REGISTRY = Package(name="docker-registry", suite="bookworm", version="2.8.")

BUSYBOX_ARM64 = Package(
    name="busybox-static", suite="bookworm", version="1:1.35.", architecture="arm64"
)
EMULATOR = Package(name="qemu-user-static", suite="bookworm", version="1:7.2")

PODMAN = Package(name="podman", suite="bookworm", version="4.3.")
CONMON = Package(name="conmon", suite="bookworm", version="2.1.")
"""What podman leaves with each container."""
PODMAN_LIBRARIES = (
    Package(name="libassuan0", suite="bookworm", version="2.5."),
    Package(name="libgpgme11", suite="bookworm", version="1.18."),
    Package(name="libsubid4", suite="bookworm", version="1:4.13"),
)
KUBECTL = Package(name="kubectl", suite="trixie", version="1.32.")

LIBC = Package(name="libc6", suite="trixie", version="2.41-")
LIBCAP = Package(name="libcap2", suite="trixie", version="1:2.75-")
LIBCRYPT = Package(name="libcrypt1", suite="trixie", version="1:4.4.")
LIBSECCOMP = Package(name="libseccomp2", suite="trixie", version="2.6.")
LIBSYSTEMD = Package(name="libsystemd0", suite="trixie", version="257.")
PERL = Package(name="perl-base", suite="trixie", version="5.40.")
CERTIFICATES = Package(name="ca-certificates", suite="trixie", version="2025")

EVERYTHING = (
    *(value for value in list(globals().values()) if isinstance(value, Package)),
    *PODMAN_LIBRARIES,
)
