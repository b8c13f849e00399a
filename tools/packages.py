"""Every package that the tests take from Debian, beside the engines' own."""

from __future__ import annotations

from tools.debian import Package
from tools.engine import BUILDX, CLI, KINDS

BUSYBOX = Package(name="busybox-static", suite="bookworm", version="1:1.35.")
REGISTRY = Package(name="docker-registry", suite="bookworm", version="2.8.")

EVERYTHING = tuple(
    dict.fromkeys(
        [package for kind in KINDS.values() for package in kind.packages]
        + [CLI, BUILDX, BUSYBOX, REGISTRY]
    )
)
