"""Open connections to nodes, and what is known of the nodes through them, during a build."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from dockyard.cancellation import Cancellation
from dockyard.driver import Node, NodeFeatures

if TYPE_CHECKING:
    from dockyard.buildkit.client import Client
    from dockyard.plugin.manager import PluginManager


class Link(NamedTuple):
    """A connection to a node's BuildKit, and what the node can do."""

    client: Client
    features: NodeFeatures


class Links:
    """The open links by node. One node's link is opened once and shared by all who ask."""

    def __init__(self, manager: PluginManager) -> None:
        self._manager = manager
        self._links: dict[Node, Link] = {}
        self._lock = threading.Lock()

    def get(self, node: Node, cancel: Cancellation) -> Link:
        """Give the node's link, opened if need be. The node has to run.

        Raises:
            ConnectError: Nothing answers there.
            ConnectionLostError: What answers falls silent.
        """
        with self._lock:
            link = self._links.get(node)
        if link is None:
            link = self._open(node, cancel)
            with self._lock:
                self._links[node] = link
        return link

    def close(self, node: Node) -> None:
        """Close the node's link, if it has one."""
        with self._lock:
            link = self._links.pop(node, None)
        if link is not None:
            link.client.close()

    def _open(self, node: Node, cancel: Cancellation) -> Link:
        from dockyard.buildkit.client import Client

        client = Client(self._manager.connect(node, cancel))
        try:
            return Link(client=client, features=self._manager.features(node, client.workers()))
        except BaseException:
            client.close()
            raise
