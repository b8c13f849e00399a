"""One build on one node: who asks for it, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dockyard.building.link import Link
from dockyard.cancellation import Cancellation
from dockyard.driver import BuildRequest, Node, Progress

if TYPE_CHECKING:
    from dockyard.building.workbench import Workbench
    from dockyard.buildkit.client import Client


class Job(NamedTuple):
    """What is known of a build before anything is done for it."""

    workbench: Workbench
    node: Node
    request: BuildRequest
    """As somebody made it; nothing is filled in yet."""
    progress: Progress
    cancel: Cancellation

    @property
    def link(self) -> Link:
        """The connection to the node's BuildKit; opened if need be."""
        return self.workbench.links.get(self.node, self.cancel)

    @property
    def client(self) -> Client:
        return self.link.client
