"""Platforms: operating system, architecture and variant, as image manifests spell them."""

from __future__ import annotations

import attrs


@attrs.frozen
class Platform:
    """One platform, normalised. Its text form is ``os/architecture[/variant]``."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
