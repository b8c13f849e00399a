"""Nodes, what is behind them, and what drivers answer while they are used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from dockyard.driver.feature import Feature, Support
from dockyard.value import Value

if TYPE_CHECKING:
    from dockyard.engine.credential import Credentials
    from dockyard.engine.endpoint import EngineEndpoint
    from dockyard.platforms import Platform


@define(eq=False, kw_only=True)
class Node:
    """One BuildKit daemon, as a builder's record describes it."""

    name: str
    driver: str
    endpoint: str
    """Where, in the driver's own terms."""
    builder: str = ""
    """The builder's name as it is displayed."""
    options: Mapping[str, Any] = field(factory=dict)
    """The driver options, parsed and checked by their declarations."""
    platforms: tuple[Platform, ...] = ()
    """The platforms that a person gave the node, normalised."""
    flags: tuple[str, ...] = ()
    """Flags for buildkitd."""
    files: Mapping[str, bytes] = field(factory=dict)
    """Configuration files, by their path below BuildKit's configuration directory."""
    engine: EngineEndpoint | None = None
    """The Docker Engine that the endpoint names, for drivers that use one."""
    variables: Mapping[str, str] = field(factory=dict, repr=False)
    """The environment of whoever uses the node."""
    credentials: Credentials | None = field(default=None, repr=False)
    """What docker's configuration knows about registries; None when it cannot be used."""
    sticky_key: str = ""
    """What a driver with several daemons chooses by: the build context's place."""
    cache: dict[str, Any] = field(factory=dict)
    """The driver's own: a client, a list of pods. The core never looks inside."""


@frozen(kw_only=True, eq=False, repr=False)
class GCPolicy(Value):
    """One rule by which a worker prunes its cache. Sizes in bytes, durations in nanoseconds."""

    all: bool = False
    filters: tuple[str, ...] = ()
    keep_duration: int = 0
    reserved_space: int = 0
    max_used_space: int = 0
    min_free_space: int = 0


@frozen(kw_only=True, eq=False, repr=False)
class Worker(Value):
    """An executor inside a BuildKit daemon."""

    id: str
    labels: Mapping[str, str] = field(factory=dict)
    platforms: tuple[Platform, ...] = ()
    tells_version: bool = False
    """Whether the daemon says of its workers what version they are: from BuildKit 0.11 on."""
    gc_policies: tuple[GCPolicy, ...] = ()


@frozen(kw_only=True, eq=False, repr=False)
class NodeFeatures(Value):
    """What one node can do now, and how it wants to be asked."""

    support: Mapping[Feature, Support]
    """Yes or no for each feature; a missing one counts as no."""
    image_exporter: str = "image"
    """The exporter that makes an image in the node's own store."""
    loads_itself: bool = False
    """Whether that store is the engine's image store, so that loading means exporting there."""
    image_resolve_mode: str = ""
    """``local`` when base images that the engine has are not asked for again."""
    prefer_image_digest: bool = False
    """Whether an image is known by its manifest's digest rather than its configuration's."""
    host_gateway: str | None = None
    """The address that ``host-gateway`` stands for; None when there is none."""

    def has(self, feature: Feature) -> bool:
        return bool(self.support.get(feature, Support.no()))


@frozen(eq=False, repr=False)
class Supported(Value):
    """Answer: this driver can serve the endpoint."""

    value: bool = True


@frozen(eq=False, repr=False)
class Booted(Value):
    """Answer: the node's BuildKit answers."""
