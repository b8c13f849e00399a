"""A kind of driver, as a plugin declares it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from dockyard.driver.feature import Feature, Support
from dockyard.driver.option import Option
from dockyard.value import Value

HOOK_SPEC_VERSION = "1.0"
"""The hook spec's version. The first number changes when older plugins no longer work."""


@frozen(kw_only=True, eq=False, repr=False)
class EndpointForm(Value):
    """One way to write where a node is, for example ``tcp://HOST:PORT``."""

    form: str
    help: str
    scheme: str = ""
    """What stands before ``://``; empty for forms that are no URL."""


@frozen(kw_only=True, eq=False, repr=False)
class DriverType(Value):
    """What a driver says of itself. Everything the core would otherwise ask of a name is here."""

    name: str
    summary: str
    """One line, shown in lists and help."""
    features: Mapping[Feature, Support]
    """The declaration behind the feature matrix; a missing feature counts as no."""
    options: tuple[Option, ...] = ()
    endpoints: tuple[EndpointForm, ...] = ()
    hook_spec: str = HOOK_SPEC_VERSION
    """The version of the hook spec that the plugin was written for."""
    priority: int = 50
    """Who is chosen when nobody named a driver and the endpoint has one of our forms: lowest."""
    fallback_priority: int = 90
    """The same, when the endpoint has none of our forms."""
    creatable: bool = True
    """Whether builders of this driver can be made with ``create``."""
    serves_docker_contexts: bool = False
    """Whether a docker context can be a builder of this driver without being created."""
    uses_engine: bool = False
    """Whether an endpoint names a Docker Engine: a docker context, or a daemon's address."""
    endpoint_variable: str = ""
    """An environment variable that, when set, is the endpoint and chooses this driver."""
    config_refusal: str = ""
    """The words in which a driver without ``buildkit-config`` refuses a ``buildkitd.toml``."""
    flags_refusal: str = ""
    """The words in which buildkitd flags are refused; empty when they are taken."""
    option_refusal: str = ""
    """The words in which an unknown option is refused, ``{}`` for its name; empty for the usual."""

    def support(self, feature: Feature) -> Support:
        """Give the declared cell for a feature."""
        return self.features.get(feature, Support.no())
