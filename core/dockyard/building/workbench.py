"""What all builds of one process share: plugins, docker contexts, builder records, open links."""

from __future__ import annotations

from typing import NamedTuple

from dockyard.builder.store import Store
from dockyard.building.link import Links
from dockyard.config import Environment
from dockyard.engine.context import DockerContexts
from dockyard.engine.credential import Credentials
from dockyard.plugin.manager import PluginManager


class Workbench(NamedTuple):
    """Made once; used by any number of builds, also at the same time."""

    environment: Environment
    manager: PluginManager
    contexts: DockerContexts
    store: Store
    links: Links

    @property
    def credentials(self) -> Credentials:
        """What docker's configuration knows about registries.

        Raises:
            ConfigError: It cannot be read, or makes no sense.
        """
        docker = self.environment.docker
        return Credentials(docker.values, path=docker.path, variables=self.environment.variables)

    @classmethod
    def of(cls, environment: Environment, manager: PluginManager) -> Workbench:
        """Put together what builds need, and add the core's own hooks to the plugins."""
        from dockyard.building.default import Defaults

        workbench = cls(
            environment=environment,
            manager=manager,
            contexts=DockerContexts(environment),
            store=Store.of(environment),
            links=Links(manager),
        )
        manager.register(Defaults(workbench))
        return workbench
