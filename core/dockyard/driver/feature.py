"""The feature matrix's vocabulary: what a driver can do, cannot do, or can do sometimes."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from dockyard.value import Value


class Feature(StrEnum):
    """Something that a build can need and that not every driver has."""

    AUTO_LOAD = "auto-load"
    CACHE_EXPORT = "cache-export"
    TARBALL = "tarball"
    MULTI_PLATFORM = "multi-platform"
    DIRECT_PUSH = "direct-push"
    BUILDKIT_CONFIG = "buildkit-config"

    @property
    def label(self) -> str:
        """The feature's name as people read it."""
        return _TEXTS[self][0]

    @property
    def description(self) -> str:
        """What having the feature means, in one sentence."""
        return _TEXTS[self][1]


_TEXTS = {
    Feature.AUTO_LOAD: (
        "Automatically load image",
        "A build without an output option leaves its image in the engine's image store.",
    ),
    Feature.CACHE_EXPORT: (
        "Cache export",
        "The build cache can be written elsewhere with --cache-to, not only inline.",
    ),
    Feature.TARBALL: (
        "Tarball output",
        "The result can be written as an OCI or Docker archive.",
    ),
    Feature.MULTI_PLATFORM: (
        "Multi-arch images",
        "One build can make an image for several platforms.",
    ),
    Feature.DIRECT_PUSH: (
        "Direct push",
        "BuildKit itself pushes the image to a registry.",
    ),
    Feature.BUILDKIT_CONFIG: (
        "BuildKit configuration",
        "A buildkitd.toml given at create configures the daemon.",
    ),
}


class Level(StrEnum):
    """The three values of the matrix."""

    YES = "yes"
    NO = "no"
    CONDITIONAL = "conditional"


@frozen(eq=False, repr=False)
class Support(Value):
    """One cell of the matrix."""

    level: Level
    reason: str = ""
    """On what it depends, for a conditional cell; a remark, for the others."""

    @classmethod
    def yes(cls, remark: str = "") -> Support:
        """Make a cell that says yes."""
        return cls(Level.YES, remark)

    @classmethod
    def no(cls, remark: str = "") -> Support:
        """Make a cell that says no."""
        return cls(Level.NO, remark)

    @classmethod
    def conditional(cls, reason: str) -> Support:
        """Make a cell that says: it depends, on this."""
        return cls(Level.CONDITIONAL, reason)

    def __bool__(self) -> bool:
        return self.level is not Level.NO
