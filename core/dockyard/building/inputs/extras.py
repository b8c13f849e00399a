"""What a build is given beside its context: secrets, agents, named contexts, rules for sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.building.inputs.named import NamedContexts, open_build_contexts
from dockyard.building.inputs.policy import CAPABILITY, VARIABLE
from dockyard.building.need import Capabilities, Need, require
from dockyard.config import Environment
from dockyard.driver import BuildRequest
from dockyard.session.secrets import Secrets
from dockyard.session.service import Attachable

if TYPE_CHECKING:
    from dockyard.building.inputs.policy import Policy
    from dockyard.session.ssh_agent import Agent

_LAYOUTS = "source.ocilayout"

Warn = Callable[[str], None]


class Inputs(NamedTuple):
    """The inputs of one build, found and checked."""

    request: BuildRequest
    contexts: NamedContexts
    agents: Mapping[str, Agent]
    source_policy: Policy | None = None

    def attachables(self, warn: Warn) -> list[Attachable]:
        """Make the services of a session that give the daemon what it may ask for.

        Args:
            warn: Takes why an agent did not answer.
        """
        here = Path(self.request.working_directory)
        services: list[Attachable] = [Secrets(self.request.secrets, here)]
        if self.agents:
            from dockyard.session.ssh import SshAgents

            services.append(SshAgents(self.agents, warn=warn))
        return services

    def check(self, capabilities: Capabilities, driver: str) -> None:
        """Refuse what the daemon would not understand, or ignore.

        Args:
            capabilities: Asks the daemon what it can do; asked only if that matters.
            driver: The node's driver.

        Raises:
            UnsupportedFeatureError: It is too old.
        """
        require(self._needs(), capabilities, driver)

    def _needs(self) -> Iterator[Need]:
        if self.contexts.layouts:
            yield Need("contexts in OCI layout are", _LAYOUTS, "v0.11")
        if self.source_policy is not None:
            yield Need("a source policy is", CAPABILITY, "v0.11")


def open_inputs(request: BuildRequest, environment: Environment) -> Inputs:
    """Find the inputs of a request.

    Raises:
        InputError: One cannot be used, or is not there.
    """
    here = Path(request.working_directory)
    Secrets(request.secrets, here)  # checks them
    agents: Mapping[str, Agent] = {}
    if request.ssh:
        from dockyard.session.ssh import open_agents

        agents = open_agents(request.ssh, here)
    policy = environment.get(VARIABLE)
    source_policy = None
    if policy:
        from dockyard.building.inputs.policy import read_source_policy

        source_policy = read_source_policy(environment.working_directory / policy)
    return Inputs(request, open_build_contexts(request.build_contexts, here), agents, source_policy)
