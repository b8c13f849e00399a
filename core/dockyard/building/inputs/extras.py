"""What a build is given beside its context: secrets, agents, named contexts, rules for sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from attrs import evolve

from dockyard.building.inputs.named import NamedContexts, open_build_contexts
from dockyard.building.inputs.policy import CAPABILITY, VARIABLE
from dockyard.building.need import Capabilities, Need, require
from dockyard.config import Environment
from dockyard.driver import BuildRequest
from dockyard.session.secrets import Secrets
from dockyard.session.service import Attachable
from dockyard.session.ssh_absence import NoSshAgents

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
        else:
            services.append(NoSshAgents())
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
        if self.request.source_policy is not None:
            yield Need("a source policy is", CAPABILITY, "v0.11")


def open_inputs(request: BuildRequest) -> Inputs:
    """Find the inputs of a request.

    Raises:
        InputError: One cannot be used, or is not there.
    """
    agents = open_services(request)
    contexts = open_build_contexts(request.build_contexts, Path(request.working_directory))
    return Inputs(request, contexts, agents)


def open_services(request: BuildRequest) -> Mapping[str, Agent]:
    """Make sure that the secrets can be used, and get the ssh agents ready.

    Raises:
        InputError: One cannot be used, or is not there.
    """
    here = Path(request.working_directory)
    Secrets(request.secrets, here)  # checks them
    if not request.ssh:
        return {}
    from dockyard.session.ssh import open_agents

    return open_agents(request.ssh, here)


def with_source_policy(request: BuildRequest, environment: Environment) -> BuildRequest:
    """Give the request the rules for sources that the environment names, unless it has some.

    Raises:
        InputError: They cannot be read, or make no sense.
    """
    if request.source_policy is not None:  # a pipe gives them only once
        return request
    policy = open_source_policy(environment)
    return request if policy is None else evolve(request, source_policy=policy)


def open_source_policy(environment: Environment) -> Policy | None:
    """Read the rules for sources that the environment names.

    Raises:
        InputError: They cannot be read, or make no sense.
    """
    policy = environment.get(VARIABLE)
    if not policy:
        return None
    from dockyard.building.inputs.policy import read_source_policy

    return read_source_policy(environment.working_directory, policy)
